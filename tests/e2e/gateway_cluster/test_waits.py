"""What a container waits for is in its log, and has a limit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from docker.types import Mount

from tests.e2e.gateway_cluster.support import (
    NAMESPACE,
    Cluster,
    Gateway,
    Start,
    begin,
    create,
    fails,
    needs_native,
    run,
)
from tests.support.waiting import wait_until

pytestmark = needs_native
CLAIM = "cannot-be-mounted"


@pytest.fixture
def claim(cluster: Cluster) -> Iterator[str]:
    """Give a claim that is bound to a directory that the node does not have."""
    name = f"{CLAIM}-{os.getpid()}"
    size = {"storage": "1Mi"}
    volume = {
        "metadata": {"name": name},
        "spec": {
            "capacity": size,
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "none",
            "claimRef": {"namespace": NAMESPACE, "name": name},
            "hostPath": {"path": f"/nowhere/{name}", "type": "Directory"},
        },
    }
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "none",
        "volumeName": name,
        "resources": {"requests": size},
    }
    cluster.core.create_persistent_volume(volume)
    cluster.core.create_namespaced_persistent_volume_claim(
        NAMESPACE, {"metadata": {"name": name}, "spec": spec}
    )
    wait_until(
        lambda: cluster.core.read_namespaced_persistent_volume_claim(name, NAMESPACE).status.phase == "Bound",
        60,
        "the claim is bound",
    )
    yield name
    cluster.core.delete_namespaced_persistent_volume_claim(name, NAMESPACE)
    cluster.core.delete_persistent_volume(name)


def test_a_claim_that_cannot_be_mounted(starter: Start, claim: str) -> None:
    gateway = starter(mountTimeoutSeconds=25, claims={"data": {"claimName": claim}})
    task = begin(gateway.client(), ["true"], host={"mounts": [Mount("/data", "data", "volume")]})
    reason = fails(task)
    assert "hostPath type check failed" in reason
    (line,) = [each for each in task.output.decode().splitlines() if "hostPath type check failed" in each]
    assert line.startswith("[airdock] Waiting: ")
    assert line.endswith("the task fails after 25 s (tasks.timeouts.mountSeconds)")
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 30, "the pod is deleted")


def test_a_pod_that_is_not_scheduled_says_so_meanwhile(starter: Start) -> None:
    gateway = starter(scheduleTimeoutSeconds=25, pod={"nodeSelector": {"nothing": "here"}})
    task = begin(gateway.client(), ["true"])
    assert "the pod could not be scheduled" in fails(task)
    (line,) = task.output.decode().splitlines()
    assert "the pod could not be scheduled" in line
    assert line.endswith("the task fails after 25 s (tasks.timeouts.scheduleSeconds)")


@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_container_waits_for_is_standard_error(starter: Start, terminal: bool) -> None:
    """A terminal has one stream for all."""
    gateway = starter(scheduleTimeoutSeconds=25, pod={"nodeSelector": {"nothing": "here"}})
    client = gateway.client()
    task = create(client, ["true"], tty=terminal)
    reader = client.attach(task.id, stream=True, demux=True)
    task.start()
    output, errors = (b"".join(filter(None, each)) for each in zip(*reader, strict=True))
    said, silent = (output, errors) if terminal else (errors, output)
    assert said.startswith(b"[airdock] Waiting: ")
    assert not silent


def test_a_container_that_begins_soon_says_nothing(gateway: Gateway) -> None:
    assert run(gateway.client(), ["echo", "a"]) == (0, b"a\n")


def test_many_starts_at_once_share_a_quota(gateway: Gateway) -> None:
    """The API server answers a conflict to those who count a quota at the same time."""
    core = gateway.cluster.core
    core.create_namespaced_resource_quota(
        NAMESPACE, {"metadata": {"name": "many"}, "spec": {"hard": {"limits.memory": "1Ti", "pods": "500"}}}
    )

    def start(_: int) -> Any:
        task = create(gateway.client(), ["true"])
        task.start()
        return task

    try:
        wait_until(
            lambda: core.read_namespaced_resource_quota("many", NAMESPACE).status.hard, 20, "the quota counts"
        )
        with ThreadPoolExecutor(10) as pool:
            assert [task.wait() for task in pool.map(start, range(10))] == [0] * 10
    finally:
        core.delete_namespaced_resource_quota("many", NAMESPACE)
