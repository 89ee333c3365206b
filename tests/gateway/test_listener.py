"""The limits of each port, and what happens above them."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from docker_gateway import health_port, listener

from tests.support.attacks import AUTHOR
from tests.support.paths import FILES
from tests.support.waiting import wait_until

#: What a container runtime may set: the limit may be raised, or not.
LIMITS = [(256, 256), (512, 4096)]
PING = b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n"


class Program:
    """A gateway as the chart runs it, with a limit of open files and nothing behind it."""

    def __init__(self, directory: Path, soft: int, hard: int) -> None:
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
                    "kubernetes": {"server": "http://127.0.0.1:9", "tokenFile": "/nowhere"},
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
def program(directory: Path, soft: int, hard: int) -> Iterator[Program]:
    started = Program(directory, soft, hard)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


@pytest.mark.parametrize(("soft", "hard"), LIMITS)
@pytest.mark.attack(actor=AUTHOR, finding=(10,))
def test_no_number_of_clients_ends_the_gateway_or_its_health_port(
    soft: int, hard: int, tmp_path: Path
) -> None:
    """More connections than the process may have files, to each port, by clients that say nothing."""
    with program(tmp_path, soft, hard) as gateway:
        for health in (False, True):
            with ExitStack() as stack:
                for _ in range(soft + 100):
                    stack.enter_context(gateway.connect(health))
                assert gateway.healthy()
                assert health == gateway.pings() or hard > soft
                assert gateway.files() < hard
            wait_until(gateway.pings, 60, "the next client is served")
        assert gateway.process.poll() is None
        assert b"accept-failed" not in gateway.log.read_bytes()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(60) == 0
        assert b'"ended"' in gateway.log.read_bytes()


@pytest.mark.attack(actor=AUTHOR, finding=(10,))
def test_slow_clients_of_the_health_port_hold_up_no_create(tmp_path: Path) -> None:
    with program(tmp_path, 512, 512) as gateway, ExitStack() as stack:
        for length in (b"Content-Length: 2000000", b"Transfer-Encoding: chunked"):
            for _ in range(10):
                slow = stack.enter_context(gateway.connect(health=True))
                slow.sendall(b"POST /healthz HTTP/1.1\r\nHost: a\r\n" + length + b"\r\n\r\n")
                assert not slow.recv(1000)
        body = b'"' + b"a" * 100_000 + b'"'
        head = b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        begin = time.monotonic()
        client = stack.enter_context(gateway.connect(health=False))
        client.sendall(head + body)
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
        assert time.monotonic() - begin < health_port.TIMEOUT


def test_there_are_files_enough_for_all_that_may_be_open() -> None:
    """In this process, as its own limits allow."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        connections = listener.max_connections()
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert connections * listener._PER_CONNECTION + listener._RESERVE <= soft
        assert listener._RESERVE > health_port.MAX_CONNECTIONS + 64 + 16
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_port_that_accepts_nothing_any_more_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_SILENT", 0.1)

    class Broken(socket.socket):
        def accept(self) -> tuple[socket.socket, str]:
            raise OSError(24, os.strerror(24))

    with Broken(socket.AF_UNIX) as sock:
        port = listener.Listener(sock, 8, "a", lambda _: None)
        thread = threading.Thread(target=port.serve)
        thread.start()
        assert not port.problem()
        wait_until(port.problem, 20, "it says so", 0.01)
        assert thread.is_alive()
        port.close()
        thread.join(20)
