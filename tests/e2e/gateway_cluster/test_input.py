"""Standard input through a gateway and the kubelet of the native cluster.

tests/gateway/test_input.py does the same with a stand-in; here are the API server's and the runtime's own
rules.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import random
import socket
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.e2e.gateway_cluster.support import BUSYBOX, PATIENCE, Gateway, needs_native
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

pytestmark = needs_native
PROGRAM = str(ROOT / ".tools/bin/docker")
DATA = random.Random(1).randbytes(1024 * 1024)
SUM = f"{hashlib.sha256(DATA).hexdigest()}  -\n".encode()


def environment(gateway: Gateway) -> dict[str, str]:
    return {"DOCKER_HOST": f"unix://{gateway.socket}", "HOME": str(gateway.directory), "TERM": "xterm"}


def docker(gateway: Gateway, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [PROGRAM, *words]
    return subprocess.run(
        command, env=environment(gateway), input=stdin, capture_output=True, timeout=2 * PATIENCE
    )


def run(gateway: Gateway, script: str, stdin: bytes) -> tuple[int, bytes, bytes]:
    found = docker(gateway, "run", "-i", "--rm", BUSYBOX, "sh", "-c", script, stdin=stdin)
    return found.returncode, found.stdout, found.stderr


def running(gateway: Gateway) -> bool:
    """Tell whether the node runs one of its containers."""
    return any(pod.status.phase == "Running" for pod in gateway.cluster.pods(gateway.owner))


@pytest.mark.parametrize("data", [b"", b"hi\n", DATA], ids=["nothing", "a line", "much"])
def test_all_of_it_arrives_and_ends(gateway: Gateway, data: bytes) -> None:
    said = f"{hashlib.sha256(data).hexdigest()}  -\n".encode()
    assert run(gateway, "sha256sum", data)[:2] == (0, said)


def test_cat(gateway: Gateway) -> None:
    assert run(gateway, "cat", b"hi\n")[:2] == (0, b"hi\n")


@pytest.mark.parametrize("_", range(3))
def test_a_container_that_ends_before_it_has_read_all(gateway: Gateway, _: int) -> None:
    assert run(gateway, "head -n 1; exit 3", b"first\n" + DATA)[:2] == (3, b"first\n")
    assert run(gateway, "sleep 1.2; echo out", DATA)[:2] == (0, b"out\n")
    assert run(gateway, "true", b"unread")[0] == 0


def test_a_terminal(gateway: Gateway) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    script = "read x; stty size; echo got $x"
    process = subprocess.Popen(
        [PROGRAM, "run", "-i", "-t", "--name", "tty", BUSYBOX, "sh", "-c", script], env=environment(gateway),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(lambda: running(gateway), PATIENCE, "it runs")
        time.sleep(2)
        os.write(ours, b"typed\r")
        assert process.wait(PATIENCE) == 0
        said = docker(gateway, "logs", "tty").stdout
        assert b"33 77" in said
        assert b"got typed" in said
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
        docker(gateway, "rm", "-f", "tty")


def test_a_client_that_is_killed_ends_its_container(gateway: Gateway) -> None:
    words = [PROGRAM, "run", "-i", "--name", "killed", BUSYBOX, "sh", "-c", "cat >/dev/null; sleep 1000"]
    process = subprocess.Popen(words, env=environment(gateway), stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(DATA)
    process.stdin.flush()
    process.kill()
    process.wait()
    process.stdin.close()
    wait_until(gateway.pods_ended, PATIENCE, "its pod has ended")
    docker(gateway, "rm", "-f", "killed")


def attached(gateway: Gateway, container: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(str(gateway.socket))
    sock.sendall(f"POST /containers/{container}/attach?stdin=1&stream=1 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert sock.recv(4096).startswith(b"HTTP/1.1 200")
    return sock


def test_attached_later_and_again(gateway: Gateway) -> None:
    """The input of -di stays open after a client that sent some."""
    assert docker(gateway, "run", "-di", "--name", "later", BUSYBOX, "cat").returncode == 0
    for line in (b"one\n", b"two\n"):
        sock = attached(gateway, "later")
        sock.sendall(line)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b"", "all of it has arrived"
        sock.close()
    wait_until(lambda: docker(gateway, "logs", "later").stdout == b"one\ntwo\n", PATIENCE, "both are read")
    assert docker(gateway, "ps", "--format", "{{.Names}}").stdout == b"later\n"
    docker(gateway, "rm", "-f", "later")


def test_docker_py(gateway: Gateway) -> None:
    client = gateway.client()
    container = client.create_container(BUSYBOX, ["sha256sum"], stdin_open=True)
    sock = client.attach_socket(container, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    client.start(container)
    sock._sock.sendall(DATA)
    sock._sock.shutdown(socket.SHUT_WR)
    assert client.wait(container) == {"StatusCode": 0}
    assert client.logs(container) == SUM
    sock.close()
    client.remove_container(container)


def test_what_never_reads_does_not_fill_the_gateway(gateway: Gateway) -> None:
    before = gateway.kibibytes("VmRSS")
    words = [PROGRAM, "run", "-i", "--name", "full", BUSYBOX, "sleep", "1000"]
    with Path("/dev/zero").open("rb") as endless:
        process = subprocess.Popen(words, env=environment(gateway), stdin=endless)
        try:
            wait_until(lambda: running(gateway), PATIENCE, "it runs")
            time.sleep(20)
            assert gateway.kibibytes("VmRSS") - before < 16 * 1024
        finally:
            process.kill()
            process.wait()
    wait_until(gateway.pods_ended, PATIENCE, "its pod has ended")
    docker(gateway, "rm", "-f", "full")
