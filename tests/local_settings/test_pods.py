"""Pods that DAGs create: what the hook fills in, and what it leaves to the author."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest
from kubernetes.client import models

from tests.local_settings.settings import load, pod, wire

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
}


def test_a_bare_pod_becomes_restricted() -> None:
    p = pod()
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert sent["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 50000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert sent["containers"][0]["securityContext"] == RESTRICTED
    assert sent["containers"][0]["resources"] == json.loads(load().DEFAULT_RESOURCES)
    assert sent["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in sent


def test_init_containers_and_the_xcom_sidecar_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRDOCK_XCOM_SIDECAR_PULL_POLICY", "Always")
    sidecar = models.V1Container(
        name="airflow-xcom-sidecar",
        resources=models.V1ResourceRequirements(requests={"cpu": "1m", "memory": "10Mi"}),
    )
    p = pod(
        init_containers=[models.V1Container(name="first")],
        containers=[models.V1Container(name="base"), sidecar],
    )
    load().pod_mutation_hook(p)
    sent = wire(p)
    every = sent["initContainers"] + sent["containers"]
    assert [c["securityContext"] for c in every] == [RESTRICTED] * 3
    assert [c.get("imagePullPolicy") for c in every] == [None, None, "Always"]
    assert sent["containers"][1]["resources"] == {
        "requests": {"cpu": "1m", "memory": "10Mi"},
        "limits": {"cpu": "100m", "memory": "64Mi"},
    }


@pytest.mark.parametrize("as_dict", [True, False], ids=["dict", "model"])
def test_the_author_wins(as_dict: bool) -> None:
    security: dict[str, Any] = {
        "runAsUser": 1000,
        "fsGroup": 0,
        "seccompProfile": {"type": "Localhost", "localhostProfile": "mine.json"},
    }
    container_security: dict[str, Any] = {
        "allowPrivilegeEscalation": True,
        "readOnlyRootFilesystem": True,
        "capabilities": {"add": ["NET_BIND_SERVICE"]},
    }
    resources: dict[str, Any] = {"limits": {"memory": "1Gi"}}
    base = models.V1Container(name="base")
    if as_dict:
        p = pod(security_context=security, containers=[base])
        base.security_context, base.resources = container_security, resources
    else:
        p = pod(
            security_context=models.V1PodSecurityContext(
                run_as_user=1000,
                fs_group=0,
                seccomp_profile=models.V1SeccompProfile(type="Localhost", localhost_profile="mine.json"),
            ),
            containers=[base],
        )
        base.security_context = models.V1SecurityContext(
            allow_privilege_escalation=True,
            read_only_root_filesystem=True,
            capabilities=models.V1Capabilities(add=["NET_BIND_SERVICE"]),
        )
        base.resources = models.V1ResourceRequirements(limits={"memory": "1Gi"})
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert sent["securityContext"] == {**security, "runAsNonRoot": True}
    assert sent["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": True,
        "readOnlyRootFilesystem": True,
        "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
        "runAsNonRoot": True,
    }
    assert sent["containers"][0]["resources"] == {"limits": {"memory": "1Gi"}}


def test_a_container_given_as_a_dict() -> None:
    p = pod(init_containers=[{"name": "first", "image": "busybox:1.37"}])
    load().pod_mutation_hook(p)
    assert wire(p)["initContainers"][0]["securityContext"] == RESTRICTED


def test_root_by_choice_of_the_pod() -> None:
    """runAsNonRoot beside uid 0 would keep the container from starting; PSA refuses it with a reason."""
    p = pod(security_context=models.V1PodSecurityContext(run_as_user=0))
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert "runAsNonRoot" not in sent["securityContext"]
    assert "runAsNonRoot" not in sent["containers"][0]["securityContext"]


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("where", ["pod", "container", "nowhere"])
def test_root_gets_a_user_namespace_where_it_may(
    allowed: bool, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if allowed:
        monkeypatch.setenv("AIRDOCK_TASK_USER_NAMESPACES", "true")
    base = models.V1Container(name="base")
    p = pod(containers=[base], security_context=models.V1PodSecurityContext(run_as_user=1))
    if where == "pod":
        p.spec.security_context.run_as_user = 0
    elif where == "container":
        base.security_context = {"runAsUser": 0}
    load().pod_mutation_hook(p)
    assert wire(p).get("hostUsers") == (False if allowed and where != "nowhere" else None)
    p.spec.host_users = True
    load().pod_mutation_hook(p)
    assert wire(p)["hostUsers"] is True, "the author's choice"


def test_root_by_choice_of_one_container() -> None:
    base = models.V1Container(name="base")
    root = models.V1Container(name="root", security_context=models.V1SecurityContext(run_as_user=0))
    p = pod(containers=[base, root])
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert "runAsNonRoot" not in sent["securityContext"]
    assert [c["securityContext"].get("runAsNonRoot") for c in sent["containers"]] == [True, None]


@pytest.mark.parametrize(
    "security",
    [
        models.V1SecurityContext(privileged=True),
        models.V1SecurityContext(capabilities=models.V1Capabilities(add=["SYS_ADMIN"])),
    ],
)
def test_privilege_by_choice(security: models.V1SecurityContext) -> None:
    """The API server refuses allowPrivilegeEscalation=false on these, whatever the namespace allows."""
    p = pod(containers=[models.V1Container(name="base", security_context=security)])
    load().pod_mutation_hook(p)
    assert "allowPrivilegeEscalation" not in wire(p)["containers"][0]["securityContext"]


@pytest.mark.parametrize(
    ("given", "environment_name", "account", "automount"),
    [
        ({}, "airdock-task", "airdock-task", False),
        ({}, "", None, False),
        ({"automount_service_account_token": True}, "airdock-task", "airdock-task", True),
        ({"service_account_name": "mine"}, "airdock-task", "mine", None),
        (
            {"service_account_name": "mine", "automount_service_account_token": False},
            "airdock-task",
            "mine",
            False,
        ),
    ],
)
def test_service_account(
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    environment_name: str,
    account: str | None,
    automount: bool | None,
) -> None:
    monkeypatch.setenv("AIRDOCK_TASK_SERVICE_ACCOUNT", environment_name)
    p = pod(**given)
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert sent.get("serviceAccountName") == account
    assert sent.get("automountServiceAccountToken") is automount


def test_defaults_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    resources = {"limits": {"memory": "2Gi"}}
    monkeypatch.setenv("AIRDOCK_TASK_RESOURCES", json.dumps(resources))
    monkeypatch.setenv("AIRDOCK_TASK_RUN_AS_USER", "65532")
    p = pod()
    load().pod_mutation_hook(p)
    assert wire(p)["containers"][0]["resources"] == resources
    assert wire(p)["securityContext"]["runAsUser"] == 65532
    monkeypatch.setenv("AIRDOCK_TASK_RUN_AS_USER", "")
    p = pod()
    load().pod_mutation_hook(p)
    assert "runAsUser" not in wire(p)["securityContext"]


@pytest.mark.parametrize("as_dict", [True, False], ids=["dict", "model"])
def test_the_administrators_variables_are_defaults(monkeypatch: pytest.MonkeyPatch, as_dict: bool) -> None:
    monkeypatch.setenv("AIRDOCK_TASK_ENV", json.dumps({"A": "$(B)", "C": "1"}))
    own: Any = {"name": "C", "value": "2"}
    container: Any = {"name": "base", "env": [own]}
    if not as_dict:
        container = models.V1Container(name="base", env=[models.V1EnvVar(**own)])
    p = pod(containers=[container, models.V1Container(name="other")])
    load().pod_mutation_hook(p)
    first, second = wire(p)["containers"]
    assert first["env"] == [{"name": "A", "value": "$$(B)"}, own]
    assert [each["name"] for each in second["env"]] == ["A", "C"]


#: Field -> what the administrator gives, as the API has it, and what an author writes.
PLACED: dict[str, tuple[Any, Any]] = {
    "nodeSelector": ({"pool": "gpu"}, {"pool": "mine"}),
    "tolerations": ([{"key": "gpu", "operator": "Exists"}], [{"key": "mine", "operator": "Exists"}]),
    "affinity": ({"nodeAffinity": {}}, {"podAffinity": {}}),
    "topologySpreadConstraints": (
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    ),
    "priorityClassName": ("low", "high"),
    "runtimeClassName": ("gvisor", "kata"),
    "schedulerName": ("batch", "mine"),
}


@pytest.mark.parametrize("field", PLACED)
@pytest.mark.parametrize("author", ["nothing", "empty", "own"])
def test_where_pods_run_is_a_default(monkeypatch: pytest.MonkeyPatch, field: str, author: str) -> None:
    """KubernetesPodOperator writes an empty map or list where its author gives none."""
    default, own = PLACED[field]
    monkeypatch.setenv("AIRDOCK_TASK_POD", json.dumps({"spec": {field: default}}))
    name = next(name for name, key in models.V1PodSpec.attribute_map.items() if key == field)
    p = pod(**{name: {"nothing": None, "empty": type(own)(), "own": own}[author]})
    load().pod_mutation_hook(p)
    assert wire(p)[field] == (own if author == "own" else default)


def test_labels_and_annotations_are_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"team": "data", "cost": "low"}
    monkeypatch.setenv("AIRDOCK_TASK_POD", json.dumps({"labels": given, "annotations": given}))
    p = pod()
    p.metadata.labels = {"cost": "high", "dag_id": "d"}
    load().pod_mutation_hook(p)
    assert p.metadata.labels == {"team": "data", "cost": "high", "dag_id": "d"}
    assert p.metadata.annotations == given
    assert "nodeSelector" not in wire(p)


LABELS: list[dict[str, str] | None] = [None, {}, {"kubernetes_executor": ""}, {"kubernetes_executor": "True"}]


@pytest.mark.parametrize("labels", LABELS)
def test_the_scheduler_checks_every_pod_and_fills_in_nothing(
    monkeypatch: pytest.MonkeyPatch, labels: dict[str, str] | None
) -> None:
    """An author's pod_override can set or clear every label, so no label decides."""
    checked: list[Any] = []
    module = ModuleType("airdock_executor_pods")
    module.check_pod = checked.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "airdock_executor_pods", module)
    monkeypatch.setenv("AIRDOCK_POD_TEMPLATES", "/templates")
    p = pod()
    p.metadata.labels = labels
    before = wire(p)
    load().pod_mutation_hook(p)
    assert checked == [p]
    assert wire(p) == before


@pytest.mark.parametrize("labels", LABELS)
def test_a_worker_fills_in_whatever_the_labels(labels: dict[str, str] | None) -> None:
    p = pod()
    p.metadata.labels = labels
    load().pod_mutation_hook(p)
    assert wire(p)["securityContext"]["runAsNonRoot"] is True


def test_two_pods_share_nothing() -> None:
    """Models are mutable: one pod's limits must not become the next one's."""
    settings = load()
    first, second = pod(), pod()
    settings.pod_mutation_hook(first)
    first.spec.containers[0].resources.limits["memory"] = "9Gi"
    first.spec.containers[0].security_context.capabilities.drop.append("X")
    settings.pod_mutation_hook(second)
    assert wire(second)["containers"][0]["resources"]["limits"]["memory"] == "4Gi"
    assert wire(second)["containers"][0]["securityContext"] == RESTRICTED
