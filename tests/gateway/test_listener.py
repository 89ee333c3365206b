"""The limits of each port, and what happens above them."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from docker_gateway import health_port, listener

from tests.gateway.gateway_program import program
from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until

#: What a container runtime may set: the limit may be raised, or not.
LIMITS = [(256, 256), (512, 4096)]


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


def test_a_signal_ends_the_gateway_whichever_thread_gets_it(tmp_path: Path) -> None:
    """As one that comes between two system calls: it interrupts nothing."""
    with program(tmp_path, 512, 512) as gateway:
        pid = gateway.process.pid
        threads = {int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()}
        assert ctypes.CDLL(None).tgkill(pid, max(threads - {pid}), signal.SIGTERM) == 0
        assert gateway.process.wait(60) == 0


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
