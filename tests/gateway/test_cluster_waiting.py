"""A container that has not begun says in its log what it waits for, and each wait has a limit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker_gateway import cluster_cleanup, cluster_waiting

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.gateway import Client, Gateway, running
from tests.gateway.stand_ins.world import Reply, Task
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_cleanup, "_TICK", 0.02)
    monkeypatch.setattr(cluster_waiting, "QUIET", 0.0)


class Begun:
    """A container whose pod waits, and what its client reads meanwhile."""

    def __init__(self, gateway: Gateway) -> None:
        assert isinstance(gateway.world, ClusterWorld)
        self.gateway, self.world = gateway, gateway.world
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        self.client: Client = gateway.client()
        self.other = gateway.client()
        self.id = self.other.create()
        self.client.attach(self.id)
        assert self.other.ask("POST", f"/containers/{self.id}/start")[0] == 204
        (self.task,) = self.world.alive()
        self.output = b""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        self.output = self.client.output()

    def said(self, text: str) -> None:
        (container,) = self.gateway.backend.containers.all()
        waiting: list[str] = container.waiting  # type: ignore[union-attr]
        wait_until(lambda: [line for line in waiting if text in line], 20, lambda: str(waiting), 0.01)

    def end(self) -> tuple[list[str], int, Any]:
        """Give the lines of the log, and the answer to `wait`."""
        self.reader.join(20)
        return self.output.decode().splitlines(), *self.other.ask("POST", f"/containers/{self.id}/wait")


@contextmanager
def begun(tmp_path: Path, **tasks: Any) -> Iterator[tuple[Begun, ClusterWorld, Task]]:
    with running("cluster", tmp_path, **tasks) as gateway:
        each = Begun(gateway)
        yield each, each.world, each.task


PREPARING: dict[str, str] = {"PodScheduled": "True", "PodReadyToStartContainers": "False"}
CREATING = {"reason": "ContainerCreating"}


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        ("FailedMount", "mountSeconds"),
        ("FailedAttachVolume", "mountSeconds"),
        ("FailedMapVolume", "mountSeconds"),
        ("FailedMountOnFilesystemMismatch", "mountSeconds"),
        ("FailedCreatePodSandBox", "createSeconds"),
        ("FailedCreatePodContainer", "createSeconds"),
        ("NetworkNotReady", "createSeconds"),
        ("FailedPrepareDynamicResources", "createSeconds"),
    ],
)
def test_what_the_node_cannot_prepare_fails_with_the_events_words(
    tmp_path: Path, reason: str, key: str
) -> None:
    limits = {"mount_timeout_seconds": 1, "create_timeout_seconds": 1}
    with begun(tmp_path, **limits) as (container, world, task):
        uid = world.pods[task.id]["metadata"]["uid"]
        world.reports += [
            {"uid": "another", "reason": reason, "message": "of another pod"},
            {"uid": uid, "reason": reason, "message": "an older one", "lastTimestamp": "2026-01-01"},
            {"uid": uid, "reason": reason, "message": "it is not there", "lastTimestamp": "2026-01-02"},
            {"uid": uid, "reason": "Pulled", "message": "no trouble", "lastTimestamp": "2026-01-03"},
        ]
        world.report(task, CREATING, **PREPARING)
        lines, status, answer = container.end()
        wait_until(lambda: not world.alive(), 20, "the pod is deleted", 0.01)
    words = f"the node prepares the pod's volumes and network: {reason}: it is not there"
    assert f"[airdock] Waiting: {words}; the task fails after 1 s (tasks.timeouts.{key})" in lines
    assert (status, answer["message"]) == (500, words)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("CreateContainerError", 'name "x" is reserved'),
        ("CreateContainerError", "context deadline exceeded"),
        ("RunContainerError", "failed to create shim task: context canceled"),
    ],
)
def test_an_error_that_goes_away_costs_nothing_but_a_line(tmp_path: Path, reason: str, words: str) -> None:
    with begun(tmp_path) as (container, world, task):
        error = {"reason": reason, "message": words}
        for _ in range(3):
            world.report(task, error, PodScheduled="True", PodReadyToStartContainers="True")
            container.said(words)
            threading.Event().wait(0.1)
        world.run(task)
        world.print(task, b"done\n")
        world.exit(task, 0)
        lines, status, answer = container.end()
    assert (status, answer) == (200, {"StatusCode": 0})
    assert [line for line in lines if words in line] == [
        f"[airdock] Waiting: the container cannot be created: {reason}: {words};"
        " the task fails after 120 s (tasks.timeouts.createSeconds)"
    ]
    assert lines[-1] == "done"


def test_an_error_that_stays_has_a_limit(tmp_path: Path) -> None:
    with begun(tmp_path, create_timeout_seconds=1) as (container, world, task):
        error = {"reason": "RunContainerError", "message": "context deadline exceeded"}
        world.report(task, error, PodScheduled="True")
        _, status, answer = container.end()
    assert (status, "context deadline exceeded" in answer["message"]) == (500, True)


def test_a_pull_is_said_and_has_no_limit(tmp_path: Path) -> None:
    limits = {f"{kind}_timeout_seconds": 1 for kind in ("schedule", "mount", "pull", "create")}
    with begun(tmp_path, **limits) as (container, world, task):
        world.report(task, CREATING, PodScheduled="True", PodReadyToStartContainers="True")
        container.said("Waiting: the node pulls the image")
        threading.Event().wait(1.5)
        world.run(task)
        world.exit(task, 0)
        assert container.end()[1:] == (200, {"StatusCode": 0})


def test_a_conflict_about_the_quota_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running("cluster", tmp_path) as gateway:
        handle, left = gateway.world.handle, [1, 1]

        def conflict(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
            if method == "POST" and path.endswith("/pods") and left:
                left.pop()
                return Reply(409, {"reason": "Conflict", "message": "the object has been modified"})
            return handle(method, path, query, body)

        monkeypatch.setattr(gateway.world, "handle", conflict)
        container = Begun(gateway)
        gateway.world.run(container.task)
        gateway.world.exit(container.task, 0)
        assert container.end()[1] == 200
    assert not left
