"""A container ends with its task, whatever other clients, pods and Leases do."""

from __future__ import annotations

import errno
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_gateway import cluster_cleanup, cluster_output, daemon_cleanup
from docker_gateway.wire import RawStream

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.gateway import BACKENDS, OWNER, Client, Gateway, running
from tests.gateway.stand_ins.world import BREAK, Task
from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until

GATEWAY, CONTAINER, LABELS = "airdock.dev/gateway", "airdock.dev/container-id", "airdock.dev/docker-labels"
ID = "c0ffee" * 10 + "abcd"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_cleanup, "_TICK", 0.05)
    monkeypatch.setattr(daemon_cleanup, "TICK", 0.05)


@pytest.fixture(params=BACKENDS)
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    with running(request.param, tmp_path) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        yield gateway


def only(gateway: Gateway) -> Task:
    """Give the one container that runs, and let it print."""
    found = wait_until(gateway.world.alive, 20, "a container runs", 0.01)
    gateway.world.run(found[0])
    return found[0]


def started(gateway: Gateway) -> tuple[Client, Task]:
    """Give a client that is attached to a container, and the container, which runs."""
    return gateway.attached()[0], only(gateway)


def gone(gateway: Gateway) -> None:
    wait_until(lambda: not gateway.world.alive(), 20, "the container has ended", 0.01)


@pytest.mark.attack(actor=AUTHOR, finding=(7,))
def test_a_container_that_prints_ends_with_its_client_each_time(gateway: Gateway) -> None:
    for _ in range(10):
        client, task = started(gateway)
        printing = threading.Event()

        def print_on(task: Task = task, printing: threading.Event = printing) -> None:
            while not printing.is_set():
                gateway.world.print(task, b"a line\n")

        printer = threading.Thread(target=print_on)
        printer.start()
        time.sleep(0.002)
        client.close()
        try:
            gone(gateway)
        finally:
            printing.set()
            printer.join()


def test_a_container_ends_when_the_last_of_its_clients_leaves(gateway: Gateway) -> None:
    client, _ = started(gateway)
    second = gateway.client()
    assert second.attach(next(iter(only_id(gateway)))) in (101, 200)
    client.close()
    time.sleep(0.1)
    second.close()
    gone(gateway)


def only_id(gateway: Gateway) -> list[str]:
    return [each.id for each in gateway.backend.containers.all()]


def exits(gateway: Gateway, client: Client, task: Task) -> str:
    """Let the container print more than its client's connection holds, and exit; gives its id.

    But not so much more that the stand-in waits for room: Linux wakes who writes to a unix socket when three
    quarters of its buffer (208 KiB by default) are free.
    """
    for _ in range(4):
        gateway.world.print(task, b"x" * 60_000)
    gateway.world.exit(task, 0)
    (container,) = only_id(gateway)
    assert client.ask("POST", f"/containers/{container}/wait")[0] == 200
    return container


def unattached(gateway: Gateway) -> bool:
    return not any(each.attached for each in gateway.backend.containers.all())


def test_a_client_that_does_not_read_the_rest_changes_no_exit_code(gateway: Gateway) -> None:
    client, task = started(gateway)
    other = gateway.client()
    container = exits(gateway, other, task)
    client.close()
    wait_until(lambda: unattached(gateway), 20, "the client has left", 0.01)
    assert other.ask("POST", f"/containers/{container}/wait") == (200, {"StatusCode": 0})


