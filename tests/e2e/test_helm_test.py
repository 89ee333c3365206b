"""`helm test` runs a container in each group, and says in a sentence which part is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.live import NAMESPACE, RELEASE, TASKS, CommandError
from scripts.overlays.definitions import merged
from tests.e2e.conftest import Release, install, wait_until

#: Of the tests that must fail: the default would be waited for in full where no worker takes the task.
SECONDS = 45
GATEWAY = f"deployment/{RELEASE}-worker-default"


def helm_test(release: Release) -> str:
    """What `helm test --logs` says, whether it fails or not."""
    try:
        return release.target.helm("test", RELEASE, f"--namespace={NAMESPACE}", "--logs")
    except CommandError as error:
        logs = release.target.kubectl("logs", f"{RELEASE}-test", "-n", NAMESPACE)
        raise AssertionError(f"{error.stderr}\n{logs}") from error


@pytest.fixture
def impatient(release: Release) -> Release:
    """The release, whose test gives up soon. Only the hook changes, so nothing restarts."""
    install(release.target, merged(release.values, {"tests": {"timeoutSeconds": SECONDS}}))
    return release


def test_every_group_runs_containers(release: Release) -> None:
    said = helm_test(release)
    for group in release.groups:
        assert f"workers.{group.name}: " in said
    assert "tasks that set no queue: " in said and "All worker groups run containers." in said
    for group in release.groups:
        runs = release.airflow.call("GET", f"/dags/airdock_test_{group.name}/dagRuns")
        assert not runs["dag_runs"], "the runs are deleted"


@contextmanager
def without_right(release: Release, name: str) -> Iterator[None]:
    binding = release.target.get("rolebinding", name, "-n", TASKS)
    release.target.kubectl("delete", "rolebinding", name, "-n", TASKS)
    for field in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
        binding["metadata"].pop(field, None)
    try:
        yield
    finally:
        release.target.apply(binding)


@pytest.mark.touches("release")
def test_a_right_is_missing(impatient: Release) -> None:
    with (
        without_right(impatient, f"{RELEASE}-task-launcher"),
        pytest.raises(AssertionError, match=r"workers\.default: the task pod failed: Workers may not"),
    ):
        helm_test(impatient)
    helm_test(impatient)


@pytest.mark.touches("release")
def test_a_gateway_is_missing(impatient: Release) -> None:
    patch = {"spec": {"template": {"spec": {"$setElementOrder/initContainers": [], "initContainers": [
        {"$patch": "delete", "name": "docker-gateway"}]}}}}  # fmt: skip
    old = impatient.worker("default")
    impatient.target.kubectl("patch", GATEWAY, "-n", NAMESPACE, "-p", json.dumps(patch))
    try:
        impatient.rolled(GATEWAY)
        wait_until(lambda: impatient.worker("default") != old, 120, "the worker without a gateway")
        with pytest.raises(AssertionError, match=r"workers\.default: the task docker failed: "):
            helm_test(impatient)
    finally:
        impatient.target.kubectl("rollout", "undo", GATEWAY, "-n", NAMESPACE)
        impatient.rolled(GATEWAY)


@pytest.mark.touches("daemon")
def test_a_daemon_is_missing(impatient: Release) -> None:
    worker = impatient.worker("dind")
    impatient.inside(worker, "docker", "sh", "-c", "kill -STOP $(pidof dockerd)")
    try:
        with pytest.raises(AssertionError, match=r"workers\.dind: .*(no worker took|the task docker)"):
            helm_test(impatient)
    finally:
        impatient.inside(worker, "docker", "sh", "-c", "kill -CONT $(pidof dockerd)")
