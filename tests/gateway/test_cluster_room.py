"""What a gateway keeps in memory of a cluster's containers has a ceiling, by number and by size."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_gateway import cluster, cluster_room, containers
from docker_gateway.backend import Refusal
from docker_gateway.containers import Containers
from docker_gateway.model import Create

from tests.gateway.stand_ins.gateway import Gateway
from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Any]:
    gateway = Gateway("cluster", tmp_path)
    wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
    yield gateway.backend
    gateway.close()


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_containers_have_a_ceiling(backend: Any) -> None:
    """Never started, so that no quota counts them. One that is removed makes room."""
    for _ in range(cluster_room.MAX_CONTAINERS):
        last, _ = backend.create(Create(image="busybox:1.37"))
    with pytest.raises(Refusal, match=r"containers: this worker has 500 containers"):
        backend.create(Create(image="busybox:1.37"))
    backend.remove(last, force=True)
    backend.create(Create(image="busybox:1.37"))


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_their_pods_have_a_size_together(backend: Any) -> None:
    large = Create(image="busybox:1.37", env=("A=" + "x" * 1_000_000,))
    for _ in range(cluster_room.MAX_BYTES // 1_000_000 - 1):
        backend.create(large)
    with pytest.raises(Refusal, match=r"environment: .* is the maximum"):
        for _ in range(2):
            backend.create(large)
    backend.create(Create(image="busybox:1.37"))


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_the_ceiling_holds_for_many_at_once(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_room, "MAX_CONTAINERS", 3)
    refused = []

    def create() -> None:
        try:
            backend.create(Create(image="busybox:1.37"))
        except Refusal as refusal:
            refused.append(refusal)

    threads = [threading.Thread(target=create) for _ in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(backend.containers.all()) == 3
    assert len(refused) == 9


def test_names_of_images_have_a_ceiling(backend: Any) -> None:
    for number in range(cluster._PULLED + 10):
        list(backend.pull(f"registry.example.com/image-{number}:1", ""))
    assert len(backend.images("")) == cluster._PULLED


def test_removed_containers_that_are_remembered_have_a_ceiling() -> None:
    class One:
        name = end_error = ""

        def __init__(self, number: int) -> None:
            self.id = str(number)

    known: Containers[One] = Containers()
    for number in range(containers._REMEMBERED + 1):
        one = One(number)
        known.add(one)
        known.forget(one)
    assert not known.knew("0")
    assert known.knew("1")
