"""Whose gateway lives is told by the name of its Lease, and by nothing that someone else can write."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker_gateway import cluster_leases
from docker_gateway.settings import Settings, Tasks

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.direct import ClusterDirect
from tests.gateway.stand_ins.world import Reply
from tests.support.attacks import AUTHOR

OURS, LIVING, DEAD = (f"{digit * 8}-0000-0000-0000-000000000000" for digit in "123")
LABEL = "airdock.dev/gateway"


class Clock:
    """Turns for all: each turn is 30 s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(cluster_leases, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def leases(world: ClusterWorld, owner: str, seconds: int = 120) -> cluster_leases.Leases:
    settings = Settings(owner=owner, tasks=Tasks(lease_seconds=seconds))
    return cluster_leases.Leases(ClusterDirect(world), settings)


def pod(world: ClusterWorld, owner: str, name: str = "") -> str:
    name = name or f"pod-of-{owner[0]}"
    world.add({"metadata": {"name": name, "labels": {LABEL: owner}}, "spec": {}})
    return name


def forged(name: str, spec: Any, **labels: str) -> dict[str, Any]:
    managed = {"app.kubernetes.io/managed-by": "airdock", **labels}
    return {"metadata": {"name": name, "labels": managed}, "spec": spec}


def turns(clock: Clock, count: int, *living: cluster_leases.Leases, step: float = 31.0) -> None:
    for _ in range(count):
        clock.now += step
        for each in living:
            each.tick()


def test_pods_of_a_dead_gateway_are_deleted_and_those_of_a_living_one_stay(clock: Clock) -> None:
    world = ClusterWorld()
    ours, living, dead = (leases(world, each) for each in (OURS, LIVING, DEAD))
    names = [pod(world, each) for each in (OURS, LIVING, DEAD)]
    turns(clock, 1, ours, living, dead)
    turns(clock, 8, ours, living)
    assert set(world.pods) == set(names[:2])
    assert set(world.leases) == {f"airdock-gateway-{each}" for each in (OURS, LIVING)}


#: What an author who may write Leases could put into one.
SPECS: dict[str, Any] = {
    "nothing": {},
    "null": None,
    "no object": [],
    "names the living one": {"holderIdentity": LIVING, "leaseDurationSeconds": 0, "renewTime": "x"},
    "less than nothing": {"holderIdentity": LIVING, "leaseDurationSeconds": -1},
    "text": {"holderIdentity": LIVING, "leaseDurationSeconds": "0", "renewTime": 0},
    "lists": {"holderIdentity": [LIVING], "leaseDurationSeconds": [], "renewTime": {}},
}
NAMES = (
    "x",
    "airdock-gateway-",
    "airdock-gateway-x/../y",
    "airdock-gateway-44444444-0000-0000-0000-000000000000",
    f"airdock-gateway-{LIVING}",
    f"other-airdock-gateway-{LIVING}",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("about", SPECS)
@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_no_lease_of_others_stops_the_sweep_or_ends_a_living_gateways_pods(
    clock: Clock, name: str, about: str
) -> None:
    world = ClusterWorld()
    ours, living, dead = (leases(world, each) for each in (OURS, LIVING, DEAD))
    turns(clock, 1, ours, living, dead)
    kept, left = pod(world, LIVING), pod(world, DEAD)
    for _ in range(8):
        world.write_lease(name, forged(name, SPECS[about], **{LABEL: LIVING}))
        turns(clock, 1, ours, living)
        assert kept in world.pods
    assert left not in world.pods


@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_a_lease_that_says_so_keeps_a_dead_gateways_pods_for_an_hour_at_most(clock: Clock) -> None:
    world = ClusterWorld()
    ours = leases(world, OURS)
    left = pod(world, DEAD)
    name = f"airdock-gateway-{DEAD}"
    world.write_lease(name, forged(name, {"leaseDurationSeconds": 2**31 - 1, "renewTime": "x"}))
    turns(clock, 115, ours)
    assert left in world.pods
    turns(clock, 5, ours)
    assert left not in world.pods


def test_one_pod_that_cannot_be_deleted_keeps_no_other(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    world = ClusterWorld()
    ours, dead = leases(world, OURS), leases(world, DEAD)
    turns(clock, 1, ours, dead)
    for name in ("a", "b", "c"):
        pod(world, DEAD, name)
    handle = world.handle

    def refuse_a(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        if method == "DELETE" and path.endswith("/pods/a"):
            return Reply(403, {"message": "no"})
        return handle(method, path, query, body)

    monkeypatch.setattr(world, "handle", refuse_a)
    turns(clock, 8, ours)
    assert set(world.pods) == {"a"}
    assert f"airdock-gateway-{DEAD}" in world.leases


def test_a_gateway_that_cannot_renew_its_lease_is_not_ready(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody would clean up after it."""
    world = ClusterWorld()
    ours = leases(world, OURS)
    assert "not been created" in ours.ready()
    turns(clock, 1, ours)
    assert ours.ready() == ""
    monkeypatch.setattr(world, "handle", lambda *_: Reply(403, {"message": "no right to it"}))
    turns(clock, 3, ours)
    assert ours.ready() == ""
    turns(clock, 2, ours)
    assert "no right to it" in ours.ready()
