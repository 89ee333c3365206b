"""workers.<name>.autoscaling and controlPlane.<component>.autoscaling: who scales what, by which number."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.chart import HELM3, HELM4, Manifest, Manifests, RenderError, render, template
from scripts.lint import reach
from scripts.lint.reach import Endpoint
from tests.render.scenarios import BY_NAME
from tests.render.values import AUTOSCALED, overlaid
from tests.support.paths import FILES


@pytest.fixture(scope="module")
def scaled() -> Manifests:
    return BY_NAME["autoscaling"].render()


def known(manifests: Manifests) -> Any:
    """What the autoscaler knows of the groups."""
    deployment = manifests.one("Deployment", component="autoscaler")
    assert deployment.pod
    env = manifests.environment(deployment, deployment.pod.container("autoscaler"))
    return json.loads(env["AIRDOCK_GROUPS"])


def workload(manifests: Manifests, name: str) -> Manifest:
    kind = "StatefulSet" if name == "docker" else "Deployment"
    return manifests.one(kind, name=f"airdock-worker-{name}")


def test_keda_scales_what_the_chart_leaves_open(scaled: Manifests) -> None:
    objects = {each.get("spec", "scaleTargetRef", "name"): each for each in scaled.all("ScaledObject")}
    assert set(objects) == {"airdock-worker-default", "airdock-worker-docker"}
    for name, numbers in {"default": (1, 3, 60, 16), "docker": (0, 10, 300, 2)}.items():
        target = workload(scaled, name)
        found = objects[target.name]
        assert "replicas" not in target.get("spec")
        assert found.namespace == target.namespace
        spec = found.get("spec")
        assert spec["scaleTargetRef"] == {"kind": target.kind, "name": target.name}
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        cooldown = behavior["scaleDown"]["stabilizationWindowSeconds"]
        assert spec["cooldownPeriod"] == cooldown
        (trigger,) = spec["triggers"]
        value = trigger["metadata"]
        assert trigger["metricType"] == "AverageValue"
        assert (
            spec["minReplicaCount"],
            spec["maxReplicaCount"],
            cooldown,
            int(value["targetValue"]),
        ) == numbers
        assert value["url"] == "http://airdock-autoscaler.airdock.svc:8080/demand"
        assert value["valueLocation"] == f"{name}.demand"
    assert workload(scaled, "fixed").get("spec", "replicas") == 1


def test_what_the_autoscaler_knows(scaled: Manifests) -> None:
    assert known(scaled) == {
        "default": {"queues": ["default"], "concurrency": 16, "namespace": "airdock", "ordered": False},
        "docker": {"queues": ["docker", "images"], "concurrency": 2, "namespace": "docker", "ordered": True},
    }
    deployment = scaled.one("Deployment", component="autoscaler")
    assert deployment.pod
    container = deployment.pod.container("autoscaler")
    selector = scaled.environment(deployment, container)["AIRDOCK_SELECTOR"]
    wanted = dict(each.split("=") for each in selector.split(",") if "=" in each)
    for name in ("default", "docker"):
        pod = workload(scaled, name).pod
        assert pod
        assert wanted.items() <= pod.labels.items()
        assert pod.labels["airdock.dev/worker-group"] == name
    command = container.raw["command"]
    assert command[1] == "/opt/airdock/autoscaler.py"
    assert (FILES / "scripts" / "autoscaler.py").read_text().strip() in scaled.text.replace("\n    ", "\n")


def test_keda_alone_reaches_the_numbers(scaled: Manifests) -> None:
    ends = {manifest.component: reach.endpoint(manifest, pod) for manifest, pod in scaled.pods}
    keda = Endpoint("keda", {"app": "keda-operator"}, "10.1.2.3")
    assert reach.connects(scaled, keda, ends["autoscaler"], 8080)
    for other in (
        Endpoint("elsewhere", {"app": "keda-operator"}, "10.1.2.4"),
        ends["worker"],
        ends["scheduler"],
    ):
        assert not reach.connects(scaled, other, ends["autoscaler"], 8080)
    for component, end in ends.items():
        if component != "autoscaler":
            assert not reach.connects(scaled, keda, end, 5432), component
            assert not reach.connects(scaled, keda, end, 6379), component


def test_the_right_to_patch_pods_is_where_groups_scale(scaled: Manifests) -> None:
    roles = scaled.all("Role", component="autoscaler")
    assert {role.namespace for role in roles} == {"airdock", "docker"}
    for role in roles:
        assert role.raw["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}]
    assert len(scaled.all("ValidatingAdmissionPolicy", component="autoscaler")) == 1
    values = overlaid(AUTOSCALED, {"controlPlane": {"autoscaler": {"admission": {"enabled": False}}}})
    assert not render(values).all("ValidatingAdmissionPolicy", component="autoscaler")


def test_an_account_of_the_users_is_fenced() -> None:
    account = {"controlPlane": {"autoscaler": {"serviceAccount": {"name": "mine"}}}}
    manifests = render(overlaid(AUTOSCALED, account))
    (binding,) = manifests.all("ValidatingAdmissionPolicyBinding", component="autoscaler")
    assert binding.get("spec", "paramRef", "name") == "mine"
    for each in manifests.all("RoleBinding", component="autoscaler"):
        assert each.raw["subjects"] == [{"kind": "ServiceAccount", "name": "mine", "namespace": "airdock"}]


def test_off_is_as_without_it() -> None:
    off = {"workerDefaults": {"autoscaling": {"min": 3, "max": 4}}}
    off["controlPlane"] = {"autoscaler": {"replicas": 2}, "triggerer": {"autoscaling": {"enabled": False}}}
    assert render(off).text == render().text
    assert "ScaledObject" not in render().text


def test_executors_with_a_pod_for_each_task_do_not_scale() -> None:
    values = {
        "executor": "CeleryExecutor,KubernetesExecutor",
        "workers": {
            "default": {"autoscaling": {"enabled": True}},
            "pods": {"executor": "KubernetesExecutor", "queues": ["pods"]},
        },
    }
    assert set(known(render(values))) == {"default"}
    values = overlaid(values, {"workerDefaults": {"autoscaling": {"enabled": True}}})
    assert set(known(render(values))) == {"default"}


def test_components_by_cpu(scaled: Manifests) -> None:
    (found,) = scaled.all("HorizontalPodAutoscaler")
    target = scaled.one("Deployment", component="api-server")
    spec = found.get("spec")
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": target.name}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 6)
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 80
    assert "replicas" not in target.get("spec")
    assert scaled.one("Deployment", component="scheduler").get("spec", "replicas") == 1
    budgets = {each.name for each in scaled.all("PodDisruptionBudget")}
    assert budgets == {"airdock-api-server", "airdock-worker-default", "airdock-worker-docker"}
    on = {"autoscaling": {"enabled": True}}
    names = ("apiServer", "scheduler", "dagProcessor", "triggerer")
    manifests = render({"controlPlane": dict.fromkeys(names, on)})
    assert len(manifests.all("HorizontalPodAutoscaler")) == len(names)
    for each in manifests.all("HorizontalPodAutoscaler"):
        deployment = manifests.one("Deployment", component=each.component)
        assert "replicas" not in deployment.get("spec")
        assert (each.get("spec", "minReplicas"), each.get("spec", "maxReplicas")) == (1, 3)


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_without_keda_one_sentence_says_so(helm: str) -> None:
    """Where Helm asks a cluster, which has kinds: without one it knows of none."""
    group = {"workers": {"default": {"autoscaling": {"enabled": True}}}}
    kinds = ("apiregistration.k8s.io/v1", "apps/v1/Deployment")
    said = r"1 problem\(s\)(.|\n)*workers\.default\.autoscaling\.enabled: KEDA is not installed"
    with pytest.raises(RenderError, match=said):
        template(group, helm=helm, api_versions=kinds)
    assert template(group, helm=helm, api_versions=(*kinds, "keda.sh/v1alpha1/ScaledObject"))
    assert template(group, helm=helm)
