"""The gateway as a process of its own."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import FILES
from tests.support.waiting import wait_until

PING = b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n"


class Program:
    """A gateway as the chart runs it, with a limit of open files, and its settings `kubernetes`."""

    def __init__(self, directory: Path, soft: int, hard: int, kubernetes: dict[str, str]) -> None:
        self.path = directory / "docker.sock"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        (directory / "settings.json").write_text(
            json.dumps(
                {
                    "socket": str(self.path),
                    "healthPort": self.port,
                    "healthHost": "127.0.0.1",
                    "kubernetes": kubernetes,
                }
            )
        )
        environment = {
            "AIRDOCK_GATEWAY_CONFIG": str(directory / "settings.json"),
            "AIRDOCK_GATEWAY_OWNER": "owner",
        }
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-SE", str(FILES / "docker_gateway")],
                env=environment,
                stderr=log,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
            )
        wait_until(lambda: b"listening" in self.log.read_bytes(), 60, "it listens")

    def connect(self, health: bool) -> socket.socket:
        sock = socket.socket(socket.AF_INET if health else socket.AF_UNIX)
        sock.connect(("127.0.0.1", self.port) if health else str(self.path))
        sock.settimeout(60)
        return sock

    def healthy(self) -> bool:
        with self.connect(health=True) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            return sock.recv(1000).startswith(b"HTTP/1.1 200 ")

    def pings(self) -> bool:
        with self.connect(health=False) as sock:
            try:
                sock.sendall(PING)
                return sock.recv(1000).startswith(b"HTTP/1.1 200 ")
            except ConnectionError:
                return False

    def files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextmanager
def program(
    directory: Path, soft: int, hard: int, kubernetes: dict[str, str] | None = None
) -> Iterator[Program]:
    nothing = {"server": "http://127.0.0.1:9", "tokenFile": "/nowhere"}
    started = Program(directory, soft, hard, kubernetes or nothing)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
