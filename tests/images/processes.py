"""Help for tests that start a container's processes and wait for them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.images.container import Container
from tests.support.ports import listens
from tests.support.waiting import wait_until


def own_address() -> str:
    """An address of this host that is not the loopback's; no packet is sent."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this host has no address but the loopback's")
        return str(probe.getsockname()[0])


def first_process(container: subprocess.Popen[str]) -> int:
    """The host's process id of the container's first process."""
    children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
    return int(wait_until(lambda: children.read_text().split(), 30, "a process in the container")[0])


@contextmanager
def serving(container: Container, port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The container's entrypoint with ``arguments``, once it listens; killed in the end."""
    process = container.start(*arguments)
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, 30, f"listener on port {port}")
        assert process.poll() is None, process.communicate()[0]
        yield process
    finally:
        process.kill()
        process.wait()


def stop(process: subprocess.Popen[str], number: signal.Signals, seconds: float = 20) -> tuple[int, str]:
    """Signal the container's first process, as a runtime does; returns the exit code and what was printed."""
    os.kill(first_process(process), number)
    said, _ = process.communicate(timeout=seconds)
    return process.returncode, said
