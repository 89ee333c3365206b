"""A private CA: who reaches a server with a certificate of it.

Airflow and the daemon of mode dind always, task pods and containers of daemons on request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.cluster import REGISTRY
from scripts.live import NAMESPACE, TASKS, CommandError, Target
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
PYTHON = "python:3.13-slim"
BUNDLE = "/opt/airdock-trust/ca-certificates.crt"
#: In a container: the page, or why there is none. By the address: the node's daemon has no names of Services.
LOOK = f"""
import socket, ssl
context = ssl.create_default_context()
print("certificates:", len(context.get_ca_certs()))
try:
    with socket.create_connection(("ADDRESS", 8443), 20) as plain:
        with context.wrap_socket(plain, server_hostname="{HOST}") as secure:
            secure.sendall(b"GET / HTTP/1.0" + bytes([13, 10, 13, 10]))
            print(b"".join(iter(lambda: secure.recv(4096), b"")).decode())
except ssl.SSLError as error:
    print(error.reason)
"""
#: In mode dind's worker, as docs/trust.md has it for the docker program.
RUN_IN_DIND = """
import os, sys, docker
there = os.path.dirname(os.environ["SSL_CERT_FILE"])
print(docker.from_env().containers.run(
    sys.argv[1], ["python", "-c", sys.argv[2]], remove=True,
    volumes=[f"{there}:{there}:ro"], environment={"SSL_CERT_FILE": os.environ["SSL_CERT_FILE"]},
).decode())
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
def private(dags: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a certificate of a private CA, which is in a ConfigMap: its address."""
    directory = tmp_path_factory.mktemp("trust")
    ca = authority(directory, "company")
    target: Target = dags.target
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "company-ca", "namespace": NAMESPACE},
        "data": {"ca.crt": ca[1].read_text()},
    }
    # A run that was killed may have left a server with the certificate of another CA.
    target.kubectl("delete", "namespace", SERVERS, "--ignore-not-found")
    try:
        target.apply(*server(certificate(directory, "private", SERVERS, ca)), config)
        target.kubectl("wait", "pod/private", "-n", SERVERS, "--for=condition=Ready", "--timeout=90s")
        yield str(target.get("pod", "private", "-n", SERVERS)["status"]["podIP"])
    finally:
        target.kubectl("delete", "configmap", "company-ca", "-n", NAMESPACE, "--ignore-not-found")
        target.kubectl("delete", "namespace", SERVERS, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def trusting(dags: Release, private: str) -> Iterator[Release]:
    """The release with the CA, for tasks, too. Their ConfigMap is made as docs/trust.md says."""
    target: Target = dags.target
    trust = {"configMap": "company-ca", "tasks": {"configMap": "company-bundle"}, "containers": True}
    metadata = {"name": "company-bundle", "namespace": TASKS}
    try:
        install(target, merged(dags.values, {"trust": trust}))
        api_server = dags.staying("api-server")[0]["metadata"]["name"]
        data = {"ca.crt": dags.inside(api_server, "api-server", "cat", BUNDLE)}
        bundle = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        target.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(bundle))
        yield dags
    finally:
        install(target, dags.values)
        target.kubectl("delete", "configmap", "company-bundle", "-n", TASKS, "--ignore-not-found")


def seen_by_tasks(release: Release, address: str) -> dict[str, str]:
    """What a container of each mode and a pod print, by DAG."""
    script = f"python - <<'END'\n{LOOK.replace('ADDRESS', address)}\nEND"
    ids = [f"e2e_docker_{group.queue}" for group in release.serving("docker")]
    ids += [f"e2e_pod_{group.queue}" for group in release.serving("kubernetes")]
    runs = [release.start(dag_id, script, image=PYTHON) for dag_id in ids]
    for run in runs:
        assert run.wait() == "success", run.log
    return {run.dag_id: run.log for run in runs}


def test_no_task_trusts_it_unasked(dags: Release, private: str) -> None:
    for dag_id, log in seen_by_tasks(dags, private).items():
        assert "CERTIFICATE_VERIFY_FAILED" in log, dag_id
        assert PAGE not in log


def test_every_task_trusts_it_on_request(trusting: Release, private: str) -> None:
    """Containers of the three modes, and pods of the Kubernetes operators; and public certificates count."""
    for dag_id, log in seen_by_tasks(trusting, private).items():
        assert PAGE in log, (dag_id, log)
        certificates = re.search(r"certificates: (\d+)", log)
        assert certificates, (dag_id, log)
        assert int(certificates[1]) > 100, dag_id


def test_the_docker_program_of_mode_dind_is_given_it(trusting: Release, private: str) -> None:
    for group in trusting.groups:
        if group.mode == "dind":
            look = LOOK.replace("ADDRESS", private)
            run = ("python", "-c", RUN_IN_DIND, PYTHON, look)
            assert PAGE in trusting.inside(trusting.worker(group.name), "worker", *run)


@pytest.mark.parametrize("client", CLIENTS)
def test_airflow_trusts_it(trusting: Release, client: str) -> None:
    for component in ("api-server", "dag-processor", "triggerer", "worker"):
        pod = trusting.staying(component)[0]["metadata"]["name"]
        assert PAGE in trusting.inside(pod, component, *CLIENTS[client]), component
        without = ("env", "-u", "SSL_CERT_FILE", "-u", "REQUESTS_CA_BUNDLE", "-u", "CURL_CA_BUNDLE")
        with pytest.raises(CommandError, match="certificate"):
            trusting.inside(pod, component, *without, *CLIENTS[client])
        bundle = trusting.inside(pod, component, "cat", BUNDLE)
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
