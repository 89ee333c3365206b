"""The gateway, its node or the way to the API server go away."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

import pytest
from docker.errors import APIError

from tests.e2e.gateway_cluster.support import (
    BUSYBOX,
    PATIENCE,
    POLITE,
    Cluster,
    Start,
    begin,
    create,
    fails,
    needs_native,
    polite,
)
from tests.support.waiting import wait_until

pytestmark = needs_native


def test_the_gateway_is_killed(starter: Start) -> None:
    gateway = starter()
    task, _ = polite(gateway)
    gateway.kill()
    gateway.start()
    task.read()
    with pytest.raises(APIError) as error:
        gateway.client().wait(task.id)
    assert error.value.status_code == 500
    assert "restarted" in error.value.explanation
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 30, "its pod is gone")


#: Where a task is when its gateway is killed: what DockerOperator has done by then.
STEPS = ("created", "started", "running", "ended", "waited for")


@pytest.mark.parametrize("step", STEPS)
def test_the_gateway_is_killed_when_a_task_is(starter: Start, step: str) -> None:
    gateway = starter(ttlSeconds=5, leaseSeconds=20)
    client = gateway.client()
    task = create(client, POLITE if step in ("started", "running") else ["echo", "ready"])
    task.attach()
    if step != "created":
        task.start()
    if step in ("running", "ended", "waited for"):
        task.read_until(b"ready")
    if step in ("ended", "waited for"):
        task.read()
        wait_until(lambda: gateway.pods_ended(), PATIENCE, "the pod has ended")
    if step == "waited for":
        assert task.wait() == 0
    gateway.kill()
    gateway.start()
    with contextlib.suppress(Exception):
        task.read()
    client = gateway.client()
    # What the operator does next: nothing of it may look like a success.
    if step == "created":
        with pytest.raises(APIError):
            client.start(task.id)
    if step == "waited for":
        with contextlib.suppress(APIError):
            client.remove_container(task.id, force=True)
    else:
        with pytest.raises(APIError) as error:
            client.wait(task.id)
        assert error.value.status_code in (404, 500)
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 60, "no pod is left")


def test_its_node_is_gone(starter: Start) -> None:
    # Bound to a node that is no part of the cluster, as a pod is whose node was taken away.
    gateway = starter(pod={"nodeName": "gone"})
    task = begin(gateway.client(), POLITE)
    # The garbage collector's patience is 40 seconds, and it looks every 20.
    assert "node no longer exists" in fails(task)
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 60, "no pod is left")


def test_the_gateway_ends_with_its_worker(starter: Start) -> None:
    gateway = starter()
    polite(gateway)
    gateway.kill(signal.SIGTERM)
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 30, "its pod is gone")


def test_what_a_dead_gateway_left_is_swept_by_another(starter: Start) -> None:
    dead, alive = starter(leaseSeconds=8, ttlSeconds=5), starter(leaseSeconds=8, ttlSeconds=5)
    polite(dead)
    dead.kill()
    wait_until(lambda: not dead.cluster.pods(dead.owner), 60, "its pod is gone")
    assert '"event": "sweep"' in alive.log()


class Proxy:
    """Stands between gateway and API server: plain HTTP on this side, so that connections can be cut."""

    def __init__(self, cluster: Cluster) -> None:
        self._address = urlsplit(cluster.server)
        self._context = ssl.create_default_context(cafile=str(cluster.ca))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.away = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self.away:
                client.close()
            else:
                threading.Thread(target=self._pump, args=(client,), daemon=True).start()

    def _pump(self, client: socket.socket) -> None:
        host, port = self._address.hostname or "", self._address.port or 443
        with client, contextlib.suppress(OSError), socket.create_connection((host, port)) as plain:
            upstream = self._context.wrap_socket(plain, server_hostname=host)
            self._open += [client, plain]
            while True:
                ready = [upstream] if upstream.pending() else select.select([client, upstream], [], [])[0]
                for source in ready:
                    if not (data := source.recv(65536)):
                        return
                    (upstream if source is client else client).sendall(data)


def test_connections_to_the_api_server_break(cluster: Cluster, starter: Start) -> None:
    proxy = Proxy(cluster)
    client = starter(server=proxy.url).client()
    task = begin(
        client,
        [
            "sh",
            "-c",
            "for i in $(seq 3000); do echo $i; [ $((i % 10)) = 0 ] && sleep 0.02; done; exit 5",
        ],
    )
    stop = threading.Event()

    def cutter() -> None:
        while not stop.wait(0.7):
            proxy.cut()

    threading.Thread(target=cutter, daemon=True).start()
    task.read()
    stop.set()
    assert task.wait() == 5
    assert task.output.split() == [b"%d" % number for number in range(1, 3001)]


def test_input_that_is_cut_off_is_no_success(cluster: Cluster, starter: Start) -> None:
    """The runtime ends the input of a container whose attach connection breaks, and it exits with 0."""
    proxy = Proxy(cluster)
    gateway = starter(server=proxy.url)
    client = gateway.client()
    for finished in (False, True):
        # Bytes that are sent may still be on their way, and a container that does not read holds them up.
        script = "sleep 20; wc -c" if finished else "wc -c"
        container = client.create_container(BUSYBOX, ["sh", "-c", script], stdin_open=True)["Id"]
        sock = client.attach_socket(container, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        client.start(container)
        sock._sock.sendall(b"x" * 200_000 if finished else b"half")
        if finished:
            sock._sock.shutdown(socket.SHUT_WR)
        wait_until(
            lambda: any(p.status.phase == "Running" for p in cluster.pods(gateway.owner)), PATIENCE, "it runs"
        )
        time.sleep(3)
        proxy.cut()
        with pytest.raises(APIError, match="standard input may be lost"):
            client.wait(container)
        sock.close()
        client.remove_container(container, force=True)
        wait_until(lambda: not cluster.pods(gateway.owner), PATIENCE, "its pod is deleted")


def test_the_api_server_is_away_for_half_a_minute(cluster: Cluster, starter: Start) -> None:
    proxy = Proxy(cluster)
    gateway = starter(server=proxy.url)
    client = gateway.client()
    task = begin(
        client, ["sh", "-c", "i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo $i; sleep 1; done; exit 5"]
    )
    task.read_until(b"3\n")
    second = create(client, ["echo", "second"])
    second.attach()
    proxy.away = True
    proxy.cut()
    back = threading.Timer(30, lambda: setattr(proxy, "away", False))
    back.start()
    second.start()  # its pod waits for the server
    assert back.is_alive()
    task.read()
    assert task.wait() == 5
    assert task.output.split() == [b"%d" % number for number in range(1, 21)]
    *waiting, output = second.read().splitlines()
    assert waiting[0].startswith(b"[airdock] Waiting: the cluster cannot create the pod")
    assert all(line.startswith(b"[airdock] Waiting: ") for line in waiting)
    assert output == b"second"
    assert second.wait() == 0
