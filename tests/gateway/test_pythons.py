"""The gateway as the chart starts it, with each Python that an Airflow image may have."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import pytest
from docker.errors import ContainerError

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.daemon import DaemonWorld
from tests.gateway.stand_ins.gateway import OWNER
from tests.gateway.stand_ins.http import Front
from tests.gateway.stand_ins.programs import Programs
from tests.support.paths import GATEWAY
from tests.support.ports import free_port
from tests.support.waiting import wait_until

#: All other tests here run with 3.11 or newer, in their own process.
VERSIONS = ("3.10", "3.12", "3.13")


def interpreter(version: str) -> str:
    """Give the path of a Python of this version; empty if the machine has none."""
    installed = Path(sys.base_prefix).parent.glob(f"{version}.*/bin/python{version}")
    for each in (*map(str, installed), shutil.which(f"python{version}")):
        if each and subprocess.run([each, "-c", ""], capture_output=True).returncode == 0:
            return each
    return ""


@contextmanager
def gateway(python: str, backend: str, directory: Path) -> Iterator[docker.DockerClient]:
    """Run the gateway before a stand-in; gives a client of it."""
    world = ClusterWorld() if backend == "cluster" else DaemonWorld()
    front = Front(world, directory / "node.sock" if backend == "daemon" else None)
    programs = Programs(world)
    (directory / "token").write_text("token")
    port = free_port()
    settings = {
        "backend": backend,
        "socket": str(directory / "d.sock"),
        "healthHost": "127.0.0.1",
        "healthPort": port,
    }
    if backend == "cluster":
        settings |= {"kubernetes": {"server": front.address, "tokenFile": str(directory / "token")}}
        settings |= {"tasks": {"namespace": "tasks"}}
    else:
        settings |= {"daemon": {"socket": front.address, "cgroupParent": "none"}}
    (directory / "gateway.json").write_text(json.dumps(settings))
    environment = {"AIRDOCK_GATEWAY_CONFIG": str(directory / "gateway.json"), "AIRDOCK_GATEWAY_OWNER": OWNER}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([python, "-SE", GATEWAY], env={**os.environ, **environment}, stderr=log)

    def ready() -> bool:
        assert process.poll() is None, (directory / "log").read_text()
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer,
        ):
            return bool(answer.read() == b"ok\n")
        return False

    try:
        wait_until(ready, 90, "the gateway is ready")
        client = docker.DockerClient(f"unix://{directory}/d.sock", timeout=30)
        yield client
        client.close()
    finally:
        process.terminate()
        process.wait(30)
        programs.close()
        front.close()


@pytest.mark.parametrize("backend", ["cluster", "daemon"])
@pytest.mark.parametrize("version", VERSIONS)
def test_containers_run(version: str, backend: str, tmp_path: Path) -> None:
    if not (python := interpreter(version)):
        pytest.skip(f"the machine has no Python {version}")
    with gateway(python, backend, tmp_path) as client:
        image = "busybox:1.37"
        assert client.containers.run(image, ["echo", "a"], remove=True) == b"a\n"
        with pytest.raises(ContainerError) as error:
            client.containers.run(image, ["exit", "3"])
        assert error.value.exit_status == 3
        container = client.containers.run(image, ["sleep"], detach=True)
        assert client.containers.list() == [container]
        container.stop()
        assert "container-ended" in (tmp_path / "log").read_text()
