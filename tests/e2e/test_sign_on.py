"""Sign-on at Dex, behind a proxy that ends TLS: who gets in, with which roles, and who does not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from scripts import tools
from scripts.chart import load_yaml
from scripts.chart.helm import CHART
from scripts.cluster import REGISTRY, debian
from scripts.live import RELEASE, Target, registry_image
from scripts.live.airflow_api import PortForward
from scripts.overlays.definitions import merged
from tests.e2e.conftest import SMALL, starting, wait_until
from tests.support.browser import Browser, names
from tests.support.certificates import authority, certificate
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-sign-on"
OUTSIDE = "airdock-e2e-identity"
DEX = f"dex.{OUTSIDE}.svc"
ISSUER = f"https://{DEX}:5556"
HOST, PATH = "airflow.example.com", "/team-a"
URL = f"https://{HOST}{PATH}"
DEX_IMAGE, NGINX_IMAGE = f"{REGISTRY}/e2e/dex:1", f"{REGISTRY}/e2e/nginx:1"
#: Of the word "password", from Dex's own example.
PASSWORD = "password"
HASH = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"
CI_PASSWORD = "of a program: $(HOME) $$ 'x'"
#: User at Dex -> name and groups there.
PEOPLE = {
    "eva": ("eva", ["staff", "airflow-admins"]),
    "ben": ("ben", ["analysts"]),
    "nora": ("nora", ["staff"]),
    "lea": ("lea", []),
    # The name of a local user.
    "mallory": ("CI", ["airflow-admins"]),
}
SETTINGS: dict[str, Any] = {
    "issuer": ISSUER,
    "storage": {"type": "memory"},
    "web": {"https": "0.0.0.0:5556", "tlsCert": "/settings/tls.crt", "tlsKey": "/settings/tls.key"},
    "oauth2": {"skipApprovalScreen": True},
    "enablePasswordDB": True,
    "staticClients": [
        {
            "id": "airflow",
            "name": "Airflow",
            "secret": "of the client",
            "redirectURIs": [f"{URL}/auth/oauth-authorized/dex"],
        }
    ],
    "staticPasswords": [
        {
            "email": f"{login}@example.com",
            "hash": HASH,
            "userID": login,
            "username": login,
            "name": login.title(),
            "preferredUsername": name,
            "groups": groups,
        }
        for login, (name, groups) in PEOPLE.items()
    ],
}
NGINX = f"""
pid /tmp/nginx.pid; worker_processes 1; error_log stderr; events {{}}
http {{
  access_log /dev/stdout;
  client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d;
  scgi_temp_path /tmp/e;
  proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  server {{
    listen 8443 ssl; ssl_certificate /settings/tls.crt; ssl_certificate_key /settings/tls.key;
    location {PATH} {{ proxy_pass http://{RELEASE}-api-server.{NAMESPACE}.svc.cluster.local:8080; }}
  }}
}}
"""
EXAMPLE = load_yaml((EXAMPLES / "values" / "sign-on.yaml").read_text(), "sign-on.yaml")[0]
#: The example, for this issuer; and nothing here runs a task.
VALUES: dict[str, Any] = merged(
    EXAMPLE,
    {
        "auth": {
            "oidc": {
                "name": "dex",
                "issuer": ISSUER,
                "scopes": ["openid", "profile", "email", "groups"],
            },
            "users": {"ci": {"roles": ["Viewer"], "secret": "airflow-ci"}},
        },
        "trust": {"configMap": "company-ca"},
        "ingress": {"path": PATH},
        "networkPolicy": {
            "uiFrom": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": OUTSIDE}},
                    "podSelector": {"matchLabels": {"app": "proxy"}},
                }
            ]
        },
        "controlPlane": {name: {"replicas": 0} for name in ("scheduler", "dagProcessor", "triggerer")},
        "workers": {"default": {"mode": "dind", "replicas": 0}},
    },
)


def objects(name: str, image: str, port: int, command: list[str], files: dict[str, str]) -> list[Any]:
    """A pod with files in /settings, and its Service."""
    metadata = {"name": name, "namespace": OUTSIDE, "labels": {"app": name}}
    container = {
        "name": name,
        "image": image,
        "command": command,
        "volumeMounts": [{"name": "settings", "mountPath": "/settings"}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
    }
    volumes = [{"name": "settings", "secret": {"secretName": name}}]
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": files},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
        },
    ]


def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def pair(data: dict[str, str]) -> dict[str, str]:
    return {key: data[key] for key in ("tls.crt", "tls.key")}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Path, Path]]:
    """A CA of the company, which no image knows."""
    directory = tmp_path_factory.mktemp("sign-on")
    return directory, authority(directory, "company")


@pytest.fixture(scope="module")
def installed(target: Target, company: tuple[Path, tuple[Path, Path]]) -> Iterator[Target]:
    """Dex, a release that signs users on there, and a proxy with TLS before its UI."""
    if not target.native:
        pytest.skip("the images of Dex and nginx are made in the native cluster's registry")
    directory, ca = company
    base = f"{REGISTRY}/library/python:3.13-slim"
    registry_image.push(DEX_IMAGE, {"usr/bin/dex": tools.pinned("dex")}, base=base)
    nginx = debian.binary("nginx", "usr/sbin/nginx")
    registry_image.push(NGINX_IMAGE, {"usr/sbin/nginx": nginx}, base=base)
    dex = {"dex.yaml": json.dumps(SETTINGS), **pair(certificate(directory, "dex", OUTSIDE, ca))}
    proxy = {"nginx.conf": NGINX, **pair(certificate(directory, HOST, OUTSIDE, ca))}
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "company-ca", "namespace": NAMESPACE},
        "data": {"ca.crt": ca[1].read_text()},
    }
    # A run that was killed may have left them.
    target.kubectl("delete", "namespace", NAMESPACE, OUTSIDE, "--ignore-not-found", timeout=300)
    for name in (NAMESPACE, OUTSIDE):
        target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        target.apply(
            config,
            secret("airflow-oidc", {"client-secret": "of the client"}),
            secret("airflow-ci", {"password": CI_PASSWORD}),
            *objects("dex", DEX_IMAGE, 5556, ["dex", "serve", "/settings/dex.yaml"], dex),
        )
        with starting():
            target.helm(
                "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
                stdin=json.dumps(merged(SMALL, VALUES)),
            )  # fmt: skip
            command = ["nginx", "-e", "stderr", "-c", "/settings/nginx.conf", "-g", "daemon off;"]
            target.apply(*objects("proxy", NGINX_IMAGE, 8443, command, proxy))
            ready = ("rollout", "status", f"deployment/{RELEASE}-api-server", "-n", NAMESPACE)
            target.kubectl(*ready, "--timeout=300s", timeout=310)
        target.kubectl("wait", "pod", "--all", "-n", OUTSIDE, "--for=condition=Ready", "--timeout=90s")
        yield target
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
        target.kubectl("delete", "namespace", NAMESPACE, OUTSIDE, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def browse(installed: Target, company: tuple[Path, tuple[Path, Path]]) -> Iterator[Callable[[], Browser]]:
    """`browse()` opens a browser with no cookies, which reaches the proxy and Dex by their names."""
    forwards = {
        (HOST, 443): PortForward(installed.kubectl_command, OUTSIDE, "pod/proxy", 8443),
        (DEX, 5556): PortForward(installed.kubectl_command, OUTSIDE, "pod/dex", 5556),
    }
    with forwards[HOST, 443] as proxy, forwards[DEX, 5556] as dex:
        ports = [int(each.url().rpartition(":")[2]) for each in (proxy, dex)]
        with names(dict(zip(forwards, ports, strict=True))):
            yield lambda: Browser(str(company[1][1]))


def sign_on(browser: Browser, login: str) -> requests.Response:
    """Open Airflow, choose Dex, and log in there: the page that a person then sees."""
    page = browser.ask(f"{URL}/api/v2/auth/login", params={"next": f"{URL}/"})
    # The page's script makes this of the button.
    (base,) = re.findall(r'var baseLoginUrl = "([^"]+)"', page.text)
    form = browser.ask(f"{base}dex?next=")
    assert form.url.startswith(ISSUER), (form.url, form.text)
    return browser.submit(form, login=f"{login}@example.com", password=PASSWORD)


def create_pool(browser: Browser, name: str) -> int:
    """The status of a request that a Viewer may not send."""
    pool = {"name": name, "slots": 1}
    return browser.ask(f"{URL}/api/v2/pools", "POST", json=pool).status_code


@pytest.fixture(scope="module")
def eva(browse: Callable[[], Browser]) -> Browser:
    """An administrator who has signed on."""
    browser = browse()
    page = sign_on(browser, "eva")
    assert page.status_code == 200
    assert page.url.rstrip("/") == URL
    return browser


def test_the_redirect_uri_is_https(browse: Callable[[], Browser]) -> None:
    """The api-server speaks plain HTTP, and has the scheme from the proxy."""
    page = browse().ask(f"{URL}/auth/login/dex", allow_redirects=False)
    asked = parse_qs(urlsplit(page.headers["Location"]).query)
    assert asked["redirect_uri"] == [f"{URL}/auth/oauth-authorized/dex"]
    assert asked["code_challenge_method"] == ["S256"]


def test_login(eva: Browser) -> None:
    cookies = eva.cookies(HOST)
    assert {"_token", "session"} <= cookies.keys()
    for cookie in cookies.values():
        assert cookie.secure, cookie
        assert cookie.has_nonstandard_attr("HttpOnly"), cookie
    assert eva.ask(f"{URL}/api/v2/dags").status_code == 200


def test_roles_are_those_of_the_claim(browse: Callable[[], Browser], eva: Browser) -> None:
    assert create_pool(eva, "of-eva") == 201
    ben = browse()
    assert sign_on(ben, "ben").status_code == 200
    assert ben.ask(f"{URL}/api/v2/pools").status_code == 200
    assert create_pool(ben, "of-ben") == 403
    for name, role in (("eva", "Admin"), ("ben", "Viewer")):
        user = eva.ask(f"{URL}/auth/fab/v1/users/{name}").json()
        assert [each["name"] for each in user["roles"]] == [role]
        assert user["email"] == f"{name}@example.com"


@pytest.mark.parametrize("login", ["nora", "lea"])
def test_who_has_no_role_is_refused(browse: Callable[[], Browser], eva: Browser, login: str) -> None:
    browser = browse()
    page = sign_on(browser, login)
    assert "You have no role in Airflow" in page.text
    assert "_token" not in browser.cookies(HOST)
    assert browser.ask(f"{URL}/api/v2/dags").status_code == 401
    assert eva.ask(f"{URL}/auth/fab/v1/users/{login}").status_code == 404


def test_who_has_lost_the_role_is_refused(
    installed: Target, browse: Callable[[], Browser], eva: Browser
) -> None:
    """And the roles go, for sessions and tokens that are still open."""
    nora = ("--firstname=Nora", "--lastname=N", "--email=nora@example.com", "--role=Op")
    create = ("airflow", "users", "create", "--username=nora", "--password=before", *nora)
    api_server = ("exec", f"deployment/{RELEASE}-api-server", "-n", NAMESPACE, "-c", "api-server", "--")
    installed.kubectl(*api_server, *create, timeout=300)
    login = {"username": "nora", "password": "before"}
    program = browse()
    token = program.ask(f"{URL}/auth/token", "POST", json=login).json()["access_token"]
    program.session.headers["Authorization"] = f"Bearer {token}"
    assert program.ask(f"{URL}/api/v2/pools").status_code == 200
    browser = browse()
    assert "You have no role in Airflow" in sign_on(browser, "nora").text
    assert browser.ask(f"{URL}/api/v2/dags").status_code == 401
    assert eva.ask(f"{URL}/auth/fab/v1/users/nora").json()["roles"] == []
    # FAB keeps what it knows of a user for 30 seconds.
    wait_until(lambda: program.ask(f"{URL}/api/v2/pools").status_code == 403, 60, "the token has no rights")


def test_nobody_becomes_a_local_user(browse: Callable[[], Browser], eva: Browser) -> None:
    browser = browse()
    assert "A local user has your name" in sign_on(browser, "mallory").text
    assert browser.ask(f"{URL}/api/v2/dags").status_code == 401
    assert [role["name"] for role in eva.ask(f"{URL}/auth/fab/v1/users/ci").json()["roles"]] == ["Viewer"]


def test_a_wrong_password(browse: Callable[[], Browser]) -> None:
    browser = browse()
    form = browser.ask(f"{URL}/auth/login/dex")
    page = browser.submit(form, login="eva@example.com", password="wrong")
    assert page.url.startswith(ISSUER)
    assert browser.ask(f"{URL}/api/v2/dags").status_code == 401


def test_a_local_user_has_a_token_and_its_role(browse: Callable[[], Browser]) -> None:
    browser = browse()
    login = {"username": "ci", "password": CI_PASSWORD}
    wrong = browser.ask(f"{URL}/auth/token", "POST", json={**login, "password": "wrong"})
    assert wrong.status_code == 401
    token = browser.ask(f"{URL}/auth/token", "POST", json=login).json()["access_token"]
    browser.session.headers["Authorization"] = f"Bearer {token}"
    assert browser.ask(f"{URL}/api/v2/pools").status_code == 200
    assert create_pool(browser, "of-ci") == 403


def test_the_secret_is_in_no_config_map(installed: Target) -> None:
    everything = json.dumps(installed.items("configmaps", "-n", NAMESPACE))
    assert "oidc.json" in everything
    assert "of the client" not in everything


def test_a_token_of_the_session_and_logout(browse: Callable[[], Browser]) -> None:
    browser, program = browse(), browse()
    sign_on(browser, "ben")
    token = browser.cookies(HOST)["_token"].value
    program.session.headers["Authorization"] = f"Bearer {token}"
    assert program.ask(f"{URL}/api/v2/pools").status_code == 200
    page = browser.ask(f"{URL}/api/v2/auth/logout")
    assert "baseLoginUrl" in page.text, page.url
    assert "_token" not in browser.cookies(HOST)
    assert browser.ask(f"{URL}/api/v2/pools").status_code == 401
    assert program.ask(f"{URL}/api/v2/pools").status_code in (401, 403), "the token is revoked"
