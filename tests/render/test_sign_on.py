"""auth: sign-on by OpenID Connect, local users, other auth managers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.chart import HELM3, HELM4, Manifests, RenderError, render
from tests.render.values import overlaid

INGRESS = {"enabled": True, "host": "airflow.example.com", "path": "/team-a", "tlsSecretName": "tls"}
OIDC: dict[str, Any] = {
    "ingress": INGRESS,
    "auth": {
        "manager": "fab",
        "oidc": {
            "issuer": "https://auth0.example.com/",
            "clientId": "air$(flow) 'x'",
            "clientSecret": {"secret": "airflow-oidc"},
            "roleClaim": "https://example.com/roles",
            "roles": {'a "team"; $(x) {{ .Values }}': ["Viewer", "User"], "größe": ["Admin"]},
        },
    },
}
USERS: dict[str, Any] = {
    "auth": {
        "manager": "fab",
        "users": {
            "ci@example.com": {"roles": ["Op"], "secret": "ci", "key": "word"},
            "ada": {
                "roles": ["Viewer", "Finance $(x)"],
                "secret": "ada",
                "email": "ada@example.com",
                "firstName": "Ada",
                "lastName": None,
            },
        },
    }
}
CLASS = "airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager"


def variables(manifests: Manifests, name: str) -> dict[str, Any]:
    """The values of a variable by the containers that have it."""
    return {
        f"{manifest.name} {container.name}": container.env[name]
        for manifest, _, container in manifests.containers
        if name in container.env
    }


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_oidc(helm: str) -> None:
    manifests = render(overlaid(OIDC, {"auth": {"admin": {"username": "Root"}}}), helm=helm)
    data = manifests.one("ConfigMap", name="airdock-webserver-config").get("data")
    assert set(data) == {"webserver_config.py", "oidc.json"}
    settings = json.loads(data["oidc.json"])
    oidc = OIDC["auth"]["oidc"]
    assert settings["issuer"] == "https://auth0.example.com"
    assert {key: settings[key] for key in ("clientId", "roleClaim", "roles")} == {
        key: oidc[key] for key in ("clientId", "roleClaim", "roles")
    }
    assert settings["localUsers"] == ["root"], "as FAB compares names"
    assert settings["defaultRole"] == ""
    ((where, variable),) = variables(manifests, "AIRDOCK_OIDC_CLIENT_SECRET").items()
    assert where == "airdock-api-server api-server"
    assert variable.secret == ("airflow-oidc", "client-secret")


def test_oidc_follows_the_users_settings() -> None:
    """The chart's assignments count, and the user's other ones stay."""
    own = "WTF_CSRF_ENABLED = True\nRECAPTCHA = 1\nAUTH_TYPE = 1\n"
    manifests = render(overlaid(OIDC, {"auth": {"webserverConfig": own}}))
    text = manifests.one("ConfigMap", name="airdock-webserver-config").get("data", "webserver_config.py")
    assert text.startswith(own)
    compile(text, "webserver_config.py", "exec")
    assert text.rindex("\nAUTH_TYPE = AUTH_OAUTH\n") > text.index("AUTH_TYPE = 1")


def test_sessions_end() -> None:
    """So that the identity provider is asked again about a user."""
    line = "session_max_lifetime_minutes = 720"
    config = render(OIDC).one("ConfigMap", component="config").get("data", "airflow.cfg")
    assert line in config
    plain = render({"auth": {"manager": "fab"}}).one("ConfigMap", component="config")
    assert line not in plain.get("data", "airflow.cfg")


def test_pods_restart_for_a_change_of_it() -> None:
    def checksum(values: dict[str, Any]) -> str:
        pod = render(values).one("Deployment", name="airdock-api-server")
        return str(pod.get("spec", "template", "metadata", "annotations", "checksum/webserver-config"))

    changed = overlaid(OIDC, {"auth": {"oidc": {"roles": {"new": ["Op"]}}}})
    assert checksum(OIDC) != checksum(changed)


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_local_users(helm: str) -> None:
    manifests = render(USERS, helm=helm)
    ((where, variable),) = variables(manifests, "AIRDOCK_USERS").items()
    assert where == "airdock-api-server create-users"
    # As the kubelet reads it.
    ada, ci = json.loads(variable.value.replace("$$", "$"))
    assert ada == {
        "username": "ada",
        "roles": ["Viewer", "Finance $(x)"],
        "email": "ada@example.com",
        "firstName": "Ada",
        "lastName": "",
    }
    assert (ci["username"], ci["firstName"], ci["roles"]) == ("ci@example.com", "ci@example.com", ["Op"])
    assert ci["email"] != ada["email"]
    for number, (secret, key) in enumerate((("ada", "password"), ("ci", "word"))):
        ((_, password),) = variables(manifests, f"AIRDOCK_USER_PASSWORD_{number}").items()
        assert password.secret == (secret, key)
    data = manifests.one("ConfigMap", name="airdock-webserver-config").get("data")
    assert set(data) == {"webserver_config.py", "create_users.py"}
    compile(data["create_users.py"], "create_users.py", "exec")


def test_a_class_brings_its_own_users() -> None:
    manifests = render({"auth": {"manager": CLASS}})
    for manifest, pod, container in manifests.containers:
        env = manifests.environment(manifest, container)
        if "AIRFLOW_CONFIG" in container.env:
            assert env["AIRFLOW__CORE__AUTH_MANAGER"] == CLASS
        assert container.name != "create-admin", pod
    assert not variables(manifests, "AIRDOCK_MAKE_ADMIN_AS")
    assert not any("webserver-config" in manifest.name for manifest in manifests)


def oidc(**values: Any) -> dict[str, Any]:
    return overlaid(OIDC, {"auth": {"oidc": values}})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            overlaid(
                oidc(issuer="http://dex.example.com", clientId="", clientSecret={"secret": ""}, roles=None),
                {"auth": {"manager": "simple", "oidc": {"scopes": ["email"]}}},
            ),
            (
                "auth.oidc.issuer: is for auth.manager: fab, and it is simple",
                "auth.oidc.issuer: begins with http://",
                "auth.oidc.insecure: true",
                "auth.oidc.clientId: is missing",
                "auth.oidc.clientSecret.secret: is missing",
                "auth.oidc.scopes: does not have openid",
            ),
        ),
        (overlaid(oidc(), {"auth": {"manager": CLASS}}), (f"and it is {CLASS}",)),
        (
            overlaid(OIDC, {"auth": {"oidc": {"roles": dict.fromkeys(OIDC["auth"]["oidc"]["roles"])}}}),
            ("auth.oidc.roles: is empty, so nobody could sign in", "auth.oidc.defaultRole"),
        ),
        (
            oidc(roles={"x": ["admin", "Finance"]}, defaultRole="VIEWER"),
            (
                'auth.oidc.roles.x: "admin" is not a role of Airflow. Capitals count: write Admin.',
                'auth.oidc.defaultRole: "VIEWER" is not a role of Airflow. Capitals count: write Viewer.',
            ),
        ),
        (
            overlaid(OIDC, {"ingress": {"enabled": False}}),
            ("auth.oidc.issuer: the URL of the UI is not known", "airflow.config.api.base_url"),
        ),
        (
            overlaid(OIDC, {"ingress": {"tlsSecretName": ""}}),
            ("the URL of the UI is http://airflow.example.com/team-a", "ingress.tlsSecretName"),
        ),
        (
            overlaid(OIDC, {"networkPolicy": {"egress": "strict"}}),
            ("networkPolicy.apiServer.egress: is empty", "cannot reach auth.oidc.issuer"),
        ),
        (
            overlaid(OIDC, {"auth": {"webserverConfig": "OAUTH_PROVIDERS = []\nAUTH_ROLES_MAPPING = {}\n"}}),
            (
                "auth.webserverConfig: sets OAUTH_PROVIDERS, which auth.oidc sets, too",
                "auth.webserverConfig: sets AUTH_ROLES_MAPPING",
            ),
        ),
        (
            {"auth": {"oidc": {"clientId": "a", "clientSecret": {"secret": "b"}, "defaultRole": "Op"}}},
            (
                "auth.oidc.clientId: has no effect without auth.oidc.issuer",
                "auth.oidc.clientSecret.secret: has no effect",
                "auth.oidc.defaultRole: has no effect",
            ),
        ),
        (oidc(clientSecret="hunter2"), ("/auth/oidc/clientSecret",)),
        (oidc(issuer="keycloak.example.com"), ("/auth/oidc/issuer",)),
        (oidc(roles={"x": "Admin"}), ("/auth/oidc/roles/x",)),
        ({"auth": {"manager": "ldap"}}, ("/auth/manager",)),
        (
            overlaid(USERS, {"auth": {"manager": "simple"}}),
            ("auth.users: is for auth.manager: fab, and it is simple",),
        ),
        (
            overlaid(USERS, {"auth": {"users": {"Admin": {"roles": ["op"], "secret": "a"}}}}),
            (
                "auth.users.Admin: is the same user as auth.admin.username",
                'auth.users.Admin.roles: "op" is not a role of Airflow. Capitals count: write Op.',
            ),
        ),
        ({"auth": {"users": {"ada": {"roles": []}}}}, ("/auth/users/ada", "secret")),
    ],
)
def test_what_cannot_be_meant_is_rejected(values: dict[str, Any], says: tuple[str, ...]) -> None:
    with pytest.raises(RenderError) as caught:
        render(values)
    assert not [text for text in says if text not in str(caught.value)], str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        oidc(roles={"x": ["Finance"]}),
        oidc(defaultRole="Viewer", roles=None),
        overlaid(oidc(issuer="http://dex", insecure=True), {"ingress": {"tlsSecretName": ""}}),
        overlaid(
            OIDC,
            {"networkPolicy": {"egress": "strict", "apiServer": {"egress": [{"ports": [{"port": 443}]}]}}},
        ),
        overlaid(
            oidc(roles={"x": ["admin"]}),
            {"airflow": {"config": {"fab": {"custom_roles": '{"admin": []}'}}}},
        ),
    ],
)
def test_what_can_be_meant_is_accepted(values: dict[str, Any]) -> None:
    render(values)
