"""The cluster, the task or its death ends a pod: that is never an exit code. Refusals at create."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from docker.errors import APIError
from docker.types import Mount

from tests.e2e.gateway_cluster.support import (
    BUSYBOX,
    NAMESPACE,
    PATIENCE,
    POLITE,
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


def test_deleted(gateway: Gateway) -> None:
    task, pod = polite(gateway)
    gateway.cluster.core.delete_namespaced_pod(pod.metadata.name, NAMESPACE)
    assert "deleted" in fails(task)


def test_evicted(gateway: Gateway) -> None:
    task, pod = polite(gateway)
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod.metadata.name}}
    gateway.cluster.core.create_namespaced_pod_eviction(pod.metadata.name, NAMESPACE, body)
    assert "EvictionByEvictionAPI" in fails(task)


def test_past_its_deadline(starter: Start) -> None:
    gateway = starter(pod={"activeDeadlineSeconds": 4})
    assert "DeadlineExceeded" in fails(begin(gateway.client(), POLITE))


def test_no_node_takes_it(starter: Start) -> None:
    gateway = starter(scheduleTimeoutSeconds=3, pod={"nodeSelector": {"nothing": "here"}})
    assert "the pod could not be scheduled" in fails(begin(gateway.client(), ["true"]))
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 30, "the pod is deleted")


def test_an_image_that_cannot_be_pulled(starter: Start) -> None:
    gateway = starter(pullTimeoutSeconds=3)
    client = gateway.client()
    assert client.images(name="nowhere/nothing:1")
    assert "image cannot be pulled" in fails(begin(client, ["true"], "nowhere/nothing:1"))


# ---- refusals at create


def test_admission_speaks_at_create(starter: Start) -> None:
    client = starter(pod={"hostNetwork": True}).client()
    path = "/run/airdock-tmp/airflowtmpxyz"
    with pytest.raises(APIError) as error:
        create(client, ["true"], host={"mounts": [Mount("/tmp/airflow", path, "bind")]})
    assert error.value.status_code == 403
    assert "violates PodSecurity" in error.value.explanation
    assert path not in str(error.value)


# ---- ends that the task asks for, or its death


def test_stop_answers_when_the_container_has_ended(gateway: Gateway) -> None:
    task, pod = polite(gateway)
    client = gateway.client()
    client.stop(task.id)
    assert not client.inspect_container(task.id)["State"]["Running"]
    assert "stopped" in fails(task)
    wait_until(
        lambda: pod.metadata.name not in [p.metadata.name for p in gateway.cluster.pods(gateway.owner)],
        20,
        "the pod is gone",
    )


def test_the_tasks_death_ends_the_container(gateway: Gateway) -> None:
    script = f"""
import docker, sys, time
c = docker.APIClient("unix://{gateway.socket}")
i = c.create_container("{BUSYBOX}", ["sleep", "1000"], host_config=c.create_host_config())["Id"]
s = c.attach(i, stream=True); c.start(i); print(i, flush=True); next(iter(s))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    container = process.stdout.readline().strip()

    def own() -> list[Any]:
        return [
            p
            for p in gateway.cluster.pods(gateway.owner)
            if p.metadata.annotations["airdock.dev/container-id"] == container
        ]

    wait_until(lambda: own() and own()[0].status.phase == "Running", PATIENCE, "the pod runs")
    process.kill()
    process.wait()
    wait_until(lambda: not own(), 30, "the orphan is gone")


def test_removal(gateway: Gateway) -> None:
    client = gateway.client()
    task, pod = polite(gateway)
    with pytest.raises(APIError) as error:
        client.remove_container(task.id)
    assert error.value.status_code == 409
    client.remove_container(task.id, force=True)
    with pytest.raises(APIError) as error:
        client.inspect_container(task.id)
    assert error.value.status_code == 404
    wait_until(
        lambda: pod.metadata.name not in [p.metadata.name for p in gateway.cluster.pods(gateway.owner)],
        20,
        "the pod is gone",
    )


def test_ended_pods_are_collected(starter: Start) -> None:
    gateway = starter(ttlSeconds=3)
    assert run(gateway.client(), ["true"]) == (0, b"")
    assert gateway.cluster.pods(gateway.owner)
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 30, "the pod is collected")
