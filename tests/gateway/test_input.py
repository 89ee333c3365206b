"""Standard input of containers: the docker program and docker-py send it through a gateway of each backend.

Behind the gateway are stand-ins; tests/e2e/gateway_cluster/test_input.py does the same with a kubelet.
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
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker_gateway import cluster_cleanup, cluster_input, daemon_cleanup

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.gateway import BACKENDS, OWNER, Gateway, running
from tests.gateway.stand_ins.programs import Programs
from tests.gateway.stand_ins.world import Task
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

PROGRAM = ROOT / ".tools/bin/docker"
IMAGE = "busybox:1.37"
OPEN = {"Image": IMAGE, "OpenStdin": True, "StdinOnce": True, "AttachStdin": True}
DATA = random.Random(1).randbytes(1024 * 1024)
SUM = f"{len(DATA)} {hashlib.sha256(DATA).hexdigest()}\n".encode()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_cleanup, "_TICK", 0.05)
    monkeypatch.setattr(daemon_cleanup, "TICK", 0.05)
    monkeypatch.setattr(cluster_input, "_END_AGREES", 0.5)


def _gateway(backend: str, directory: Path, **tasks: Any) -> Iterator[Gateway]:
    with running(backend, directory, **tasks) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        programs = Programs(gateway.world)
        yield gateway
        programs.close()


@pytest.fixture(params=BACKENDS)
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    yield from _gateway(request.param, tmp_path)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Gateway]:
    yield from _gateway("cluster", tmp_path)


def environment(gateway: Gateway) -> dict[str, str]:
    return {"DOCKER_HOST": f"unix://{gateway.path}", "HOME": str(gateway.path.parent), "TERM": "xterm"}


def program(gateway: Gateway, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [PROGRAM, *words], env=environment(gateway), input=stdin, capture_output=True, timeout=60
    )


def the_task(gateway: Gateway) -> Task:
    def found() -> list[Task]:
        return [each for each in gateway.world.alive() if each.state == "running"]

    (task,) = wait_until(found, 20, "it runs", 0.01)
    return task


def world(gateway: Gateway) -> ClusterWorld:
    assert isinstance(gateway.world, ClusterWorld)
    return gateway.world


# ---- the docker program


@pytest.mark.parametrize("data", [b"", b"a\nb\n", DATA], ids=["nothing", "two lines", "much"])
def test_all_of_it_arrives_and_ends(gateway: Gateway, data: bytes) -> None:
    found = program(gateway, "run", "-i", "--rm", IMAGE, "sum", stdin=data)
    said = f"{len(data)} {hashlib.sha256(data).hexdigest()}\n".encode()
    assert (found.returncode, found.stdout) == (0, said), found.stderr
    wait_until(lambda: not gateway.world.tasks, 20, "it is removed")


def test_keys_that_detach_are_those_of_a_terminal(gateway: Gateway) -> None:
    """Without one, a daemon does not look for them either."""
    found = program(gateway, "run", "-i", "--detach-keys", "a", IMAGE, "head", stdin=b"bab\n")
    assert (found.returncode, found.stdout) == (0, b"bab\n"), found.stderr


def test_a_container_that_ends_before_it_has_read_all(gateway: Gateway) -> None:
    found = program(gateway, "run", "-i", IMAGE, "head", stdin=b"first\n" + DATA)
    assert (found.returncode, found.stdout) == (0, b"first\n"), found.stderr
    found = program(gateway, "run", "-i", IMAGE, "exit", "3", stdin=DATA)
    assert found.returncode == 3, found.stderr


def test_a_container_that_ends_while_its_input_goes_on(gateway: Gateway) -> None:
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        words = [str(PROGRAM), "run", "-i", "--rm", IMAGE, "head"]
        found = subprocess.run(
            words, env=environment(gateway), stdin=endless.stdout, capture_output=True, timeout=30
        )
        endless.kill()
    assert (found.returncode, found.stdout) == (0, b"y\n"), found.stderr


def test_a_container_that_ends_while_its_input_is_open(gateway: Gateway) -> None:
    """The program ends with its container, as with a daemon, though its own input goes on."""
    words = [str(PROGRAM), "run", "-i", IMAGE, "head"]
    process = subprocess.Popen(words, env=environment(gateway), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(b"first\n")
        process.stdin.flush()
        assert process.wait(20) == 0
        assert process.stdout.read() == b"first\n"
    finally:
        process.kill()
        process.communicate()


def test_a_terminal(cluster: Gateway) -> None:
    """The docker program with a terminal: what is typed arrives, and so does the size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    words = [str(PROGRAM), "run", "-i", "-t", IMAGE, "head"]
    process = subprocess.Popen(
        words, env=environment(cluster), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    try:
        task = the_task(cluster)
        assert task.spec["spec"]["containers"][0]["tty"] is True
        wait_until(lambda: task.sizes == [{"Height": 33, "Width": 77}], 20, "its size is set", 0.01)
        os.write(ours, b"typed\n")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    assert task.input.replace(b"\r", b"\n") == b"typed\n"


def test_a_client_that_is_killed_ends_its_container(gateway: Gateway) -> None:
    process = subprocess.Popen(
        [PROGRAM, "run", "-i", IMAGE, "cat"], env=environment(gateway), stdin=subprocess.PIPE
    )
    assert process.stdin
    process.stdin.write(DATA[:5000])
    process.stdin.flush()
    task = the_task(gateway)
    wait_until(lambda: task.input, 20, "some arrived", 0.01)
    process.kill()
    process.wait()
    wait_until(lambda: not task.alive, 20, "it is ended")
    process.stdin.close()


def test_attached_later(gateway: Gateway) -> None:
    """What is open without an attached client waits for one; what is not StdinOnce stays open after it."""
    assert program(gateway, "run", "-di", "--name", "a", IMAGE, "cat").returncode == 0
    task = the_task(gateway)
    time.sleep(0.3)
    assert task.alive
    attached = socket.socket(socket.AF_UNIX)
    attached.connect(str(gateway.path))
    attached.sendall(b"POST /containers/a/attach?stdin=1&stream=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert attached.recv(4096).startswith(b"HTTP/1.1 200")
    attached.sendall(b"hello\n")
    wait_until(lambda: task.input == b"hello\n", 20, "it arrives", 0.01)
    attached.shutdown(socket.SHUT_WR)
    if isinstance(gateway.world, ClusterWorld):
        assert attached.recv(1) == b"", "who sends input alone is told that it arrived"
        assert task.alive
        assert not task.input_ended.is_set()
    attached.close()


# ---- docker-py


def test_docker_py(gateway: Gateway) -> None:
    client = docker.APIClient(f"unix://{gateway.path}", timeout=30)
    container = client.create_container(IMAGE, ["sum"], stdin_open=True)
    attached = client.attach_socket(container, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    client.start(container)
    attached._sock.sendall(DATA)
    attached._sock.shutdown(socket.SHUT_WR)
    assert client.wait(container) == {"StatusCode": 0}
    assert client.logs(container) == SUM
    attached.close()
    client.close()


def test_a_client_that_sends_input_alone_and_closes(cluster: Gateway) -> None:
    """As scripts do that end the input by closing the socket: the container goes on with all of it."""
    client = docker.APIClient(f"unix://{cluster.path}", timeout=30)
    container = client.create_container(IMAGE, ["sum"], stdin_open=True)
    attached = client.attach_socket(container, {"stdin": 1, "stream": 1})
    client.start(container)
    attached._sock.sendall(DATA)
    attached._sock.close()
    attached.close()
    assert client.wait(container) == {"StatusCode": 0}
    assert client.logs(container) == SUM
    client.close()


# ---- what goes wrong in a cluster


def begun(gateway: Gateway, *args: str, **body: Any) -> tuple[Any, Any, str, Task]:
    """Give a client that is attached with its input, another one, the container, and its task."""
    client, other = gateway.client(), gateway.client()
    container = client.create(**{**OPEN, "Cmd": list(args), **body})
    assert client.attach(container, "stdout=1&stderr=1&stdin=1") in (101, 200)
    assert other.ask("POST", f"/containers/{container}/start")[0] == 204
    return client, other, container, the_task(gateway)


def test_a_connection_that_breaks_is_no_success(cluster: Gateway) -> None:
    """The program sees the end of its input, and succeeds with half of it."""
    client, other, container, task = begun(cluster, "sum")
    client.socket.sendall(b"half")
    wait_until(lambda: task.input == b"half", 20, "some arrived", 0.01)
    for sock in tuple(task.sockets):
        sock.shutdown(socket.SHUT_RDWR)
    code, said = other.ask("POST", f"/containers/{container}/wait")
    assert code == 500
    assert "part of the standard input may be lost" in said["message"]
    wait_until(lambda: not task.alive, 20, "it is ended")


def test_a_connection_that_breaks_after_the_last_byte_is_no_success(cluster: Gateway) -> None:
    """Nothing has confirmed yet that the node has it."""
    client, other, container, task = begun(cluster, "sleep")
    client.socket.sendall(DATA[: 150 * 1024])
    client.socket.shutdown(socket.SHUT_WR)
    wait_until(lambda: len(task.input) > 128 * 1024, 20, "much arrived", 0.01)
    for sock in tuple(task.sockets):
        sock.shutdown(socket.SHUT_RDWR)
    code, said = other.ask("POST", f"/containers/{container}/wait")
    assert code == 500
    assert "standard input may be lost" in said["message"]


def test_an_end_that_was_quicker_than_the_news_of_the_break(cluster: Gateway) -> None:
    """The exit code 0 is known before the connection is seen to be broken."""
    client, other, container, task = begun(cluster, "sleep")
    client.socket.sendall(b"half")
    wait_until(lambda: task.input, 20, "some arrived", 0.01)
    held = tuple(task.sockets)
    task.deaf = True
    task.sockets.clear()  # so that the runtime says nothing at the end
    cluster.world.exit(task, 0)
    threading.Timer(0.5, lambda: [sock.shutdown(socket.SHUT_RDWR) for sock in held]).start()
    code, said = other.ask("POST", f"/containers/{container}/wait")
    task.deaf = False
    assert code == 500
    assert "the container ended, but part of the standard input may be lost" in said["message"]


def test_a_container_that_never_reads_fills_nothing(cluster: Gateway) -> None:
    client, other, container, task = begun(cluster, "sleep")
    client.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        for _ in range(100):
            client.socket.sendall(DATA)
    # What is between the two ends is in buffers of the kernel.
    assert len(task.input) < 256 * 1024
    client.close()
    wait_until(lambda: not task.alive, 20, "it ends with its client")
    assert other.ask("POST", f"/containers/{container}/wait")[0] == 500


def test_input_waits_for_the_container(cluster: Gateway) -> None:
    client, other = cluster.client(), cluster.client()
    container = client.create(**{**OPEN, "Cmd": ["cat"]})
    client.attach(container, "stdout=1&stderr=1&stdin=1")
    client.socket.sendall(b"early\n")
    client.socket.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    assert not [each for each in cluster.world.requests if "attach" in each]
    assert other.ask("POST", f"/containers/{container}/start")[0] == 204
    assert client.output() == b"early\n"
    assert other.ask("POST", f"/containers/{container}/wait") == (200, {"StatusCode": 0})


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ('403 / {"message": "cannot get pods/attach"}', "cannot get pods/attach (tasks.stdin)"),
        ('404 / {"message": "pods not there"}', "pods not there"),
        ("200 / no upgrade", "the server opens no WebSocket"),
    ],
)  # fmt: skip
def test_a_refusal_ends_the_container_with_the_reason(cluster: Gateway, refusal: str, reason: str) -> None:
    world(cluster).attach_refusal = refusal
    _, other, container, task = begun(cluster, "sleep")
    code, said = other.ask("POST", f"/containers/{container}/wait")
    assert code == 500
    assert reason in said["message"]
    assert not task.alive


def test_what_the_node_cannot_do_yet_is_tried_again(cluster: Gateway) -> None:
    world(cluster).attach_refusal = "503 / later"
    client, other, container, _ = begun(cluster, "cat")
    client.socket.sendall(b"a\n")
    client.socket.shutdown(socket.SHUT_WR)
    time.sleep(0.5)
    world(cluster).attach_refusal = ""
    assert client.output() == b"a\n"
    assert other.ask("POST", f"/containers/{container}/wait") == (200, {"StatusCode": 0})


def test_a_container_that_ended_before_it_could_be_attached(cluster: Gateway) -> None:
    world(cluster).attach_refusal = "500 / container not found in pod"
    client, other, container, task = begun(cluster, "sleep")
    client.socket.sendall(b"unread")
    time.sleep(0.3)
    cluster.world.exit(task, 0)
    assert other.ask("POST", f"/containers/{container}/wait") == (200, {"StatusCode": 0})


def test_no_more_clients_than_there_are_slots(cluster: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = cluster.backend._inputs  # type: ignore[union-attr]
    monkeypatch.setattr(inputs, "_slots", threading.BoundedSemaphore(1))
    client, other, _, task = begun(cluster, "cat")
    second = other.create(**{**OPEN, "Cmd": ["cat"]})
    code, said = other.ask("POST", f"/containers/{second}/attach?stream=1&stdin=1&stdout=1")
    assert (code, "send input already" in said["message"]) == (503, True)
    client.close()
    wait_until(lambda: not task.alive, 20, "it ends")
    third = other.create(**{**OPEN, "Cmd": ["cat"]})
    path = f"/containers/{third}/attach?stream=1&stdin=1&stdout=1"
    wait_until(lambda: cluster.client().ask("POST", path)[0] != 503, 20, "its slot is free", 0.1)


def test_what_is_switched_off_names_the_value(tmp_path: Path) -> None:
    for gateway in _gateway("cluster", tmp_path, stdin=False):
        found = program(gateway, "run", "-i", IMAGE, "cat", stdin=b"a")
        assert found.returncode == 125
        assert (
            b"attach_stdin: the administrator has switched input for pods off (tasks.stdin)" in found.stderr
        )
        assert program(gateway, "run", "-di", "--name", "a", IMAGE, "cat").returncode == 0
        client = docker.APIClient(f"unix://{gateway.path}", timeout=30)
        with pytest.raises(APIError, match=r"tasks\.stdin"):
            client.attach_socket("a", {"stdin": 1, "stream": 1})
        client.close()


def test_a_pod_with_open_input_has_its_gateways_uid_in_its_name(cluster: Gateway) -> None:
    """The fence lets no other gateway attach; the name is a host name as well."""
    client = cluster.client()
    for name in ("a", "a-very-long-name-indeed-which-goes-on", "", "a234567890123-x"):
        body = {**OPEN, "Cmd": ["sleep"], "OpenStdin": True}
        query = f"?name={name}" if name else ""
        code, answer = client.ask("POST", f"/containers/create{query}", body)
        assert code == 201
        assert client.ask("POST", f"/containers/{answer['Id']}/start")[0] == 204
        pod = next(each for each in world(cluster).pods if each.endswith(f"-{answer['Id'][:12]}"))
        assert f"-{OWNER}-" in pod
        assert len(pod) <= 63
        assert client.ask("DELETE", f"/containers/{answer['Id']}?force=1")[0] == 204
