"""`helm test`: one pod that no installation creates, and DAGs that say what each group serves."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from scripts.chart import HELM3, HELM4, ROOT, Manifests, render
from scripts.lint import reach
from scripts.lint.reach import Endpoint
from tests.render.values import KUBERNETES_EXECUTOR, MODES, overlaid

ON: dict[str, Any] = {"tests": {"enabled": True}}
BUNDLE = {
    "name": "airdock-tests",
    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
    "kwargs": {"path": "/opt/airdock-tests"},
}


def rendered(*values: dict[str, Any], helm: str = HELM4) -> Manifests:
    merged: dict[str, Any] = ON
    for each in values:
        merged = overlaid(merged, each)
    return render(merged, helm=helm)


def bundles(manifests: Manifests) -> list[dict[str, Any]]:
    (config,) = (each for each in manifests.all("ConfigMap") if each.name == "airdock-config")
    (line,) = (
        line
        for line in config.raw["data"]["airflow.cfg"].splitlines()
        if line.startswith("dag_bundle_config_list")
    )
    found: list[dict[str, Any]] = json.loads(line.partition(" = ")[2])
    return found


def by_dag(manifests: Manifests) -> dict[str, dict[str, Any]]:
    (data,) = (each.raw["data"] for each in manifests.all("ConfigMap") if each.name == "airdock-tests")
    return {test["dag"]: test for test in json.loads(data["tests.json"])["tests"]}


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_one_hook_and_only_if_asked_for(helm: str) -> None:
    assert not [each for each in render(MODES, helm=helm) if "tests" in each.name or each.kind == "Pod"]
    (pod,) = rendered(MODES, helm=helm).all("Pod")
    assert pod.annotations["helm.sh/hook"] == "test"
    assert {each.component for each in rendered(MODES, helm=helm) if "helm.sh/hook" in each.annotations} == {
        "test"
    }


def test_overlays_have_no_hook() -> None:
    files = [file for file in (ROOT / "overlays").rglob("*.yaml") if "helm.sh/hook" in file.read_text()]
    assert not files
    assert not [file for file in (ROOT / "overlays").rglob("*.yaml") if "airdock-tests" in file.read_text()]


def test_a_dag_for_each_group_and_one_without_a_queue() -> None:
    found = by_dag(rendered(MODES))
    assert found["airdock_test_default"]["serves"] == ["docker", "kubernetes"]
    assert found["airdock_test_dind"] == {
        "dag": "airdock_test_dind", "who": "workers.dind", "queue": "dind", "serves": ["docker"],
    }  # fmt: skip
    assert found["airdock_test"]["queue"] == ""
    assert set(found) == {"airdock_test", "airdock_test_default", "airdock_test_dind", "airdock_test_socket"}


def test_the_bundles_of_the_user_stay() -> None:
    (first, last) = bundles(rendered())
    assert (first["name"], last) == ("dags-folder", BUNDLE)
    own = {"name": "own", "classpath": "airflow.providers.git.bundles.git.GitDagBundle", "kwargs": {}}
    assert bundles(rendered({"dags": {"bundles": [own]}})) == [own, BUNDLE]


@pytest.mark.parametrize("executor", [{}, KUBERNETES_EXECUTOR])
def test_who_has_the_dags(executor: dict[str, Any]) -> None:
    manifests = rendered(executor)
    with_dags = {
        manifest.component
        for manifest, pod in manifests.pods
        if any(r.kind == "ConfigMap" and r.name == "airdock-tests" for r in pod.references)
    }
    assert with_dags == {
        "test",
        "dag-processor",
        "triggerer",
        "worker" if not executor else "kubernetes-executor",
    }


def test_the_pod_reads_one_secret_and_reaches_one_service() -> None:
    manifests = rendered(MODES)
    ((pod, spec),) = [(manifest, pod) for manifest, pod in manifests.pods if manifest.component == "test"]
    assert {r.name for r in spec.references if r.kind == "Secret"} == {"airdock-admin"}
    own = rendered({"tests": {"existingSecret": "tester"}})
    ((_, other),) = [(manifest, pod) for manifest, pod in own.pods if manifest.component == "test"]
    assert {r.name for r in other.references if r.kind == "Secret"} == {"tester"}
    start = reach.endpoint(pod, spec)
    reached = {
        (manifest.component, port)
        for manifest, end in manifests.pods
        if manifest.component != "test"
        for port in (5432, 6379, 8080, 8793, 8794)
        if reach.connects(manifests, start, reach.endpoint(manifest, end), port)
    }
    assert reached == {("api-server", 8080)}
    stranger = Endpoint("elsewhere", {"app": "other"}, "10.1.2.3")
    assert not reach.connects(manifests, stranger, start, 8080)
    assert not reach.connects(manifests, start, stranger, 443)


def test_make_up_installs_it() -> None:
    assert yaml.safe_load((ROOT / "examples/values/three-modes.yaml").read_text())["tests"] == {
        "enabled": True
    }
