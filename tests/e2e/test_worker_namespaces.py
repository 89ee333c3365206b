"""Privileged worker groups in namespaces of their own; the release's enforces Pod Security restricted."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from scripts import up
from scripts.live import NAMESPACE, RELEASE, CommandError, Target, examples
from scripts.overlays.definitions import merged
from tests.e2e.conftest import DAG_FILES, Release, wait_until

pytestmark = pytest.mark.touches("release")

ENFORCE = "pod-security.kubernetes.io/enforce"
#: Modes whose pods `restricted` refuses.
MODES = ("dind", "socket")
#: Of a task that runs when its group leaves its namespace: longer than Helm takes to delete that.
DRAINING_SECONDS = 60
#: What a group's namespace holds: Secret -> its keys.
SECRETS = {
    f"{RELEASE}-api-secret-key": {"api-secret-key"},
    f"{RELEASE}-redis": {"broker-url", "password", "result-backend"},
}


def namespace_of(mode: str) -> str:
    """The namespace of the group of a mode."""
    return f"{RELEASE}-{mode}"


def refusal(target: Target, mode: str) -> str:
    """What the API server says to a Deployment that cannot make its pods."""
    deployment = target.get("deployment", f"{RELEASE}-worker-{mode}", "-n", NAMESPACE)
    conditions = deployment["status"].get("conditions", [])
    return next((c["message"] for c in conditions if c["type"] == "ReplicaFailure"), "")


def secrets(target: Target, namespace: str) -> dict[str, dict[str, str]]:
    """All Secrets of a namespace, decoded."""
    return {
        secret["metadata"]["name"]: {
            key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()
        }
        for secret in target.items("secrets", "-n", namespace)
    }


@pytest.fixture(scope="module")
def refused(release: Release) -> Iterator[dict[str, str]]:
    """Under the label, with all groups in the release's namespace: what is said of each mode's new pods."""
    target = release.target
    groups = [mode for mode in MODES if mode in release.values["workers"]]
    if not groups:
        pytest.skip("this cluster serves neither mode dind nor mode socket")
    target.kubectl("label", "namespace", NAMESPACE, f"{ENFORCE}=restricted", "--overwrite")
    try:
        for mode in groups:
            selector = f"airdock.dev/worker-group={mode}"
            target.kubectl("delete", "pods", "-n", NAMESPACE, "-l", selector, "--wait=false")
        yield {
            mode: wait_until(lambda m=mode: refusal(target, m), 120, f"pods of {mode} are refused")  # type: ignore[misc]
            for mode in groups
        }
    finally:
        target.kubectl("label", "namespace", NAMESPACE, f"{ENFORCE}-")
        up.install(target, dict(release.values))


@pytest.fixture(scope="module")
def moved(release: Release, refused: dict[str, str]) -> Release:
    """The same release, still under the label, whose privileged groups have namespaces."""
    groups: dict[str, Any] = {mode: {"namespace": namespace_of(mode)} for mode in refused}
    # The setting is read by all Airflow pods: each starts anew, under the label.
    everybody = {"core": {"max_map_length": 1025}}
    values = merged(release.values, {"workers": groups, "airflow": {"config": everybody}})
    up.install(release.target, values)
    return Release(release.target, release.airflow, values, release.groups)


def test_refused_in_the_release_namespace(refused: dict[str, str]) -> None:
    for mode, message in refused.items():
        assert 'violates PodSecurity "restricted' in message, f"{mode}: {message}"


def test_everything_else_runs_there(moved: Release, refused: dict[str, str]) -> None:
    target = moved.target
    pods = [pod for pod in moved.staying() if pod["metadata"]["namespace"] == NAMESPACE]
    assert {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods} == {
        "api-server", "scheduler", "dag-processor", "triggerer", "worker", "postgres", "redis",
    }  # fmt: skip
    for pod in pods:
        assert all(status["ready"] for status in pod["status"]["containerStatuses"])
        # Pod Security judges a pod when it is made: the data stores' pods are older than the label.
        metadata = {"name": "again", "namespace": NAMESPACE, "labels": {}}
        again = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}
        target.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(again))
    for mode in refused:
        namespace = namespace_of(mode)
        labels = target.get("namespace", namespace)["metadata"]["labels"]
        assert labels[ENFORCE] == "privileged"
        (pod,) = (
            pod for pod in target.items("pods", "-n", namespace) if "deletionTimestamp" not in pod["metadata"]
        )
        metadata = {"name": "again", "namespace": NAMESPACE, "labels": {}}
        again = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}
        again["spec"].pop("serviceAccountName")
        again["spec"].pop("serviceAccount", None)
        with pytest.raises(CommandError, match="violates PodSecurity"):
            target.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(again))


def test_tasks_run_and_their_logs_are_read(moved: Release, refused: dict[str, str]) -> None:
    """A DockerOperator in each group; the api-server reads the log of a worker in another namespace."""
    results = examples.run_all(moved.airflow, moved.groups, registry=False, only="docker_url", seconds=400)
    assert {result.mode for result in results} >= set(refused)
    wrong = [
        f"{result.dag}.{result.task.name} is {result.task.state}" for result in results if not result.right
    ]
    assert not wrong
    for result in results:
        assert "busybox:1.37" in moved.airflow.log(result.task), f"the log of {result.dag}"


def test_secrets_of_the_group(moved: Release, refused: dict[str, str]) -> None:
    """Two, the same as the release's, and no other word of the release's is to be found there."""
    own = secrets(moved.target, NAMESPACE)
    for mode in refused:
        there = secrets(moved.target, namespace_of(mode))
        assert {name: set(data) for name, data in there.items()} == SECRETS
        for name, key in ((f"{RELEASE}-api-secret-key", "api-secret-key"), (f"{RELEASE}-redis", "password")):
            assert there[name][key] == own[name][key]
        readable = json.dumps([there, moved.target.items("configmaps", "-n", namespace_of(mode))])
        worker = f"deploy/{RELEASE}-worker-{mode}"
        environment = moved.target.kubectl(
            "exec", worker, "-n", namespace_of(mode), "-c", "worker", "--", "cat", "/proc/1/environ"
        )
        for text in (readable, environment):
            assert own[f"{RELEASE}-redis"]["password"] in text, "what is there is found"
            for name in ("admin", "fernet-key", "jwt-secret", "postgres"):
                for key, word in own[f"{RELEASE}-{name}"].items():
                    if key != "username":
                        assert word not in text, f"{key} of {name} in {namespace_of(mode)}"


def test_namespaces_go_with_their_last_group_once_its_tasks_are_done(
    dags: Release, moved: Release, refused: dict[str, str]
) -> None:
    """The groups move back while their workers run tasks: those finish, by api-server and broker."""
    target = dags.target
    target.kubectl("label", "namespace", NAMESPACE, f"{ENFORCE}-")
    runs = {}
    for group in (group for group in moved.groups if group.name in refused):
        files_in(target, namespace_of(group.name), group.name)
        script = f"for i in $(seq {DRAINING_SECONDS}); do echo tick $i; sleep 1; done; echo the end"
        runs[group.name] = dags.start(f"e2e_docker_{group.queue}", script)
    for run in runs.values():
        run.wait_for_log("tick 2")
    with ThreadPoolExecutor() as pool:
        upgrade = pool.submit(up.install, target, dict(dags.values))
        for mode, run in runs.items():
            wait_until(lambda m=mode: going(target, namespace_of(m)), 120, f"{mode}'s namespace is deleted")  # type: ignore[misc]
            assert run.task.state == "running", f"{mode}'s task ended too early to show anything"
        upgrade.result()
    assert {mode: (run.wait(), run.task.try_number) for mode, run in runs.items()} == dict.fromkeys(
        runs, ("success", 1)
    )
    # The namespaces themselves go when their controller looks again: after half of a pod's grace period.
    for mode in refused:
        empty = f"no pods in {mode}'s namespace"
        wait_until(lambda m=mode: not target.items("pods", "-n", namespace_of(m)), 120, empty)  # type: ignore[misc]


def files_in(target: Target, namespace: str, group: str) -> None:
    """Put the tests' own DAGs into a group's namespace too, and wait until its worker has them."""
    patch = json.dumps({"data": {name: file.read_text() for name, file in DAG_FILES.items()}})
    config_map = f"{RELEASE}-example-dags"
    target.kubectl("patch", "configmap", config_map, "-n", namespace, "--type=merge", "-p", patch)
    # The kubelet looks at a pod's ConfigMaps once a minute, or when the pod changes.
    now = f"airdock.dev/poked={time.time()}"
    target.kubectl("annotate", "pods", "--all", "-n", namespace, "--overwrite", now)
    worker = ("exec", f"deploy/{RELEASE}-worker-{group}", "-n", namespace, "-c", "worker", "--")

    def there() -> bool:
        return set(DAG_FILES) <= set(target.kubectl(*worker, "ls", "/opt/airflow/dags").split())

    wait_until(there, 90, f"DAG files in {namespace}")


def going(target: Target, namespace: str) -> bool:
    """Whether a namespace has been told to go."""
    return "deletionTimestamp" in target.get("namespace", namespace)["metadata"]
