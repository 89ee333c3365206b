"""A whole gateway in this process, with a stand-in behind it, and a client that does what it is told."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker_gateway.cluster import Cluster
from docker_gateway.cluster_api import KubernetesApi
from docker_gateway.daemon import Daemon
from docker_gateway.daemon_api import DaemonApi
from docker_gateway.health import Metrics
from docker_gateway.remarks import PREFIX
from docker_gateway.server import Server
from docker_gateway.settings import Daemon as DaemonSettings
from docker_gateway.settings import Kubernetes, Settings, Tasks
from docker_gateway.wire import STDERR, STDOUT

from .cluster import ClusterWorld
from .daemon import DaemonWorld
from .direct import ClusterDirect, DaemonDirect
from .http import Front
from .world import World

REMARK = PREFIX.encode()
BACKENDS = ("cluster", "daemon")
OWNER = "11111111-2222-3333-4444-555555555555"


class Client:
    """One connection of a client."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self._output = b""
        #: What `output` has read, by stream.
        self.streams: dict[int, bytes] = {}

    def send(self, method: str, path: str, body: Any = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        length = f"Content-Length: {len(data)}\r\n" if data else ""
        self.socket.sendall(f"{method} /v1.47{path} HTTP/1.1\r\nHost: a\r\n{length}\r\n".encode() + data)

    def answer(self) -> tuple[int, Any]:
        """Read an answer. Raises ConnectionError when there is none."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._some()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
        while len(body) < length:
            body += self._some()
        # What follows an answer to `attach` is output.
        self._output = body[length:]
        return int(head.split()[1]), json.loads(body[:length]) if length else None

    def _some(self) -> bytes:
        if not (data := self.socket.recv(65536)):
            raise ConnectionError("the gateway closed the connection")
        return data

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        self.send(method, path, body)
        return self.answer()

    def create(self, **body: Any) -> str:
        status, answer = self.ask("POST", "/containers/create", {"Image": "busybox:1.37", **body})
        assert status == 201, answer
        return str(answer["Id"])

    def attach(self, container: str, streams: str = "stdout=1&stderr=1") -> int:
        self.send("POST", f"/containers/{container}/attach?stream=1&{streams}&logs=1")
        return self.answer()[0]

    def hear(self) -> bool:
        """Read the output that is there; False at its end."""
        with contextlib.suppress(ConnectionError):
            while select.select([self.socket], [], [], 0)[0]:
                self._output += self._some()
            return True
        return False

    def raw(self) -> bytes:
        """Read what comes to its end."""
        data = self._output
        with contextlib.suppress(ConnectionError):
            while True:
                data += self._some()
        return data

    def output(self) -> bytes:
        """Read an attached container's output to its end."""
        data = self.raw()
        self.streams = {STDOUT: b"", STDERR: b""}
        text = b""
        while data:
            kind, size = data[0], int.from_bytes(data[4:8])
            self.streams[kind] += data[8 : 8 + size]
            text, data = text + data[8 : 8 + size], data[8 + size :]
        assert REMARK not in self.streams[STDOUT], "what the gateway itself says is standard error"
        return text

    def printed(self) -> bytes:
        """Read to the end what the container printed, without what the gateway says."""
        self.output()
        return self.streams[STDOUT]

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Gateway:
    """Server and backend; `world` is what stands behind them."""

    def __init__(
        self, backend: str, directory: Path, direct: bool = False, world: World | None = None, **tasks: Any
    ) -> None:
        self.path, self.front, self.closed = directory / "docker.sock", None, False
        self.world: World = world or (ClusterWorld() if backend == "cluster" else DaemonWorld())
        address = ""
        if not direct:
            self.front = Front(self.world, directory / "node.sock" if backend == "daemon" else None)
            address = self.front.address
        (directory / "token").write_text("token")
        kubernetes = Kubernetes(server=address, token_file=str(directory / "token"))
        settings = Settings(
            backend=backend, owner=OWNER, kubernetes=kubernetes, tasks=Tasks(**{"stdin": True, **tasks}),
            daemon=DaemonSettings(socket=address, cgroup_parent="none"),
        )  # fmt: skip
        self.metrics = Metrics()
        self.backend: Cluster | Daemon
        if isinstance(self.world, ClusterWorld):
            api = ClusterDirect(self.world) if direct else KubernetesApi(kubernetes)
            self.backend = Cluster(settings, self.metrics, api)
        elif isinstance(self.world, DaemonWorld):
            self.backend = Daemon(
                settings, self.metrics, DaemonDirect(self.world) if direct else DaemonApi(address)
            )
        self.backend.run()
        self.server = Server(self.path, self.backend, self.metrics)
        self.thread = threading.Thread(target=self.server.serve, name="serve", daemon=True)
        self.thread.start()

    def client(self) -> Client:
        return Client(self.path)

    def attached(self) -> tuple[Client, str]:
        """Give a client that is attached to a container that another one started, and the container's id."""
        client, other = self.client(), self.client()
        container = other.create()
        client.attach(container)
        assert other.ask("POST", f"/containers/{container}/start")[0] == 204
        other.close()
        return client, container

    def close(self) -> None:
        """End as __main__ does, once."""
        if self.closed:
            return
        self.closed = True
        self.server.close()
        self.server.drain(20)
        self.backend.close()
        if self.front:
            self.front.close()


@contextlib.contextmanager
def running(backend: str, directory: Path, **more: Any) -> Iterator[Gateway]:
    gateway = Gateway(backend, directory, **more)
    try:
        yield gateway
    finally:
        gateway.close()
