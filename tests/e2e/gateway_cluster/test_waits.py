"""What a container waits for is in its log, and has a limit."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from docker.errors import APIError
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
    polite,
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


@contextmanager
def quota(cluster: Cluster, **hard: str) -> Iterator[None]:
    """Give the namespace a quota. `_` in a name stands for `.`."""
    core = cluster.core
    spec = {"hard": {name.replace("_", "."): most for name, most in hard.items()}}
    core.create_namespaced_resource_quota(NAMESPACE, {"metadata": {"name": "tests"}, "spec": spec})
    try:
        wait_until(
            lambda: core.read_namespaced_resource_quota("tests", NAMESPACE).status.hard,
            20,
            "the quota counts",
        )
        yield
    finally:
        core.delete_namespaced_resource_quota("tests", NAMESPACE)


def test_containers_wait_for_a_full_quota_in_the_order_of_their_starts(starter: Start) -> None:
    gateway = starter(createTimeoutSeconds=300)
    with quota(gateway.cluster, pods="1"):
        tasks = [begin(gateway.client(), ["sleep", "12"]) for _ in range(3)]
        outputs = [task.read() for task in tasks]
        assert [task.wait() for task in tasks] == [0] * 3
    pods = {
        pod.metadata.annotations["airdock.dev/container-id"]: pod
        for pod in gateway.cluster.pods(gateway.owner)
    }
    created = [pods[task.id].metadata.creation_timestamp for task in tasks]
    assert created == sorted(created)
    assert not outputs[0]
    for output in outputs[1:]:
        assert b"the quota tests of namespace" in output
        assert b"the task fails after 300 s (tasks.timeouts.createSeconds)" in output


def test_a_quota_that_stays_full_fails_the_task(starter: Start) -> None:
    gateway = starter(createTimeoutSeconds=25)
    with quota(gateway.cluster, pods="1"):
        first, _ = polite(gateway)
        reason = fails(begin(gateway.client(), ["true"]))
        assert "the quota tests of namespace" in reason
        assert "tasks.quota.hard" in reason
        assert reason.endswith("for more than 25 s (tasks.timeouts.createSeconds)")
        assert len(gateway.cluster.pods(gateway.owner)) == 1
        first.client.stop(first.id)


def test_who_leaves_before_a_full_quota_has_room_gets_no_pod(starter: Start) -> None:
    gateway = starter()
    with quota(gateway.cluster, pods="1"):
        first, _ = polite(gateway)
        second = begin(gateway.client(), ["sleep", "600"])
        second.stream.close()
        third = begin(gateway.client(), ["sleep", "600"])
        third.client.stop(third.id)
        fourth = begin(gateway.client(), ["sleep", "600"])
        fourth.client.remove_container(fourth.id, force=True)
        first.client.stop(first.id)
        wait_until(lambda: not gateway.cluster.pods(gateway.owner), 60, "the first pod is gone")
        time.sleep(5)
        assert not gateway.cluster.pods(gateway.owner)


def test_what_alone_exceeds_a_quota_fails_at_once(gateway: Gateway) -> None:
    with (
        quota(gateway.cluster, limits_memory="64Mi"),
        pytest.raises(APIError, match="can never admit the pod"),
    ):
        create(gateway.client(), ["true"], host={"mem_limit": "128m"})


def test_many_starts_at_once_share_a_quota(gateway: Gateway) -> None:
    """The API server answers a conflict to those who count a quota at the same time."""

    def start(_: int) -> Any:
        task = create(gateway.client(), ["true"])
        task.start()
        return task

    with quota(gateway.cluster, limits_memory="1Ti", pods="500"), ThreadPoolExecutor(10) as pool:
        assert [task.wait() for task in pool.map(start, range(10))] == [0] * 10