def test_output_that_is_cut_off_is_no_success(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client sees an end like any other. That another one reads all does not help it."""
    client, task = started(gateway)
    (container,) = only_id(gateway)
    second, failed, relay = gateway.client(), threading.Event(), RawStream.relay

    def fail_once(stream: RawStream, data: bytes) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError(errno.EIO, "injected")
        relay(stream, data)

    monkeypatch.setattr(RawStream, "relay", fail_once)
    second.attach(container)
    gateway.world.print(task, b"a line\n")
    wait_until(failed.is_set, 20, "one of the two is cut off", 0.01)
    cut, whole = sorted((client, second), key=lambda each: not gone_from(each))
    assert cut.output() == b""
    gateway.world.exit(task, 0)
    assert whole.output() == b"a line\n"
    status, answer = gateway.client().ask("POST", f"/containers/{container}/wait")
    assert status == 500
    assert "a client broke" in answer["message"]


def test_a_log_that_breaks_is_read_once_more_however_late_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a gateway did not run for a while, as on a suspended node, says nothing about the log."""
    monkeypatch.setattr(cluster_output, "LOG_GRACE", 0.0)
    with running("cluster", tmp_path) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        client, task = started(gateway)
        (container,) = gateway.backend.containers.all()  # type: ignore[union-attr]
        wait_until(lambda: task.followers, 20, "its log is read", 0.01)
        gateway.world.print(task, b"a line\n")
        with gateway.world.lock:
            followers = list(task.followers)
            task.followers.clear()
        gateway.world.exit(task, 0)
        wait_until(lambda: container.ended, 20, "its end is known", 0.01)  # type: ignore[union-attr]
        for each in followers:
            each.put(BREAK)
        assert client.output() == b"a line\n"
        answer = gateway.client().ask("POST", f"/containers/{container.id}/wait")
        assert answer == (200, {"StatusCode": 0})


def test_a_log_that_breaks_as_its_pod_is_deleted_is_no_success(tmp_path: Path) -> None:
    """A client asks for the end of a container that ends by itself before its pod is deleted."""
    with running("cluster", tmp_path) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        world: Any = gateway.world
        client, task = started(gateway)
        (container,) = gateway.backend.containers.all()
        wait_until(lambda: task.followers, 20, "its log is read", 0.01)
        with world.lock:
            followers, handle = list(task.followers), world.handle
            task.followers.clear()
            world.print(task, b"a line\n")

        def end_first(verb: str, *request: Any) -> Any:
            if verb == "DELETE":
                world.exit(task, 0)
                wait_until(lambda: container.ended, 20, "its end is known", 0.01)  # type: ignore[union-attr]
            return handle(verb, *request)

        world.handle = end_first
        assert gateway.client().ask("POST", f"/containers/{container.id}/kill")[0] == 204
        wait_until(lambda: container.gone, 20, "its pod is gone", 0.01)  # type: ignore[union-attr]
        for each in followers:
            each.put(BREAK)
        assert client.output() == b""
        status, answer = gateway.client().ask("POST", f"/containers/{container.id}/wait")
        assert (status, "output could not be read" in str(answer)) == (500, True)


def gone_from(client: Client) -> bool:
    """Tell whether the gateway closes a client's connection soon."""
    poll = select.poll()
    poll.register(client.socket, 0)
    return bool(poll.poll(500))


def test_who_waits_for_a_container_that_a_client_removes_is_told_its_exit_code(tmp_path: Path) -> None:
    with running("daemon", tmp_path) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        client, _ = started(gateway)
        waiting, other = gateway.client(), gateway.client()
        (container,) = only_id(gateway)
        waiting.send("POST", f"/containers/{container}/wait")
        wait_until(lambda: only(gateway).waiters, 20, "it is waited for", 0.01)
        assert other.ask("DELETE", f"/containers/{container}?force=1")[0] == 204
        assert waiting.answer() == (200, {"StatusCode": 137})
        client.close()


def test_nothing_starts_whose_client_a_daemon_has_cut_off(tmp_path: Path) -> None:
    with running("daemon", tmp_path) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        client, other = gateway.client(), gateway.client()
        container = other.create()
        client.attach(container)
        gateway.world.cut(True)
        assert client.output() == b""
        wait_until(lambda: gateway.world.listeners, 20, "events are heard again", 0.01)  # type: ignore[attr-defined]
        status, answer = other.ask("POST", f"/containers/{container}/start")
        assert (status, "ended the connection" in answer["message"]) == (409, True)


@pytest.mark.attack(actor=AUTHOR, finding=(19,))
def test_nothing_is_created_or_started_once_the_gateway_ends(gateway: Gateway) -> None:
    """A client keeps its connection while the gateway ends."""
    client = gateway.client()
    container = client.create()
    gateway.server.close()
    assert client.ask("POST", "/containers/create", {"Image": "busybox:1.37"})[0] == 503
    status, answer = client.ask("POST", f"/containers/{container}/start")
    assert status == 503
    assert "end" in answer["message"]
    gateway.close()
    assert not gateway.world.alive()


def test_a_pod_that_is_created_twice_ends_with_its_client(tmp_path: Path) -> None:
    """The answer to the first request is lost, and its pod is deleted before the request is sent again."""
    with running("cluster", tmp_path, direct=True) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        world, posts = gateway.world, []
        client, other = gateway.client(), gateway.client()
        container = other.create()
        client.attach(container)
        handle = world.handle

        def lose(method: str, path: str, query: dict[str, str], body: Any) -> Any:
            reply = handle(method, path, query, body)
            if (method, path.rpartition("/")[2]) == ("POST", "pods") and "dryRun" not in query:
                posts.append(reply.status)
                if len(posts) == 1:
                    known = gateway.backend.containers.find(container)
                    wait_until(lambda: known.uid, 20, "the watch shows the pod", 0.01)  # type: ignore[union-attr]
                    client.close()
                    gone(gateway)
                    raise ConnectionResetError("lost")
            return reply

        world.handle = lose  # type: ignore[method-assign]
        other.ask("POST", f"/containers/{container}/start")
        assert posts == [201, 201]
        gone(gateway)
        time.sleep(0.5)
        assert not world.alive()


def test_a_pod_that_no_watch_has_shown_is_known_to_be_deleted(tmp_path: Path) -> None:
    with running("cluster", tmp_path, direct=True) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        world: Any = gateway.world
        client, handle = gateway.client(), world.handle

        def unseen(method: str, path: str, query: dict[str, str], body: Any) -> Any:
            with world.lock:
                watchers = world.watchers
                if method in ("POST", "DELETE") and "/pods" in path:
                    world.watchers = []
                reply = handle(method, path, query, body)
                world.watchers = world.watchers or watchers
                return reply

        world.handle = unseen
        container = client.create()
        client.ask("POST", f"/containers/{container}/start")
        begin = time.monotonic()
        client.send("POST", f"/containers/{container}/kill")
        gone(gateway)
        world.cut(True)
        assert client.answer()[0] == 204
        assert time.monotonic() - begin < 20


# ---- what others create in the task namespace


def pod(name: str = "forged", **annotations: Any) -> dict[str, Any]:
    meta = {"name": name, "labels": {GATEWAY: OWNER}, "annotations": annotations}
    return {"metadata": meta, "spec": {"containers": [{"image": "a"}]}}


PODS = {
    "labels that are no JSON": pod(
        **{"airdock.dev/container-id": ID, "airdock.dev/docker-labels": "not json"}
    ),
    "labels that are no object": pod(**{"airdock.dev/container-id": ID, "airdock.dev/docker-labels": "[1]"}),
    "labels that are no text": pod(
        **{"airdock.dev/container-id": ID, "airdock.dev/docker-labels": '{"airdock.dev/dag-id": {}}'}
    ),
    "no containers": pod(**{"airdock.dev/container-id": ID}) | {"spec": {}},
    "a status of nonsense": pod(**{"airdock.dev/container-id": ID}) | {"status": []},
}


@pytest.mark.parametrize("name", PODS)
@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_no_pod_keeps_a_gateway_from_starting(name: str, tmp_path: Path) -> None:
    gateway = Gateway("cluster", tmp_path)
    assert isinstance(gateway.world, ClusterWorld)
    gateway.close()
    (tmp_path / "again").mkdir()
    world = gateway.world
    world.add(PODS[name])
    again = Gateway("cluster", tmp_path / "again", world=world)
    try:
        wait_until(lambda: not again.backend.ready(), 5, again.backend.ready, 0.01)
        client, _ = started_beside(again)
        client.close()
        wait_until(
            lambda: not [t for t in world.alive() if t.id != PODS[name]["metadata"]["name"]],
            20,
            "it has ended",
            0.01,
        )
    finally:
        again.close()


def started_beside(gateway: Gateway) -> tuple[Client, Task]:
    client, container = gateway.attached()
    task = wait_until(
        lambda: next((t for t in gateway.world.alive() if t.id.endswith(container[:12])), None), 20, "it runs"
    )
    gateway.world.run(task)
    return client, task


@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_a_pod_with_the_same_id_does_not_speak_for_the_container(tmp_path: Path) -> None:
    """A forged pod that ends with 0 must not end the container that runs."""
    with running("cluster", tmp_path) as gateway:
        assert isinstance(gateway.world, ClusterWorld)
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        client = gateway.client()
        container = client.create()
        forged = gateway.world.add(pod(**{CONTAINER: container}))
        gateway.world.run(gateway.world.tasks[forged["metadata"]["name"]])
        time.sleep(0.1)
        client.ask("POST", f"/containers/{container}/start")
        time.sleep(0.1)
        gateway.world.exit(gateway.world.tasks["forged"], 0)
        time.sleep(0.1)
        assert client.ask("GET", f"/containers/{container}/json")[1]["State"]["Running"]
