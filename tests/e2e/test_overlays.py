"""An overlay on the cluster: applied, used, changed and deleted, in namespaces of its own.

Each is a user's: one of ours in other namespaces, and what this cluster's registry needs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import examples
from scripts.airflow_api import Airflow, PortForward
from scripts.examples import Group
from scripts.overlays import apply
from scripts.overlays.check import problems
from scripts.target import RELEASE, CommandError, Target
from tests.e2e.conftest import wait_until

NAMESPACE = "airdock-kustomize"
SECONDS = 600
TASKS = f"{NAMESPACE}-tasks"
#: Overlay -> its worker group.
OVERLAYS = {
    "dind": Group("dind", "dind", "dind", frozenset({"docker"})),
    "kubernetes": Group("default", "kubernetes", "default", frozenset({"kubernetes"})),
}


@pytest.fixture(scope="module", params=OVERLAYS)
def name(request: pytest.FixtureRequest) -> str:
    """The overlay's name."""
    return str(request.param)


@pytest.fixture(scope="module")
def overlay(target: Target, name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the overlay."""
    folder = tmp_path_factory.mktemp("overlay")
    settings = {"AIRFLOW__CORE__PARALLELISM": "32"}
    return apply.write(target, name, folder, namespace=NAMESPACE, settings=settings, cpu="10m")


@pytest.fixture(scope="module")
def applied(target: Target, overlay: Path) -> Iterator[Target]:
    """The cluster with the overlay on it."""
    try:
        target.kubectl("apply", "-k", str(overlay))
        rolled(target)
        yield target
    finally:
        target.kubectl("delete", "-k", str(overlay), "--ignore-not-found", "--timeout=300s", timeout=310)


def rolled(target: Target) -> None:
    """Wait until every workload runs what it was last told."""
    apply.wait(target, NAMESPACE, SECONDS)


def workloads(target: Target) -> list[str]:
    """kind/name of each."""
    names = target.kubectl("get", "deployments,statefulsets", "-n", NAMESPACE, "-o", "name")
    return names.split()


def pods(target: Target) -> dict[str, str]:
    """Component -> uid of its pod."""
    return {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["metadata"]["uid"]
        for pod in target.items("pods", "-n", NAMESPACE)
        if not pod["metadata"].get("deletionTimestamp")
    }


def test_the_overlay_has_no_problem(overlay: Path) -> None:
    assert problems(overlay) == []


def test_the_example_dags_run(applied: Target, name: str) -> None:
    admin = applied.secret(f"{RELEASE}-admin", NAMESPACE)
    service = f"svc/{RELEASE}-api-server"
    with PortForward(applied.kubectl_command, NAMESPACE, service, 8080) as forward:
        airflow = Airflow(forward.url, admin["username"], admin["password"])
        results = examples.run_all(airflow, [OVERLAYS[name]], registry=applied.native)
    assert results
    assert [result.task.name for result in results if not result.right] == []


def test_rights_and_fence_follow(applied: Target, name: str) -> None:
    """What the worker may do in its task namespace, and what no pod of that namespace may have."""
    account = f"--as=system:serviceaccount:{NAMESPACE}:airdock-worker-{OVERLAYS[name].name}"
    if name == "dind":
        with pytest.raises(CommandError):
            applied.kubectl("auth", "can-i", "create", "pods", "-n", NAMESPACE, account)
        return
    assert applied.kubectl("auth", "can-i", "create", "pods", "-n", TASKS, account).strip() == "yes"
    for elsewhere in (NAMESPACE, RELEASE, f"{RELEASE}-tasks"):
        with pytest.raises(CommandError):
            applied.kubectl("auth", "can-i", "create", "pods", "-n", elsewhere, account)
    # Restricted and limited: what is refused is its service account alone.
    container = {
        "name": "thief",
        "image": "busybox:1.37",
        "resources": {"limits": {"cpu": "100m", "memory": "32Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "serviceAccountName": "default",
        "automountServiceAccountToken": False,
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "thief", "namespace": TASKS}, "spec": spec}
    create = ["create", "--dry-run=server", "-f", "-"]
    with pytest.raises(CommandError, match="service account 'default' instead of airdock-task"):
        applied.kubectl(*create, stdin=json.dumps(pod))
    spec["serviceAccountName"] = "airdock-task"
    applied.kubectl(*create, stdin=json.dumps(pod))


def test_applying_again_changes_nothing(applied: Target, overlay: Path) -> None:
    before = pods(applied)
    generations = {w: applied.get(w, "-n", NAMESPACE)["metadata"]["generation"] for w in workloads(applied)}
    applied.kubectl("apply", "-k", str(overlay))
    time.sleep(5)
    for workload, generation in generations.items():
        assert applied.get(workload, "-n", NAMESPACE)["metadata"]["generation"] == generation, workload
    assert pods(applied) == before


def test_a_change_rolls_only_its_readers(applied: Target, overlay: Path) -> None:
    """Redis and Postgres read no setting of Airflow; the example DAGs are read anew by themselves."""
    before = pods(applied)
    file = overlay / "kustomization.yaml"
    original = file.read_text()
    assert "PARALLELISM=32" in original
    file.write_text(original.replace("PARALLELISM=32", "PARALLELISM=33"))
    applied.kubectl("apply", "-k", str(overlay))
    rolled(applied)
    wait_until(lambda: len(applied.items("pods", "-n", NAMESPACE)) == len(before), 120, "old pods gone")
    after = pods(applied)
    same = {component for component in before if before[component] == after[component]}
    assert same == {"postgres", "redis"}


def test_deleted_with_its_namespace_nothing_is_left(applied: Target, overlay: Path) -> None:
    """Claims, Secrets and the ConfigMaps of earlier hashes are in the namespace, which is the overlay's."""
    applied.kubectl("delete", "-k", str(overlay), "--timeout=300s", timeout=310)
    for namespace in (NAMESPACE, TASKS):
        with pytest.raises(CommandError, match="not found"):
            applied.kubectl("get", "namespace", namespace)
    volumes = [
        volume["metadata"]["name"]
        for volume in applied.items("persistentvolumes")
        if volume["spec"].get("claimRef", {}).get("namespace") == NAMESPACE
        and volume["status"]["phase"] != "Released"
    ]
    assert volumes == []
    assert NAMESPACE not in applied.kubectl("get", "validatingadmissionpolicies", "-o", "name")
