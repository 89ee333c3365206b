"""Behind a proxy: the release's pods reach nothing outside but tinyproxy, and use it for that alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.cluster import REGISTRY
from scripts.cluster.settings import POD_NETWORK
from scripts.live import NAMESPACE, CommandError, Target, registry_image
from scripts.overlays.definitions import merged
from scripts.tools import apt
from tests.e2e.conftest import Release, install, wait_until

pytestmark = pytest.mark.touches("release")

OUTSIDE = "outside.example.com"
PROXIES = "airdock-e2e-proxy"
PORT = 3128
URL = f"http://proxy.{PROXIES}.svc.cluster.local:{PORT}"
IMAGE = f"{REGISTRY}/e2e/tinyproxy:1"
SETTINGS = f"Port {PORT}\nListen 0.0.0.0\nTimeout 60\nMaxClients 50\nLogLevel Connect\n"
PAGE = "a page of the world outside"
TO_PROXY = [
    {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": PROXIES}}}],
        "ports": [{"port": PORT}],
    }
]
BUILD = f"FROM {REGISTRY}/library/busybox:1.37\nRUN wget -qO- http://{OUTSIDE}/\n"
#: In mode dind's worker: what Airflow's Docker operators use.
PULL_AND_BUILD = f"""
import io, docker
client = docker.from_env()
client.images.pull("{REGISTRY}/library/python:3.13-slim")
_, lines = client.images.build(fileobj=io.BytesIO({BUILD.encode()!r}), use_config_proxy=True, rm=True)
print("".join(line.get("stream", "") for line in lines))
"""
GET = "import sys, {0}; print({0}.get(sys.argv[1], timeout=10).text)"


def values(release: Release) -> dict[str, Any]:
    strict = {"egress": "strict", "egressRules": TO_PROXY}
    dind = {
        group.name: {"dind": {"proxy": {"containers": True}}}
        for group in release.groups
        if group.mode == "dind"
    }
    return {
        "proxy": {"http": URL, "https": URL, "noProxy": [POD_NETWORK], "tasks": True},
        "networkPolicy": strict,
        "tasks": {"networkPolicy": strict},
        "workers": dind,
    }


def pod(name: str, image: str, command: list[str], **spec: Any) -> dict[str, Any]:
    container = {"name": name, "image": image, "command": command, **spec.pop("container", {})}
    metadata = {"name": name, "namespace": PROXIES, "labels": {"app": name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec},
    }


@pytest.fixture(scope="module")
def outside(target: Target) -> Iterator[str]:
    """A server that only the proxy knows by its name, and the proxy: the server's address."""
    if not target.native:
        pytest.skip("the image of the proxy is made in the native cluster's registry")
    if shutil.which("tinyproxy") is None:
        apt.install(["tinyproxy-bin"], "the proxy of a test")
    program = Path(str(shutil.which("tinyproxy")))
    files = {"usr/bin/tinyproxy": program, "etc/tinyproxy.conf": SETTINGS}
    registry_image.push(IMAGE, files, base=f"{REGISTRY}/library/python:3.13-slim")
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROXIES}})
    try:
        script = f"mkdir /tmp/www && echo '{PAGE}' >/tmp/www/index.html && exec httpd -f -p 80 -h /tmp/www"
        target.apply(pod("outside", "busybox:1.37", ["sh", "-c", script]))
        target.kubectl("wait", "pod/outside", "-n", PROXIES, "--for=condition=Ready", "--timeout=90s")
        address = str(target.get("pod", "outside", "-n", PROXIES)["status"]["podIP"])
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "proxy", "namespace": PROXIES},
            "spec": {"selector": {"app": "proxy"}, "ports": [{"port": PORT}]},
        }
        ready = {"readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1}}
        command = ["tinyproxy", "-d", "-c", "/etc/tinyproxy.conf"]
        aliases = [{"ip": address, "hostnames": [OUTSIDE]}]
        target.apply(service, pod("proxy", IMAGE, command, hostAliases=aliases, container=ready))
        target.kubectl("wait", "pod/proxy", "-n", PROXIES, "--for=condition=Ready", "--timeout=90s")
        yield address
    finally:
        target.kubectl("delete", "namespace", PROXIES, "--wait=false")


@pytest.fixture(scope="module")
def behind(dags: Release, outside: str) -> Iterator[Release]:
    """The release with the proxy, and policies that admit nothing else."""
    try:
        install(dags.target, merged(dags.values, values(dags)))
        yield dags
    finally:
        install(dags.target, dags.values)


def asked(target: Target) -> list[str]:
    """The hosts that the proxy was asked for."""
    lines = target.kubectl("logs", "proxy", "-n", PROXIES)
    return re.findall(r"Request \(file descriptor \d+\): \w+ (?:http://)?([^/: ]+)", lines)


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_airflow_reaches_the_world_through_it_alone(behind: Release, outside: str, library: str) -> None:
    for component in ("api-server", "dag-processor", "triggerer", "worker"):
        name = behind.staying(component)[0]["metadata"]["name"]
        get = ("python", "-c", GET.format(library))
        assert PAGE in behind.inside(name, component, *get, f"http://{OUTSIDE}/"), component
        with pytest.raises(CommandError, match=r"Connect(ion)?(Timeout|Error)"):
            behind.inside(name, component, "env", "NO_PROXY=*", "no_proxy=*", *get, f"http://{outside}/")


def test_task_pods_reach_the_world_through_it(behind: Release) -> None:
    for group in behind.serving("kubernetes"):
        for kind in ("docker", "pod", "deferred"):
            run = behind.start(f"e2e_{kind}_{group.queue}", f"wget -qO- http://{OUTSIDE}/")
            assert run.wait() == "success", run.log
            # The api-server reads it from the worker.
            assert PAGE in run.log


def test_a_daemon_pulls_and_builds_through_it(behind: Release) -> None:
    for group in behind.groups:
        if group.mode == "dind":
            said = behind.inside(behind.worker(group.name), "worker", "python", "-c", PULL_AND_BUILD)
            assert PAGE in said
            run = behind.start(f"e2e_docker_{group.queue}", f"wget -qO- http://{OUTSIDE}/")
            assert run.wait() == "success", run.log
            wait_until(lambda: REGISTRY.partition(":")[0] in asked(behind.target), 10, "a pull by the proxy")


def test_no_connection_of_the_release_goes_through_it(behind: Release) -> None:
    """After all the above: DAGs have run, their logs were read, task pods were created and watched."""
    found = set(asked(behind.target))
    assert OUTSIDE in found
    assert found <= {OUTSIDE, REGISTRY.partition(":")[0]}, f"{NAMESPACE}: {found}"
