"""A private CA: Airflow and the daemon of mode dind reach a server with a certificate of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scripts.cluster import REGISTRY
from scripts.live import NAMESPACE, CommandError, Target
from scripts.overlays.definitions import merged
from tests.e2e.conftest import Release, install
from tests.support.certificates import authority, certificate

pytestmark = pytest.mark.touches("release")

SERVERS = "airdock-e2e-trust"
PAGE = "a page that only those see who trust the CA"
HOST = f"private.{SERVERS}.svc"
URL = f"https://{HOST}:8443/"
SERVE = f"""
import http.server, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Length", str(len({PAGE!r})))
        self.end_headers()
        self.wfile.write({PAGE.encode()!r})
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
GET = f"import {{0}}; print({{0}}.get('{URL}', timeout=10).text)"
CLIENTS = {
    "requests": ("python", "-c", GET.format("requests")),
    "httpx": ("python", "-c", GET.format("httpx")),
    "urllib": ("python", "-c", f"import urllib.request as r; print(r.urlopen('{URL}').read().decode())"),
    "curl": ("curl", "-sS", URL),
}
BUILD = f"FROM {REGISTRY}/library/busybox:1.37\nADD {URL} /page\nRUN cat /page\n"
IN_DIND = f"""
import io, docker
_, lines = docker.from_env().images.build(fileobj=io.BytesIO({BUILD.encode()!r}), rm=True, nocache=True)
print("".join(line.get("stream", "") for line in lines))
"""


def server(data: dict[str, str]) -> list[dict[str, Any]]:
    metadata = {"name": "private", "namespace": SERVERS, "labels": {"app": "private"}}
    container = {
        "name": "server",
        "image": "python:3.13-slim",
        "command": ["python", "-c", SERVE],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    volumes = [{"name": "tls", "secret": {"secretName": "private"}}]
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes}
    ports = {"selector": {"app": "private"}, "ports": [{"port": 8443}]}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SERVERS}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": ports},
    ]


@pytest.fixture(scope="module")
def trusting(dags: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The release with the CA, beside a server that has a certificate of it."""
    directory = tmp_path_factory.mktemp("trust")
    ca = authority(directory, "company")
    target: Target = dags.target
    name = {"name": "company-ca", "namespace": NAMESPACE}
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": name,
        "data": {"ca.crt": ca[1].read_text()},
    }
    try:
        target.apply(*server(certificate(directory, "private", SERVERS, ca)), config)
        target.kubectl("wait", "pod/private", "-n", SERVERS, "--for=condition=Ready", "--timeout=90s")
        install(target, merged(dags.values, {"trust": {"configMap": "company-ca"}}))
        yield dags
    finally:
        install(target, dags.values)
        target.kubectl("delete", "configmap", "company-ca", "-n", NAMESPACE, "--ignore-not-found")
        target.kubectl("delete", "namespace", SERVERS, "--wait=false", "--ignore-not-found")


@pytest.mark.parametrize("client", CLIENTS)
def test_airflow_trusts_it(trusting: Release, client: str) -> None:
    for component in ("api-server", "dag-processor", "triggerer", "worker"):
        pod = trusting.staying(component)[0]["metadata"]["name"]
        assert PAGE in trusting.inside(pod, component, *CLIENTS[client]), component
        without = ("env", "-u", "SSL_CERT_FILE", "-u", "REQUESTS_CA_BUNDLE", "-u", "CURL_CA_BUNDLE")
        with pytest.raises(CommandError, match="certificate"):
            trusting.inside(pod, component, *without, *CLIENTS[client])
        bundle = trusting.inside(pod, component, "cat", "/opt/airdock-trust/ca-certificates.crt")
        assert bundle.count("BEGIN CERTIFICATE") > 100, "the image's own count, too"


def test_git_trusts_it(trusting: Release) -> None:
    """It is told that there is no repository, by a server that it believes."""
    pod = trusting.staying("dag-processor")[0]["metadata"]["name"]
    ask = ("git", "ls-remote", f"{URL}x.git")
    with pytest.raises(CommandError, match="not found"):
        trusting.inside(pod, "dag-processor", *ask)
    with pytest.raises(CommandError, match="certificate"):
        trusting.inside(pod, "dag-processor", "env", "-u", "GIT_SSL_CAINFO", *ask)


def test_the_daemon_of_mode_dind_trusts_it(trusting: Release) -> None:
    for group in trusting.groups:
        if group.mode == "dind":
            worker = trusting.worker(group.name)
            assert PAGE in trusting.inside(worker, "worker", "python", "-c", IN_DIND)
