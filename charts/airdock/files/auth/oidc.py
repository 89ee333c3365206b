"""Sign-on by OpenID Connect (auth.oidc), for Flask-AppBuilder.

The chart appends this file to auth.webserverConfig: names in capitals are settings, the last ones count.
`oidc.json` beside it has auth.oidc without the secret.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
from flask import flash
from flask_appbuilder.const import AUTH_OAUTH

_oidc = json.loads((Path(__file__).parent / "oidc.json").read_text())
_log = logging.getLogger("airdock.oidc")

AUTH_TYPE = AUTH_OAUTH
AUTH_USER_REGISTRATION = True
AUTH_ROLES_SYNC_AT_LOGIN = True
AUTH_ROLES_MAPPING = _oidc["roles"]
OAUTH_PROVIDERS = [
    {
        "name": _oidc["name"],
        "icon": "fa-openid",
        "token_key": "access_token",
        "remote_app": {
            "client_id": _oidc["clientId"],
            # The init containers, which sign nobody on, do not have it.
            "client_secret": os.environ.get("AIRDOCK_OIDC_CLIENT_SECRET"),
            "server_metadata_url": f"{_oidc['issuer']}/.well-known/openid-configuration",
            "client_kwargs": {
                "scope": " ".join(_oidc["scopes"]),
                "code_challenge_method": "S256",
                "default_timeout": 20,
            },
        },
    }
]


def _claim(claims: Any, name: str) -> Any:
    """A claim by its name, or by the path to it: realm_access.roles. None if there is none."""
    if name in claims:
        return claims[name]
    for step in name.split("."):
        claims = claims.get(step) if isinstance(claims, dict) else None
    return claims


def _texts(value: Any) -> list[str]:
    """The texts of a claim that is a text or a list of them."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


class OidcSecurityManager(FabAirflowSecurityManagerOverride):
    """Takes users and roles from the claims, and refuses users without a role."""

    def get_oauth_user_info(self, provider: str, resp: dict[str, Any]) -> dict[str, Any]:
        """What the identity provider says of a user.

        Authlib has checked the ID token's signature, nonce and times. FAB logs an error and refuses the user.

        Args:
            provider: auth.oidc.name.
            resp: the answer of the token endpoint; in `userinfo` the claims of its ID token.

        Raises:
            KeyError: it has no ID token.
            ValueError: the token is not for this client, or says nothing that names the user.
        """
        claims = {name: value for name, value in resp["userinfo"].items() if value is not None}
        if claims["iss"].rstrip("/") != _oidc["issuer"]:
            raise ValueError(f"the ID token is of {claims['iss']}, and auth.oidc.issuer is {_oidc['issuer']}")
        if _oidc["clientId"] not in _texts(claims["aud"]):
            raise ValueError(
                f"the ID token is for {claims['aud']}, and auth.oidc.clientId is {_oidc['clientId']}"
            )
        remote = self.oauth_remotes[provider]
        wanted = [_claim(claims, _oidc[key]) for key in ("usernameClaim", "roleClaim")]
        if None in wanted and remote.server_metadata.get("userinfo_endpoint"):
            more = dict(remote.userinfo(token=resp))
            # OpenID Connect Core 1.0, 5.3.2.
            if more.get("sub") != claims["sub"]:
                raise ValueError("the userinfo endpoint answers for another user")
            claims = {**more, **claims}
        username = _claim(claims, _oidc["usernameClaim"])
        if not username or not isinstance(username, str):
            raise ValueError(
                f"there is no claim {_oidc['usernameClaim']} (auth.oidc.usernameClaim), only {sorted(claims)}"
            )
        if _oidc["usernameClaim"] == "email" and claims.get("email_verified") in (False, "false"):
            raise ValueError(f"the identity provider has not verified the address {username}")
        return {
            "username": username,
            "first_name": claims.get("given_name") or claims.get("name") or username,
            "last_name": claims.get("family_name") or "",
            "email": claims.get("email") or "",
            "role_keys": _texts(_claim(claims, _oidc["roleClaim"])),
        }

    def _oauth_calculate_user_roles(self, userinfo: dict[str, Any]) -> list[Any]:
        """The user's roles; FAB's own adds a role for all users."""
        roles = self.get_roles_from_keys(userinfo["role_keys"])
        if not roles and _oidc["defaultRole"]:
            roles = {self.find_role(_oidc["defaultRole"])} - {None}
        return list(roles)

    def auth_user_oauth(self, userinfo: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The user, whose roles are now those of the claims; None refuses."""
        username = userinfo["username"]
        # FAB, too, compares names without regard to capitals.
        if username.lower() in _oidc["localUsers"]:
            _log.warning("%s is a local user (auth.admin, auth.users), so nobody else can be", username)
            flash("A local user has your name. Ask the administrator of Airflow.", "danger")
            return None
        if not self._oauth_calculate_user_roles(userinfo):
            _log.warning(
                "%s has no role: auth.oidc.roles has no key for the claim %s, which is %s",
                username, _oidc["roleClaim"], userinfo["role_keys"],
            )  # fmt: skip
            flash("You have no role in Airflow. Ask its administrator for one.", "danger")
            user = self.find_user(username=username)
            if user:
                # For sessions and tokens from the time when the user had one.
                user.roles = []
                self.update_user(user)
            return None
        return super().auth_user_oauth(userinfo, *args, **kwargs)


SECURITY_MANAGER_CLASS = OidcSecurityManager
