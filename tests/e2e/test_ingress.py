"""Airflow by a name: nginx as a controller would set it up for the chart's Ingress, and nobody past it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
import urllib3

from scripts.chart.helm import CHART
from scripts.cluster import REGISTRY, debian
from scripts.live import RELEASE, CommandError, Target, registry_image
from scripts.live.airflow_api import PortForward
from scripts.overlays.definitions import merged
from tests.e2e.conftest import SMALL, starting, wait_until
from tests.support.certificates import authority, certificate

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-ingress"
CONTROLLERS = "airdock-e2e-controller"
IMAGE = f"{REGISTRY}/e2e/nginx:1"
HOST, OTHER, PATH = "airflow.example.com", "flow.example.org", "/team-a"
LABELS = {"app": "controller"}
#: The api-server and what it needs: nothing here runs a task.
VALUES: dict[str, Any] = {
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "host": HOST,
        "path": PATH,
        "tlsSecretName": "airflow-tls",
        "hosts": {OTHER: {"tlsSecretName": "flow-tls"}},
    },
    "networkPolicy": {
        "uiFrom": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": CONTROLLERS}},
                "podSelector": {"matchLabels": LABELS},
            }
        ]
    },
    "controlPlane": {name: {"replicas": 0} for name in ("scheduler", "dagProcessor", "triggerer")},
    "workers": {"default": {"mode": "dind", "replicas": 0}},
}
CONNECT = f"import socket; socket.create_connection(('{RELEASE}-api-server.{NAMESPACE}.svc', 8080), 3)"
Ask = Callable[..., urllib3.BaseHTTPResponse]


def settings(ingress: dict[str, Any], address: str) -> str:
    """An nginx.conf for an Ingress whose paths are all of one Service, at this address."""
    secrets = {host: entry["secretName"] for entry in ingress["tls"] for host in entry["hosts"]}
    ends = "listen 8443 ssl{0}; ssl_certificate /settings/{1}.crt; ssl_certificate_key /settings/{1}.key;"
    servers = ["server { " + ends.format(" default_server", secrets[ingress["rules"][0]["host"]])]
    servers[0] += " return 404; }"
    for rule in ingress["rules"]:
        host = rule["host"]
        server = f"server {{ server_name {host}; {ends.format('', secrets[host])}"
        for entry in rule["http"]["paths"]:
            assert entry["pathType"] == "Prefix"
            path = entry["path"].rstrip("/")
            # By segments: /team-a and what is below it, not /team-ab.
            for location in (f"= {path}", f"{path}/"):
                server += f" location {location} {{ proxy_pass http://{address}; }}"
        servers.append(server + " }")
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    headers = {"Host": "$host", "X-Forwarded-For": "$remote_addr", "X-Forwarded-Proto": "$scheme"}
    return "\n".join(
        [
            "pid /tmp/nginx.pid; worker_processes 1; error_log stderr; events {}",
            "http { access_log /dev/stdout;",
            *(f"{name}_temp_path /tmp/{name};" for name in temporary),
            *(f"proxy_set_header {name} {value};" for name, value in headers.items()),
            *servers,
            "}\n",
        ]
    )


def pod(name: str, container: dict[str, Any], **more: Any) -> dict[str, Any]:
    labels = more.pop("labels", {})
    spec = {"containers": [{"name": name, **container}], "terminationGracePeriodSeconds": 1, **more}
    metadata = {"name": name, "namespace": CONTROLLERS, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def tls(name: str, data: dict[str, str]) -> dict[str, Any]:
    content = {key: data[key] for key in ("tls.crt", "tls.key")}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata,
            "stringData": content}  # fmt: skip


def start_controller(target: Target) -> None:
    """Read the Ingress, the Service and the Secrets as a controller does, and start nginx with them."""
    ingress = target.get("ingress", f"{RELEASE}-api-server", "-n", NAMESPACE)["spec"]
    assert ingress["ingressClassName"] == "nginx"
    service = target.get("service", f"{RELEASE}-api-server", "-n", NAMESPACE)["spec"]
    data = {"nginx.conf": settings(ingress, f"{service['clusterIP']}:{service['ports'][0]['port']}")}
    for entry in ingress["tls"]:
        secret = target.secret(entry["secretName"], NAMESPACE)
        data |= {f"{entry['secretName']}.{end}": secret[f"tls.{end}"] for end in ("crt", "key")}
    metadata = {"name": "settings", "namespace": CONTROLLERS}
    container = {
        "image": IMAGE,
        "command": ["nginx", "-e", "stderr", "-c", "/settings/nginx.conf", "-g", "daemon off;"],
        "volumeMounts": [{"name": "settings", "mountPath": "/settings"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    volumes = [{"name": "settings", "secret": {"secretName": "settings"}}]
    target.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data},
        pod("controller", container, volumes=volumes, labels=LABELS),
        pod("stranger", {"image": "python:3.13-slim", "command": ["sleep", "3600"]}),
    )
    target.kubectl("wait", "pod", "--all", "-n", CONTROLLERS, "--for=condition=Ready", "--timeout=90s")


@pytest.fixture(scope="module")
def published(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A release with an Ingress, and its controller."""
    if not target.native:
        pytest.skip("the image of the controller is made in the native cluster's registry")
    nginx = debian.binary("nginx", "usr/sbin/nginx")
    registry_image.push(IMAGE, {"usr/sbin/nginx": nginx}, base=f"{REGISTRY}/library/python:3.13-slim")
    directory = tmp_path_factory.getbasetemp()
    ca = authority(directory, "ingress-ca")
    for name in (NAMESPACE, CONTROLLERS):
        target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        target.apply(
            tls("airflow-tls", certificate(directory, HOST, NAMESPACE, ca)),
            tls("flow-tls", certificate(directory, OTHER, NAMESPACE, ca)),
        )
        with starting():
            target.helm(
                "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
                stdin=json.dumps(merged(SMALL, VALUES)),
            )  # fmt: skip
            start_controller(target)
            ready = ("rollout", "status", f"deployment/{RELEASE}-api-server", "-n", NAMESPACE)
            target.kubectl(*ready, "--timeout=300s", timeout=310)
        yield target
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
        target.kubectl("delete", "namespace", NAMESPACE, CONTROLLERS, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def ask(published: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """`ask(path, host=HOST)` gives what the controller answers, with the certificate of that host."""
    ca = tmp_path_factory.getbasetemp() / "ingress-ca.crt"
    with PortForward(published.kubectl_command, CONTROLLERS, "pod/controller", 8443) as forward:

        def asked(path: str, host: str = HOST, method: str = "GET", **more: Any) -> urllib3.BaseHTTPResponse:
            port = int(forward.url().rpartition(":")[2])
            headers = {"Host": host, **more.pop("headers", {})}
            with urllib3.HTTPSConnectionPool(
                "127.0.0.1", port, server_hostname=host, assert_hostname=host, ca_certs=str(ca)
            ) as pool:
                return pool.request(method, path, headers=headers, redirect=False, timeout=20, **more)

        yield asked


@pytest.mark.parametrize("host", [HOST, OTHER])
def test_the_ui(ask: Ask, host: str) -> None:
    page = ask(f"{PATH}/", host)
    assert page.status == 200
    text = page.data.decode()
    (base,) = re.findall(r'<base href="([^"]*)"', text)
    assert base == f"{PATH}/"
    (script, *_) = re.findall(r'<script[^>]* src="([^"]+)"', text)
    answer = ask(urljoin(base, script), host)
    assert answer.status == 200, script
    assert "javascript" in answer.headers["Content-Type"]


def test_the_login_and_the_api(published: Target, ask: Ask) -> None:
    assert ask(f"{PATH}/api/v2/version").status == 200
    assert ask(f"{PATH}/api/v2/dags").status == 401
    page = ask(f"{PATH}/api/v2/auth/login")
    assert page.status in (302, 307)
    place = re.sub(rf"^https://{re.escape(HOST)}(?=/)", "", page.headers["Location"])
    assert place.startswith(f"{PATH}/auth/login"), place
    assert ask(place).status == 200
    admin = published.secret(f"{RELEASE}-admin", NAMESPACE)
    login = {key: admin[key] for key in ("username", "password")}
    wrong = ask(f"{PATH}/auth/token", method="POST", json={**login, "password": "wrong"})
    assert wrong.status == 401
    token = ask(f"{PATH}/auth/token", method="POST", json=login).json()["access_token"]
    found = ask(f"{PATH}/api/v2/dags", headers={"Authorization": f"Bearer {token}"})
    assert found.status == 200
    assert found.json()["total_entries"] == 0


def test_cookies_are_for_https_only(ask: Ask) -> None:
    """Only the proxy knows that users come by https, and no client can say otherwise."""
    for forged in ({}, {"X-Forwarded-Proto": "http"}):
        page = ask(f"{PATH}/api/v2/auth/logout", headers=forged)
        cookies = page.headers.getlist("Set-Cookie")
        assert cookies
        for cookie in cookies:
            assert re.search("; secure(;|$)", cookie, re.IGNORECASE), cookie


def test_nothing_outside_the_path_and_the_hosts(ask: Ask) -> None:
    for path in ("/", "/api/v2/version", f"{PATH}b/api/v2/version"):
        assert ask(path).status == 404, path
    assert ask(f"{PATH}/api/v2/version", headers={"Host": "else.example.com"}).status == 404


def test_the_network_policy_admits_the_controller_alone(published: Target) -> None:
    """A pod beside it cannot connect, until it has the controller's label."""
    connect = ("exec", "stranger", "-n", CONTROLLERS, "--", "python", "-c", CONNECT)
    with pytest.raises(CommandError, match="timed out"):
        published.kubectl(*connect)
    label, value = next(iter(LABELS.items()))
    published.kubectl("label", "pod", "stranger", "-n", CONTROLLERS, f"{label}={value}")

    def connects() -> bool:
        try:
            published.kubectl(*connect)
        except CommandError:
            return False
        return True

    wait_until(connects, 30, "the label admits the pod")
