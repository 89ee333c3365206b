"""Pods that have ended, and that their task did not delete, do not fill the quota of all tasks for ever."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from docker_gateway import cluster_ended_pods
from docker_gateway.cluster_ended_pods import EndedPods
from docker_gateway.cluster_pods import Pods
from docker_gateway.settings import Tasks

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.direct import ClusterDirect
from tests.gateway.stand_ins.world import Reply
from tests.support.attacks import AUTHOR

DAY = 86400
OLD, YOUNG = "2026-01-01T00:00:00Z", "2026-01-01T23:00:00Z"
NOW = 1767225600 + DAY + 60
ENDED = {"terminated": {"exitCode": 0, "finishedAt": OLD}}
LOST = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}
#: Name -> the pod's status and metadata, and whether it is to be deleted.
PODS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "ended": ({"phase": "Succeeded", "containerStatuses": [{"state": ENDED}]}, {}, True),
    "failed": ({"phase": "Failed", "containerStatuses": [{"state": ENDED}]}, {}, True),
    "failed-before-it-began": ({"phase": "Failed", "initContainerStatuses": [{"state": ENDED}]}, {}, True),
    "lost": ({"phase": "Failed", "containerStatuses": [{"state": LOST}]}, {}, True),
    "evicted": ({"phase": "Failed", "reason": "Evicted"}, {}, True),
    "of-a-gateway": ({"phase": "Failed"}, {"labels": {"airdock.dev/gateway": "any"}}, True),
    "evicted-late": (
        {"phase": "Failed", "reason": "Evicted", "conditions": [{"lastTransitionTime": YOUNG}]}, {}, False
    ),
    "ended-late": (
        {
            "phase": "Failed",
            "initContainerStatuses": [{"state": ENDED}],
            "containerStatuses": [
                {"state": ENDED},
                {"state": {"terminated": {"exitCode": 1, "finishedAt": YOUNG}}},
                {"state": {}},
            ],
        },
        {},
        False,
    ),
    "young": ({"phase": "Succeeded"}, {"creationTimestamp": YOUNG}, False),
    "running": ({"phase": "Running"}, {}, False),
    "pending": ({"phase": "Pending"}, {}, False),
    "unknown": ({"phase": "Unknown"}, {}, False),
    "of-a-job": ({"phase": "Succeeded"}, {"ownerReferences": [{"kind": "Job", "name": "theirs"}]}, False),
    "being-deleted": ({"phase": "Succeeded"}, {"deletionTimestamp": OLD}, False),
}  # fmt: skip


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: NOW)
        monkeypatch.setattr(cluster_ended_pods, "time", clock)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def world_of(*names: str) -> ClusterWorld:
    world = ClusterWorld()
    for name in names:
        status, metadata, _ = PODS[name]
        world.add({"metadata": {"name": name, "creationTimestamp": OLD, **metadata}, "spec": {}})
        world.pods[name]["status"] = status
    return world


def collector(world: ClusterWorld, **tasks: Any) -> EndedPods:
    return EndedPods(Pods(ClusterDirect(world), "airdock-tasks"), Tasks(**tasks))


@pytest.mark.attack(actor=AUTHOR, finding=(15,))
@pytest.mark.parametrize("name", PODS)
def test_what_has_ended_is_deleted_in_time(clock: Clock, name: str) -> None:
    world = world_of(name)
    pods = collector(world)
    pods.tick()
    assert not world.requests, "not when the gateway starts"
    clock.now = 601
    pods.tick()
    assert (name not in world.pods) is PODS[name][2]


def test_how_often(clock: Clock) -> None:
    world = world_of()
    pods, short = collector(world), collector(world, ttl_seconds_after_finished=60, ttl_seconds=5)
    for clock.now, requests in ((59, 0), (61, 2), (601, 6), (602, 6)):
        pods.tick()
        short.tick()
        assert len(world.requests) == requests


@pytest.mark.parametrize(
    "tasks",
    [{"ttl_seconds_after_finished": 0}, {"ttl_seconds_after_finished": 60, "ttl_seconds": 2 * DAY}],
    ids=["they are kept", "the gateway's own stay longer"],
)
def test_switched_off(clock: Clock, tasks: dict[str, Any]) -> None:
    world = world_of("ended")
    pods = collector(world, **tasks)
    clock.now = 601
    pods.tick()
    assert "ended" in world.pods


@pytest.mark.attack(actor=AUTHOR, finding=(11,))
def test_one_that_cannot_be_deleted_stops_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a status that nobody expects."""
    world = world_of("ended", "failed", "evicted", "lost")
    world.pods["evicted"]["status"] = {"phase": "Failed", "containerStatuses": [None]}
    handle = world.handle

    def refused(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        if (method, path.rpartition("/")[2]) == ("DELETE", "ended"):
            return Reply(403, {"code": 403, "reason": "Forbidden", "message": "no"})
        return handle(method, path, query, body)

    monkeypatch.setattr(world, "handle", refused)
    pods = collector(world)
    clock.now = 601
    pods.tick()
    assert set(world.pods) == {"ended", "evicted"}


def test_another_pod_of_its_name_stays(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of("ended")
    pods = collector(world)
    handle = world.handle

    def replaced(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        reply = handle(method, path, query, body)
        world.pods["ended"]["metadata"]["uid"] = "another"
        return reply

    monkeypatch.setattr(world, "handle", replaced)
    clock.now = 601
    pods.tick()
    assert "ended" in world.pods
