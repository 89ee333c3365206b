"""A pod for which a quota has no room waits for it, in turn and for a limited time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_gateway import cluster_cleanup, cluster_creation, cluster_quota, cluster_waiting

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.gateway import Client, Gateway
from tests.gateway.stand_ins.world import Reply, Task
from tests.support.waiting import wait_until

GPU = {"DeviceRequests": [{"Count": 1, "Capabilities": [["gpu"]]}]}
GIB = 1 << 30
PODS = "/api/v1/namespaces/airdock-tasks/pods"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_cleanup, "_TICK", 0.02)
    monkeypatch.setattr(cluster_waiting, "QUIET", 0.0)
    monkeypatch.setattr(cluster_creation, "_PAUSE", 0.02)
    monkeypatch.setattr(cluster_creation, "_PATIENCE", 0.0)


class Queue:
    """A gateway whose task namespace has a quota."""

    def __init__(self, gateway: Gateway) -> None:
        assert isinstance(gateway.world, ClusterWorld)
        self.gateway, self.world = gateway, gateway.world
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        self.world.hard = {"pods": 1}
        # A container ends when its reader leaves.
        self.readers: list[Client] = []

    def start(self, **host: Any) -> tuple[Client, str]:
        """Start a container, and give its reader and id: the answer comes at once."""
        client, other = self.gateway.client(), self.gateway.client()
        container = other.create(HostConfig=host)
        client.attach(container)
        assert other.ask("POST", f"/containers/{container}/start")[0] == 204
        other.close()
        self.readers.append(client)
        return client, container

    def ask(self, method: str, path: str) -> tuple[int, Any]:
        with self.gateway.client() as client:
            return client.ask(method, path)

    def waits(self, container: str) -> list[str]:
        """Give what a container's log says once it says that it waits."""
        found = self.gateway.backend.containers.find(container)
        return wait_until(lambda: found.waiting, 20, "it waits", 0.01)  # type: ignore[union-attr]

    def runs(self, container: str) -> Task:
        """Give the task of a container once there is its pod, which runs."""

        def pods() -> list[Task]:
            return [task for task in self.world.alive() if task.id.endswith(container[:12])]

        (task,) = wait_until(pods, 20, "its pod runs", 0.01)
        self.world.run(task)
        return task

    def end(self, container: str) -> Any:
        """Let a container end by itself; give the answer to `wait`."""
        self.world.exit(self.runs(container), 0)
        return self.ask("POST", f"/containers/{container}/wait")

    def none_comes(self) -> None:
        """Give room, and see that nobody takes it."""
        self.world.hard, requests = {}, self.world.requests.count(f"POST {PODS}")
        time.sleep(0.2)
        assert not self.world.alive()
        assert self.world.requests.count(f"POST {PODS}") == requests


@pytest.fixture
def queue(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Queue]:
    gateway = Gateway("cluster", tmp_path, **getattr(request, "param", {}))
    yield Queue(gateway)
    gateway.close()


