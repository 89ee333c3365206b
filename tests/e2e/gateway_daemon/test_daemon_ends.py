"""The daemon goes away."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError

from tests.e2e.gateway_daemon.dockerd import Dockerd
from tests.e2e.gateway_daemon.support import (
    Gateway,
    create,
    native,
    needs_daemon,
    run,
)
from tests.support.waiting import wait_until

pytestmark = needs_daemon


#: Ends with 0 when asked to end: a daemon that goes down answers with that as its exit code.
POLITE = ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"]


def begun(client: docker.APIClient, command: Any) -> tuple[str, Any]:
    """Start a container that prints `ready`, and give its output when it has."""
    container = create(client, command, {"network_mode": "none"})
    stream = client.attach(container, stdout=True, stderr=True, stream=True)
    client.start(container)
    assert b"ready" in next(iter(stream))
    return container, stream


def infrastructure(client: docker.APIClient, container: str, stream: Any) -> str:
    """Read to the end, as DockerOperator does, and give why there is no exit code."""
    with contextlib.suppress(Exception):
        b"".join(stream)
    with pytest.raises(APIError) as error:
        client.wait(container)
    assert error.value.status_code == 500
    return str(error.value.explanation)


@native
@pytest.mark.parametrize("signal_name", ["TERM", "KILL"])
def test_the_daemon_ends(dockerd: Dockerd, signal_name: str) -> None:
    raw = dockerd.client()
    gateway = Gateway(raw, f"test-{os.getpid()}-{signal_name}", socket=str(dockerd.socket))
    gateway.start()
    try:
        client = gateway.client()
        container, stream = begun(client, POLITE)
        waiting: list[Any] = []

        def wait() -> None:
            try:
                waiting.append(gateway.client().wait(container))
            except Exception as error:
                waiting.append(error)

        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.3)
        dockerd.kill(signal_name)
        assert "Docker daemon" in infrastructure(client, container, stream)
        waiter.join(30)
        assert isinstance(waiting[0], APIError), waiting
        # As it is for a client of the daemon itself, which the case is worth for:
        wait_until(lambda: gateway.get("readyz") != "ok\n", 20, "it is noticed")
        dockerd.start()
        wait_until(lambda: gateway.get("readyz") == "ok\n", 20, "the new daemon is noticed")
        assert run(client, ["echo", "next"], {"network_mode": "none"}) == (0, b"next\n")
        wait_until(
            lambda: not dockerd.client().inspect_container(container)["State"]["Running"],
            30,
            "nothing runs on",
        )
    finally:
        gateway.close()
        raw.close()


@native
def test_a_polite_container_has_exit_code_0_when_its_daemon_ends(dockerd: Dockerd) -> None:
    client = dockerd.client()
    container, _ = begun(client, POLITE)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(dockerd.client().wait, container)
        time.sleep(0.3)
        dockerd.kill("TERM")
        assert answer.result(30)["StatusCode"] == 0, "what the gateway guards against is not there"


@native
def test_stopped_by_somebody_else(dockerd: Dockerd) -> None:
    raw = dockerd.client()
    gateway = Gateway(raw, f"test-{os.getpid()}-stopped", socket=str(dockerd.socket))
    gateway.start()
    try:
        client = gateway.client()
        container, stream = begun(client, POLITE)
        raw.stop(container)
        assert raw.wait(container)["StatusCode"] == 0
        assert "something else than this task stopped" in infrastructure(client, container, stream)
    finally:
        gateway.close()
        raw.close()


@native
@pytest.mark.xdist_group("native_cluster")  # its mount is the host's
def test_a_stale_socket_is_noticed(dockerd: Dockerd, tmp_path: Path) -> None:
    mounted = tmp_path / "docker.sock"
    mounted.touch()
    # As the kubelet mounts a hostPath of type Socket.
    subprocess.run(["mount", "--bind", dockerd.socket, mounted], check=True)
    raw = dockerd.client()
    gateway = Gateway(raw, f"test-{os.getpid()}-stale", socket=str(mounted))
    try:
        gateway.start()
        assert gateway.get("healthz") == "ok\n"
        dockerd.kill("TERM")
        dockerd.start()
        wait_until(
            lambda: "has created a new socket" in gateway.get("healthz"), 30, "the liveness probe fails"
        )
    finally:
        gateway.close()
        subprocess.run(["umount", mounted], check=True)
        raw.close()
