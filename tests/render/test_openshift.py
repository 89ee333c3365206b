"""openshift: pods without fixed uids, which OpenShift's SCC restricted-v2 would reject."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.chart import HELM3, HELM4, Manifest, Manifests, PodSpec, RenderError, render, template
from tests.render.values import DIND, SOCKET, overlaid

GROUP = "security.openshift.io/v1"
NUMBERS = ("runAsUser", "runAsGroup", "fsGroup")
SYNC = "security.openshift.io/scc.podSecurityLabelSync"
REQUIRED = "openshift.io/required-scc"


def numbers(pod: PodSpec) -> list[str]:
    """Every fixed uid, gid and fsGroup."""
    contexts = [pod.raw["securityContext"], *(c.raw["securityContext"] for c in pod.containers)]
    return [key for context in contexts for key in NUMBERS if key in context]


def settings(manifests: Manifests, group: str = "default") -> dict[str, Any]:
    """What the Docker gateway reads about task pods."""
    (found,) = (m for m in manifests.all("ConfigMap") if m.name.endswith(f"-worker-{group}-docker-gateway"))
    tasks: dict[str, Any] = json.loads(found.raw["data"]["settings.json"])["tasks"]
    return tasks


def worker_env(manifests: Manifests) -> dict[str, str]:
    worker = manifests.one("Deployment", component="worker")
    assert worker.pod
    return manifests.environment(worker, worker.pod.container("worker"))


@pytest.mark.parametrize("executor", ["CeleryExecutor", "KubernetesExecutor"])
def test_no_pod_has_a_fixed_uid_and_all_else_of_restricted_stays(executor: str) -> None:
    cleanup = {"database": {"cleanup": {"enabled": True}}}
    pods = render({"openshift": True, "executor": executor, **cleanup}).pods
    assert pods
    for manifest, pod in pods:
        assert not numbers(pod), manifest
        assert pod.raw["securityContext"]["runAsNonRoot"] is True
        assert pod.raw["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod.containers:
            context = container.raw["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            if "AIRFLOW_CONFIG" in container.env:
                # An assigned uid has no entry in the image's passwd.
                assert container.env["HOME"].value == "/home/airflow"
                assert container.env["USER"].value == "airflow"


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_auto_asks_the_cluster(helm: str) -> None:
    off = template({"openshift": False}, helm=helm)
    assert template({}, helm=helm) == off, "not a byte differs elsewhere"
    assert template({}, helm=helm, api_versions=[GROUP]) == template({"openshift": True}, helm=helm)
    assert template({"openshift": False}, helm=helm, api_versions=[GROUP]) == off
    assert "runAsUser: 50001" in off
    assert template({}, helm=helm, api_versions=["route.openshift.io/v1"]) == off, "another group of it"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (DIND, "workers.docker.securityContextConstraints: is missing."),
        (SOCKET, "workers.node.securityContextConstraints: is missing."),
        (
            {
                "podSecurity": {"exemptions": ["workers.default.volumes.node.hostPath"]},
                "workers": {"default": {"volumes": {"node": {"hostPath": {"path": "/data"}}}}},
            },
            "workers.default.securityContextConstraints: is missing.",
        ),
        ({"workers": {"default": {"securityContextConstraints": "A_b"}}}, "securityContextConstraints"),
        ({"openshift": "yes"}, "openshift"),
    ],
)
def test_what_cannot_run_is_rejected(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        render(overlaid({"openshift": True}, values))


def test_a_group_with_an_scc_may_use_it_and_keeps_its_uids() -> None:
    builds = {"workers": {"docker": {"securityContextConstraints": "privileged", "namespace": "builds"}}}
    values = overlaid(DIND, builds)
    elsewhere, manifests = render(values), render(overlaid(values, {"openshift": True}))
    assert not [m for m in elsewhere if "scc" in m.name], "without OpenShift the value does nothing"

    def worker(found: Manifests) -> tuple[Manifest, PodSpec]:
        manifest = found.one("Deployment", component="worker", group="docker")
        assert manifest.pod
        return manifest, manifest.pod

    (_, before), (deployment, after) = worker(elsewhere), worker(manifests)
    assert after.raw["securityContext"] == before.raw["securityContext"]
    assert [c.raw["securityContext"] for c in after.containers] == [
        c.raw["securityContext"] for c in before.containers
    ]
    assert deployment.raw["spec"]["template"]["metadata"]["annotations"][REQUIRED] == "privileged"
    (role,) = (m for m in manifests.all("Role") if m.name.endswith("-scc-docker"))
    (binding,) = (m for m in manifests.all("RoleBinding") if m.name.endswith("-scc-docker"))
    assert role.namespace == binding.namespace == "builds"
    assert role.raw["rules"] == [
        {
            "apiGroups": ["security.openshift.io"],
            "resources": ["securitycontextconstraints"],
            "resourceNames": ["privileged"],
            "verbs": ["use"],
        }
    ]
    assert binding.raw["roleRef"]["name"] == role.name
    assert binding.raw["subjects"] == [
        {"kind": "ServiceAccount", "name": after.service_account, "namespace": "builds"}
    ]


@pytest.mark.parametrize(("user", "gateway", "operators"), [("auto", "assigned", ""), (1000, 1000, "1000")])
def test_task_pods(user: Any, gateway: Any, operators: str) -> None:
    manifests = render({"openshift": True, "tasks": {"user": user}})
    assert settings(manifests)["user"] == gateway
    assert worker_env(manifests)["AIRDOCK_TASK_RUN_AS_USER"] == operators


@pytest.mark.parametrize(("given", "expected"), [("auto", "off"), ("on", "on"), ("off", "off")])
def test_user_namespaces(given: str, expected: str) -> None:
    manifests = render({"openshift": True, "tasks": {"userNamespaces": given}})
    assert settings(manifests)["userNamespaces"] == expected
    assert ("AIRDOCK_TASK_USER_NAMESPACES" in worker_env(manifests)) == (expected == "on")
    (fence,) = (m for m in manifests.all("ValidatingAdmissionPolicy") if m.name.endswith("task-pods"))
    rules = {each["name"] for each in fence.raw["spec"]["variables"]}
    assert ("hostUsers" in rules) == (expected == "off")


@pytest.mark.parametrize("openshift", [True, False])
def test_the_label_syncer_leaves_our_namespaces_alone(openshift: bool) -> None:
    values = {"openshift": openshift, "workers": {"more": {"queues": ["more"], "namespace": "elsewhere"}}}
    labels = [m.labels for m in render(values).all("Namespace")]
    assert len(labels) == 2
    assert [each.get(SYNC) for each in labels] == ["false" if openshift else None] * 2
    assert {each["pod-security.kubernetes.io/enforce"] for each in labels} == {"restricted"}
