"""What files/auth/oidc.py makes of claims.

FAB's part is a stand-in here; tests/e2e/test_sign_on.py has the real one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.support.paths import FILES

SETTINGS = {
    "issuer": "https://id.example.com",
    "clientId": "airflow",
    "name": "oidc",
    "scopes": ["openid", "groups"],
    "usernameClaim": "preferred_username",
    "roleClaim": "groups",
    "roles": {"admins": ["Admin"]},
    "defaultRole": "",
    "localUsers": ["admin"],
}
CLAIMS = {
    "iss": "https://id.example.com",
    "aud": "airflow",
    "sub": "1",
    "preferred_username": "Eva",
    "groups": ["admins"],
}


class Fab:
    """Of FabAirflowSecurityManagerOverride, what the class uses."""

    userinfo: dict[str, Any] | None = None

    def __init__(self) -> None:
        self.user = SimpleNamespace(roles=["before"])
        endpoint = {"userinfo_endpoint": "x"} if self.userinfo else {}
        remote = SimpleNamespace(server_metadata=endpoint, userinfo=lambda token: self.userinfo)
        self.oauth_remotes = {"oidc": remote}

    def get_roles_from_keys(self, keys: list[str]) -> set[str]:
        return {role for key in keys for role in SETTINGS["roles"].get(key, [])}  # type: ignore[attr-defined]

    def find_role(self, name: str) -> str:
        return name

    def find_user(self, username: str) -> Any:
        return self.user

    def update_user(self, user: Any) -> None:
        pass

    def auth_user_oauth(self, userinfo: dict[str, Any], rotate_session_id: bool = True) -> Any:
        self.user.roles = self._oauth_calculate_user_roles(userinfo)  # type: ignore[attr-defined]
        return self.user


def manager(
    directory: Path, monkeypatch: pytest.MonkeyPatch, userinfo: dict[str, Any] | None = None, **settings: Any
) -> Any:
    """A security manager with these settings."""
    override = "airflow.providers.fab.auth_manager.security_manager.override"
    base = type("FabAirflowSecurityManagerOverride", (Fab,), {"userinfo": userinfo})
    for name, content in {
        override: {"FabAirflowSecurityManagerOverride": base},
        "flask": {"flash": lambda *words: None},
        "flask_appbuilder.const": {"AUTH_OAUTH": 4},
    }.items():
        steps = name.split(".")
        for end in range(1, len(steps) + 1):
            module = ModuleType(".".join(steps[:end]))
            monkeypatch.setitem(sys.modules, module.__name__, module)
        vars(module).update(content)
    (directory / "oidc.json").write_text(json.dumps({**SETTINGS, **settings}))
    found: dict[str, Any] = {"__file__": str(directory / "webserver_config.py"), "__name__": "config"}
    exec((FILES / "auth" / "oidc.py").read_text(), found)
    assert found["SECURITY_MANAGER_CLASS"] is found["OidcSecurityManager"]
    return found["SECURITY_MANAGER_CLASS"]()


def roles(found: Any, **claims: Any) -> Any:
    """The roles of who has these claims, None for a refusal."""
    token = {key: value for key, value in {**CLAIMS, **claims}.items() if value is not None}
    user = found.auth_user_oauth(found.get_oauth_user_info("oidc", {"userinfo": token}))
    return user and user.roles


@pytest.mark.parametrize(
    ("settings", "claims", "wanted"),
    [
        ({}, {}, ["Admin"]),
        ({}, {"groups": "admins"}, ["Admin"]),
        ({}, {"groups": [1, None, {"admins": 1}, ["admins"]]}, None),
        ({}, {"groups": None}, None),
        ({}, {"groups": ["Admins", "admin"]}, None),
        ({}, {"aud": ["other", "airflow"]}, ["Admin"]),
        ({}, {"preferred_username": "ADMIN"}, None),
        ({"defaultRole": "Viewer"}, {"groups": []}, ["Viewer"]),
        ({"defaultRole": "Viewer"}, {}, ["Admin"]),
        ({"roleClaim": "realm_access.roles"}, {"realm_access": {"roles": ["admins"]}}, ["Admin"]),
        ({"roleClaim": "realm_access.roles"}, {"realm_access": "admins"}, None),
        ({"roleClaim": "https://a.b/roles"}, {"https://a.b/roles": ["admins"]}, ["Admin"]),
    ],
)
def test_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, claims: Any, wanted: Any
) -> None:
    found = manager(tmp_path, monkeypatch, **settings)
    assert roles(found, **claims) == wanted
    local = claims.get("preferred_username") == "ADMIN"
    assert found.user.roles == (["before"] if local else wanted or []), (
        "a refusal takes roles, not a local user's"
    )


@pytest.mark.parametrize(
    ("settings", "claims", "says"),
    [
        ({}, {"iss": "https://id.example.com.evil.org"}, "auth.oidc.issuer"),
        ({}, {"aud": "other"}, "auth.oidc.clientId"),
        ({}, {"aud": ["airflow2"]}, "auth.oidc.clientId"),
        ({}, {"preferred_username": None}, "auth.oidc.usernameClaim"),
        ({}, {"preferred_username": ["eva"]}, "auth.oidc.usernameClaim"),
        ({"usernameClaim": "email"}, {"email": "a@b.c", "email_verified": False}, "has not verified"),
    ],
)
def test_refused_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, claims: Any, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        roles(manager(tmp_path, monkeypatch, **settings), **claims)


def test_userinfo_adds_what_the_token_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"sub": "1", "groups": ["admins"], "preferred_username": "mallory"}
    found = manager(tmp_path, monkeypatch, more)
    assert roles(found, groups=None) == ["Admin"]
    info = found.get_oauth_user_info("oidc", {"userinfo": {**CLAIMS, "groups": None}})
    assert info["username"] == "Eva", "the token's claims count"
    assert info["role_keys"] == ["admins"]
    with pytest.raises(ValueError, match="another user"):
        roles(manager(tmp_path, monkeypatch, {**more, "sub": "2"}), groups=None)
