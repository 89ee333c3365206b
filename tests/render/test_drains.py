"""Node autoscalers and drains: annotations, disruption budgets, and replicas on different nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.chart import Manifests, render
from tests.render.values import KUBERNETES_EXECUTOR, MODES, POOLER, REMOTE_LOGS, overlaid

EVICT, DISRUPT = "cluster-autoscaler.kubernetes.io/safe-to-evict", "karpenter.sh/do-not-disrupt"
KEPT = {EVICT: "false", DISRUPT: "true"}
#: Each component with several pods.
SEVERAL: dict[str, Any] = {
    "controlPlane": {
        name: {"replicas": 2} for name in ("apiServer", "scheduler", "dagProcessor", "triggerer")
    },
    "workerDefaults": {"replicas": 3},
}


def marks(annotations: Any) -> dict[str, str]:
    """The annotations that node autoscalers read."""
    return {key: value for key, value in annotations.items() if key in KEPT}


def task_pods(manifests: Manifests) -> dict[str, Any]:
    """The annotations of task pods by who creates them: the Docker gateway, and the Kubernetes operators."""
    settings = manifests.one("ConfigMap", name="airdock-worker-default-docker-gateway")
    worker = next(pod for manifest, pod in manifests.pods if manifest.group == "default")
    (main,) = (each for each in worker.containers if each.name in ("worker", "base"))
    return {
        "gateway": json.loads(settings.get("data", "settings.json"))["tasks"]["podAnnotations"],
        "operators": json.loads(main.env["AIRDOCK_TASK_POD"].value or "{}").get("annotations", {}),
    }


@pytest.mark.parametrize("values", [MODES, KUBERNETES_EXECUTOR], ids=["celery", "kubernetes"])
def test_pods_that_run_tasks_keep_their_node(values: dict[str, Any]) -> None:
    manifests = render(values)
    for manifest, pod in manifests.pods:
        expected = KEPT if manifest.group else {}
        assert marks(pod.annotations) == expected, manifest
    for who, found in task_pods(manifests).items():
        assert marks(found) == KEPT, who


def test_values_and_own_annotations_win() -> None:
    manifests = render(
        {
            "podDefaults": {"podAnnotations": {EVICT: "true"}},
            "workers": {"default": {"podAnnotations": {DISRUPT: "false"}}},
            "tasks": {"podAnnotations": {DISRUPT: "false"}},
        }
    )
    worker = manifests.one("Deployment", group="default").pod
    assert worker
    assert marks(worker.annotations) == {EVICT: "true", DISRUPT: "false"}
    for found in task_pods(manifests).values():
        assert marks(found) == {EVICT: "false", DISRUPT: "false"}


def test_a_group_whose_pods_may_go() -> None:
    values = {
        "default": {"blockNodeScaleDown": False, "tasks": {"blockNodeScaleDown": False}},
        "other": {"queues": ["other"]},
    }
    manifests = render({"workers": values})
    found = {manifest.group: marks(pod.annotations) for manifest, pod in manifests.pods if manifest.group}
    assert found == {"default": {}, "other": KEPT}
    text = manifests.one("ConfigMap", name="airdock-worker-default-docker-gateway").get(
        "data", "settings.json"
    )
    assert EVICT not in text


def test_the_fence_admits_what_the_gateway_sets() -> None:
    """Also if the list of annotations for DAG authors is empty."""
    manifests = render({"tasks": {"admission": {"annotations": []}}})
    policies = [
        json.dumps(manifest.get("spec", "variables"), default=dict)
        for manifest in manifests.all("ValidatingAdmissionPolicy")
    ]
    assert any(EVICT in text and DISRUPT in text for text in policies)


@pytest.mark.parametrize(
    ("values", "budgets"),
    [
        ({}, set()),
        ({"workers": {"default": {"replicas": 2}}}, {"airdock-worker-default"}),
        ({"controlPlane": {"apiServer": {"replicas": None}}}, {"airdock-api-server"}),
        ({"workers": {"default": {"autoscaling": {"enabled": True}}}}, {"airdock-worker-default"}),
        (
            overlaid(POOLER, {"database": {"pooler": {"replicas": 2}}, **SEVERAL}),
            {
                *(f"airdock-{name}" for name in ("api-server", "scheduler", "dag-processor", "triggerer")),
                "airdock-pooler",
                "airdock-worker-default",
            },
        ),
        (overlaid(SEVERAL, {"podDisruptionBudget": {"enabled": False}}), set()),
    ],
)
def test_budgets_where_there_are_several_pods(values: dict[str, Any], budgets: set[str]) -> None:
    manifests = render(values)
    assert {budget.name for budget in manifests.all("PodDisruptionBudget")} == budgets
    for budget in manifests.all("PodDisruptionBudget"):
        (workload,) = (m for m in manifests.all("Deployment") if m.name == budget.name)
        assert workload.pod
        assert budget.selects(workload.pod.labels)


def test_replicas_prefer_different_nodes() -> None:
    """Also those that there may be one day: another number of replicas restarts no pod."""
    manifests = render(SEVERAL)
    for manifest, pod in manifests.pods:
        if manifest.component in ("postgres", "redis"):
            assert "affinity" not in pod.raw, manifest
            continue
        (term,) = pod.raw["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
        assert term["podAffinityTerm"]["labelSelector"]["matchLabels"] == manifest.selector
    templates = [pod.raw for _, pod in render().pods]
    assert [pod.raw for _, pod in manifests.pods] == templates


def test_an_affinity_of_the_user_replaces_it() -> None:
    given = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    manifests = render(overlaid(SEVERAL, {"podDefaults": {"affinity": given}}))
    assert {json.dumps(pod.raw["affinity"], default=dict) for _, pod in manifests.pods} == {json.dumps(given)}


def test_pods_for_one_task_are_no_replicas() -> None:
    manifests = render(overlaid(KUBERNETES_EXECUTOR, {"workerDefaults": {"replicas": 3}}))
    (template,) = (pod for manifest, pod in manifests.pods if manifest.group == "default")
    assert "affinity" not in template.raw
    assert not manifests.all("PodDisruptionBudget")


@pytest.mark.parametrize("seconds", [None, 45])
@pytest.mark.parametrize("values", [MODES, KUBERNETES_EXECUTOR], ids=["celery", "kubernetes"])
def test_the_log_shipper_knows_the_grace_period(values: dict[str, Any], seconds: int | None) -> None:
    grace = {"workerDefaults": {"terminationGracePeriodSeconds": seconds}} if seconds else {}
    shippers = [
        (pod, container)
        for _, pod in render(overlaid(overlaid(values, grace), {"logs": REMOTE_LOGS})).pods
        for container in pod.containers
        if container.name == "log-shipper"
    ]
    assert shippers
    for pod, container in shippers:
        assert container.env["AIRDOCK_GRACE_SECONDS"].value == str(pod.raw["terminationGracePeriodSeconds"])
        assert seconds in (None, pod.raw["terminationGracePeriodSeconds"])
