"""An overlay on the cluster: applied, used, changed and deleted, in namespaces of its own.

The overlay is a user's: overlays/dind in another namespace, and what this cluster's registry needs.
"""

from __future__ import annotations

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
DIND = Group("dind", "dind", "dind", frozenset({"docker"}))


@pytest.fixture(scope="module")
def overlay(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the overlay."""
    folder = tmp_path_factory.mktemp("overlay")
    settings = {"AIRFLOW__CORE__PARALLELISM": "32"}
    return apply.write(target, "dind", folder, namespace=NAMESPACE, settings=settings)


@pytest.fixture(scope="module")
def applied(target: Target, overlay: Path) -> Iterator[Target]:
    """The cluster with the overlay on it."""
    target.kubectl("apply", "-k", str(overlay))
    try:
        rolled(target)
        yield target
    finally:
        target.kubectl("delete", "-k", str(overlay), "--ignore-not-found", "--timeout=300s", timeout=310)


def rolled(target: Target) -> None:
    """Wait until every workload runs what it was last told."""
    apply.wait(target, NAMESPACE, SECONDS)


def pods(target: Target) -> dict[str, str]:
    """Component -> uid of its pod."""
    return {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["metadata"]["uid"]
        for pod in target.items("pods", "-n", NAMESPACE)
        if not pod["metadata"].get("deletionTimestamp")
    }


def test_the_overlay_has_no_problem(overlay: Path) -> None:
    assert problems(overlay) == []


def test_the_example_dags_run(applied: Target) -> None:
    admin = applied.secret(f"{RELEASE}-admin", NAMESPACE)
    service = f"svc/{RELEASE}-api-server"
    with PortForward(applied.kubectl_command, NAMESPACE, service, 8080) as forward:
        airflow = Airflow(forward.url, admin["username"], admin["password"])
        results = examples.run_all(airflow, [DIND], registry=applied.native)
    assert results
    assert [result.task.name for result in results if not result.right] == []


def test_applying_again_changes_nothing(applied: Target, overlay: Path) -> None:
    before = pods(applied)
    output = applied.kubectl("apply", "-k", str(overlay))
    assert [line for line in output.splitlines() if not line.endswith(" unchanged")] == []
    time.sleep(5)
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
    with pytest.raises(CommandError, match="not found"):
        applied.kubectl("get", "namespace", NAMESPACE)
    volumes = [
        volume["metadata"]["name"]
        for volume in applied.items("persistentvolumes")
        if volume["spec"].get("claimRef", {}).get("namespace") == NAMESPACE
        and volume["status"]["phase"] != "Released"
    ]
    assert volumes == []
    assert NAMESPACE not in applied.kubectl("get", "validatingadmissionpolicies", "-o", "name")
