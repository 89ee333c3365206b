"""The Docker gateway as a filter before a real Docker daemon.

The daemon is the node's of the native cluster, an older engine on that node (DOCKER), or
AIRDOCK_DOCKER_SOCKET; it must have busybox:1.37 or get it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts.cluster import DOCKER_SOCKET
from scripts.cluster.settings import NODE_ROOT
from tests.e2e.gateway_daemon.dockerd import ENGINE
from tests.support.paths import GATEWAY
from tests.support.waiting import wait_until

#: Name of the daemon of another engine. Each worker of xdist has one.
OTHER = f"engine-{os.getpid()}" if ENGINE else ""
_SOCKET = f"/run/{OTHER}/docker.sock" if OTHER else os.environ.get("AIRDOCK_DOCKER_SOCKET", "")
SOCKET = NODE_ROOT / _SOCKET[1:] if OTHER else Path(_SOCKET or DOCKER_SOCKET)
#: The same socket as the daemon's machine sees it.
NODE_SOCKET = _SOCKET or "/var/run/docker.sock"
BUSYBOX = "busybox:1.37"
OWNER = "airdock.dev/gateway"
#: No bridge: the test daemon may have none, and no test needs one.
NETWORK = os.environ.get("AIRDOCK_DOCKER_NETWORK") or "default"


def usable() -> bool:
    try:
        return stat.S_ISSOCK((DOCKER_SOCKET if OTHER else SOCKET).stat().st_mode)
    except OSError:
        return False


needs_daemon = pytest.mark.skipif(not usable(), reason=f"there is no Docker daemon at {SOCKET}")
native = pytest.mark.skipif(not OTHER and SOCKET != DOCKER_SOCKET, reason="needs the native cluster's node")


class Gateway:
    """A gateway process before the daemon."""

    def __init__(self, raw: docker.APIClient, owner: str, **rules: Any) -> None:
        self.raw, self.owner = raw, owner
        self.directory = Path(tempfile.mkdtemp(prefix="gw"))
        self.socket = self.directory / "docker.sock"
        self.rules = {"socket": str(SOCKET), **rules}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        file = self.directory / "gateway.json"
        settings = {
            "backend": "daemon",
            "socket": str(self.socket),
            "healthHost": "127.0.0.1",
            "healthPort": port,
        }
        file.write_text(json.dumps({**settings, "daemon": self.rules}))
        environment = {"AIRDOCK_GATEWAY_CONFIG": str(file), "AIRDOCK_GATEWAY_OWNER": self.owner}
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-SE", str(GATEWAY)], env=environment, stderr=log
            )

        self.port = port
        wait_until(lambda: self.get("readyz") == "ok\n", 20, "the gateway is ready")

    def get(self, path: str) -> str:
        """Give what the health port answers, with any status."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    def client(self) -> docker.APIClient:
        return docker.APIClient(f"unix://{self.socket}", timeout=60)

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(40)

    def left(self) -> list[dict[str, Any]]:
        return list(self.raw.containers(all=True, filters={"label": f"{OWNER}={self.owner}"}))

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill(signal.SIGTERM)
        for each in self.left():
            self.raw.remove_container(each["Id"], force=True)


Start = Callable[..., Gateway]


def create(client: docker.APIClient, command: Any, host: dict[str, Any] | None = None, **config: Any) -> str:
    options = {"cpu_shares": 1024, "network_mode": NETWORK, **(host or {})}
    return str(
        client.create_container(BUSYBOX, command, host_config=client.create_host_config(**options), **config)[
            "Id"
        ]
    )


def run(
    client: docker.APIClient, command: Any, host: dict[str, Any] | None = None, **config: Any
) -> tuple[int, bytes]:
    container = create(client, command, host, **config)
    stream = client.attach(container, stdout=True, stderr=True, stream=True)
    client.start(container)
    output = b"".join(stream)
    return int(client.wait(container)["StatusCode"]), output