def limited(seconds: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("queue", [{"create_timeout_seconds": seconds}], indirect=True)


def test_containers_run_in_the_order_of_their_starts(queue: Queue) -> None:
    containers = [queue.start() for _ in range(5)]
    for number, (client, container) in enumerate(containers):
        for _, later in containers[number + 1 :]:
            (line,) = queue.waits(later)[:1]
            assert line.startswith("Waiting: ")
            assert line.endswith("the task fails after 120 s (tasks.timeouts.createSeconds)")
            assert queue.ask("GET", f"/containers/{later}/json")[1]["State"]["Status"] == "running"
        assert [task.id[-12:] for task in queue.world.alive()] == [container[:12]]
        assert queue.end(container) == (200, {"StatusCode": 0})
        assert client.output().startswith(b"[airdock] Waiting: " if number else b"")


def test_the_log_names_quota_and_values(queue: Queue) -> None:
    queue.start()
    _, second = queue.start()
    assert queue.waits(second)[-1] == (
        "Waiting: the quota tasks of namespace airdock-tasks (tasks.quota.hard) is full: the pod requests"
        " pods=1, and the maximum of all pods together is pods=1; the task fails after 120 s"
        " (tasks.timeouts.createSeconds)"
    )


@limited(1)
def test_a_quota_that_stays_full_fails_the_task_with_its_name(queue: Queue) -> None:
    queue.start()
    client, second = queue.start()
    status, answer = queue.ask("POST", f"/containers/{second}/wait")
    assert status == 500
    assert "the quota tasks of" in answer["message"]
    assert "tasks.quota.hard" in answer["message"]
    assert answer["message"].endswith("for more than 1 s (tasks.timeouts.createSeconds)")
    assert client.output().startswith(b"[airdock] Waiting: the quota tasks")
    for task in queue.world.alive():
        queue.world.exit(task, 0)
    queue.none_comes()


def test_what_can_never_fit_fails_at_once(queue: Queue) -> None:
    queue.world.hard = {"limits.memory": 4 * GIB}
    with queue.gateway.client() as client:
        body = {"Image": "busybox:1.37", "HostConfig": {"Memory": 5 * GIB}}
        status, answer = client.ask("POST", "/containers/create", body)
        assert status == 403
        assert "the quota tasks of namespace airdock-tasks can never admit the pod" in answer["message"]
        assert "tasks.quota.hard" in answer["message"]
        container = client.create(HostConfig={"Memory": 4 * GIB})
        queue.world.hard = {"limits.memory": 2 * GIB}
        status, answer = client.ask("POST", f"/containers/{container}/start")
        assert (status, "can never admit" in answer["message"]) == (403, True)
    queue.none_comes()


def test_only_who_needs_what_is_full_waits_behind(queue: Queue) -> None:
    queue.world.hard = {"requests.nvidia.com/gpu": 1, "pods": 100}
    queue.start(**GPU)
    _, second = queue.start(**GPU)
    queue.waits(second)
    _, third = queue.start()
    assert queue.end(third) == (200, {"StatusCode": 0})


def test_a_small_one_does_not_pass_a_large_one(queue: Queue) -> None:
    queue.world.hard = {"limits.memory": 4 * GIB}
    _, first = queue.start(Memory=2 * GIB)
    _, large = queue.start(Memory=4 * GIB)
    queue.waits(large)
    _, small = queue.start(Memory=GIB)
    queue.waits(small)
    time.sleep(0.2)
    assert [task.id[-12:] for task in queue.world.alive()] == [first[:12]]
    queue.end(first)
    queue.end(large)
    queue.end(small)


@limited(1)
def test_nobody_fails_without_a_try(queue: Queue) -> None:
    """The one that came first waits for more than there is in time; the other would have had room."""
    queue.world.hard = {"limits.memory": 4 * GIB}
    queue.start(Memory=2 * GIB)
    _, large = queue.start(Memory=4 * GIB)
    _, small = queue.start(Memory=GIB)
    assert queue.ask("POST", f"/containers/{large}/wait")[0] == 500
    assert queue.end(small) == (200, {"StatusCode": 0})


@pytest.mark.parametrize(
    "request_", [("POST", "/stop", 204), ("POST", "/kill", 204), ("DELETE", "?force=1", 204), None]
)
def test_who_leaves_the_queue_gets_no_pod(queue: Queue, request_: tuple[str, str, int] | None) -> None:
    _, first = queue.start()
    client, second = queue.start()
    queue.waits(second)
    if request_:
        method, path, status = request_
        assert queue.ask(method, f"/containers/{second}{path}")[0] == status
    else:
        client.close()
        found = queue.gateway.backend.containers.find(second)
        wait_until(lambda: found.fate, 20, "its end is noticed", 0.01)
    assert queue.end(first) == (200, {"StatusCode": 0})
    queue.none_comes()


def test_the_end_of_the_worker_leaves_nothing(queue: Queue) -> None:
    for _ in range(3):
        queue.start()
    queue.gateway.close()
    assert not queue.world.leases, "nothing is left that another gateway would have to see to"
    queue.none_comes()


def test_a_pod_that_comes_after_its_container_was_stopped_is_deleted(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = queue.start()
    _, second = queue.start()
    queue.waits(second)
    handle, posted, go = queue.world.handle, threading.Event(), threading.Event()

    def slow(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        if method == "POST" and path.endswith("/pods"):
            posted.set()
            go.wait(20)
        return handle(method, path, query, body)

    monkeypatch.setattr(queue.world, "handle", slow)
    queue.end(first)
    queue.world.hard = {}
    posted.wait(20)
    assert queue.ask("POST", f"/containers/{second}/stop")[0] == 204
    go.set()
    wait_until(lambda: f"POST {PODS}" in queue.world.requests[-20:], 20, "the pod is created", 0.01)
    wait_until(lambda: not queue.world.alive(), 20, "the pod is deleted", 0.01)


@pytest.mark.parametrize("code", [409, 429, 500, 503])
def test_what_passes_is_waited_for(queue: Queue, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    queue.world.hard = {}
    handle, away = queue.world.handle, threading.Event()

    def refuse(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        if method == "POST" and path.endswith("/pods") and "dryRun" not in query and not away.is_set():
            return Reply(code, {"reason": "Conflict" if code == 409 else "", "message": "come again"})
        return handle(method, path, query, body)

    monkeypatch.setattr(queue.world, "handle", refuse)
    _, container = queue.start()
    assert "come again" in queue.waits(container)[-1]
    away.set()
    assert queue.end(container) == (200, {"StatusCode": 0})


def lost(queue: Queue, monkeypatch: pytest.MonkeyPatch, watched: bool) -> None:
    """Have pods created, but never the answer to it come; `watched`: the gateway may look at pods."""
    queue.world.hard, handle = {}, queue.world.handle

    def lose(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        lists = method == "GET" and path == PODS and not watched
        reply = Reply() if lists else handle(method, path, query, body)
        if lists or (method == "POST" and path == PODS and "dryRun" not in query):
            return Reply(503, {"reason": "", "message": "not now"})
        return reply

    monkeypatch.setattr(queue.world, "handle", lose)


@limited(1)
def test_a_lost_answer_costs_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    lost(queue, monkeypatch, True)
    _, container = queue.start()
    queue.runs(container)
    time.sleep(1.5)
    assert queue.end(container) == (200, {"StatusCode": 0})


@limited(1)
def test_a_pod_whose_answer_was_lost_ends_with_its_container(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost(queue, monkeypatch, False)
    queue.world.cut()
    _, container = queue.start()
    queue.runs(container)
    status, answer = queue.ask("POST", f"/containers/{container}/wait")
    assert (status, "not now" in answer["message"]) == (500, True)
    wait_until(lambda: not queue.world.alive(), 20, "its pod is deleted", 0.01)


def test_what_is_refused_later_fails_the_task(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.start()
    _, second = queue.start()
    _, third = queue.start()
    queue.waits(third)
    handle = queue.world.handle

    def refuse(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        if method == "POST" and path.endswith("/pods") and body["metadata"]["name"].endswith(second[:12]):
            return Reply(403, {"reason": "Forbidden", "message": "violates the policy"})
        return handle(method, path, query, body)

    monkeypatch.setattr(queue.world, "handle", refuse)
    status, answer = queue.ask("POST", f"/containers/{second}/wait")
    assert (status, "violates the policy" in answer["message"]) == (500, True)
    queue.world.hard = {"pods": 5}
    assert queue.end(third) == (200, {"StatusCode": 0})


@pytest.mark.parametrize(
    ("words", "never"),
    [
        ("requested: limits.memory=4Gi, used: limits.memory=7Gi, limited: limits.memory=10Gi", False),
        ("requested: limits.memory=4Gi, used: limits.memory=0, limited: limits.memory=4000Mi", True),
        ("requested: limits.cpu=500m,pods=1, used: limits.cpu=2,pods=1, limited: limits.cpu=2,pods=1", False),
        ("requested: pods=1, used: pods=0, limited: pods=0", True),
        ("requested: limits.cpu=2500m, used: limits.cpu=0, limited: limits.cpu=2", True),
    ],
)
def test_the_api_servers_words(words: str, never: bool) -> None:
    full = cluster_quota.parse(f'pods "a" is forbidden: exceeded quota: team-a, {words}')
    assert full
    assert (full.name, full.never) == ("team-a", never)


@pytest.mark.parametrize(
    "words", ["failed quota: a: must specify limits.cpu for: container", "is forbidden: violates PodSecurity"]
)
def test_other_refusals_are_no_full_quota(words: str) -> None:
    assert cluster_quota.parse(words) is None
