"""workers.<name>.tasks: the top-level tasks, for one group, in a namespace of its own or not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from scripts.chart import Manifests, RenderError, render
from scripts.chart.values_schema import defaults
from scripts.lint.policies import rbac
from tests.render.test_leaves import BASES
from tests.render.values import TASK_NAMESPACES, overlaid
from tests.render.values_schema import concrete, places, put, samples

#: Where they stand decides what they mean: the tests below say it.
ELSEWHERE = {"tasks.namespace", "tasks.extraNamespaces"}


def changed(switches: bool) -> dict[str, Any]:
    """Settings of which all switches, or all others, are not the default."""
    values: dict[str, Any] = {"tasks": BASES["gateway"]["tasks"]}
    for place in places():
        if place.path[:1] != ("tasks",) or not place.leaf or str(place) in ELSEWHERE:
            continue
        if ("boolean" in place.types) is switches:
            current: Any = defaults()
            for step in place.path:
                current = current.get(step) if isinstance(current, dict) else None
            *_, sample = samples(place, current)
            values = put(values, concrete(place.path), sample)
    found: dict[str, Any] = values["tasks"]
    return found


@pytest.mark.parametrize("switches", [True, False], ids=["switches", "all else"])
def test_a_groups_settings_have_the_same_effect(switches: bool) -> None:
    """Where it is the only group: every key works under it as it does at the top."""
    tasks = changed(switches)
    at_top, at_group = render({"tasks": tasks}), render({"workers": {"default": {"tasks": tasks}}})
    assert [m.raw for m in at_top] != [m.raw for m in render()]
    # What a ConfigMap tells all components may stand in the group's own environment.
    assert without_env(at_group) == without_env(at_top)
    for container in ("worker", "wait-for-fence", "docker-gateway"):
        assert environment(at_group, container) == environment(at_top, container)


def without_env(manifests: Manifests) -> list[str]:
    found = []
    for manifest in manifests:
        raw = json.loads(json.dumps(manifest.raw))
        if manifest.kind == "ConfigMap" and manifest.name.endswith("-env"):
            continue
        if manifest.pod:
            template = raw["spec"]["template"]
            template["metadata"].get("annotations", {}).pop("checksum/env", None)
            for container in (*template["spec"]["containers"], *template["spec"].get("initContainers", ())):
                container.pop("env", None)
        found.append(json.dumps(raw, sort_keys=True))
    return found


def environment(manifests: Manifests, container: str, group: str = "default") -> dict[str, str]:
    worker = manifests.one("Deployment", name=f"airdock-worker-{group}")
    assert worker.pod
    found = manifests.environment(worker, worker.pod.container(container))
    # Empty counts as absent to all that read it.
    return {name: value for name, value in found.items() if value}


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    return render(TASK_NAMESPACES)


@pytest.mark.parametrize(
    ("group", "namespace"),
    [
        ("default", "airdock-tasks"),
        ("plain", "airdock-tasks"),
        ("blue", "blue-tasks"),
        ("green", "green-tasks"),
        ("lime", "green-tasks"),
    ],
)
def test_a_group_runs_pods_in_its_namespace_alone(manifests: Manifests, group: str, namespace: str) -> None:
    """Rights, and what worker, gateway and the wait for the fence are told."""
    account = f"airdock-worker-{group}"
    bound = {
        binding.namespace
        for binding in manifests.all("RoleBinding")
        if account in {subject["name"] for subject in binding.raw["subjects"]}
    }
    assert bound == {namespace}
    worker = manifests.one("Deployment", name=account)
    assert worker.pod
    told = {
        container.name: environment(manifests, container.name, group)["AIRDOCK_TASK_NAMESPACE"]
        for container in worker.pod.containers
        if container.name in ("worker", "docker-gateway", "wait-for-fence")
    }
    assert set(told.values()) == {namespace}
    assert "wait-for-fence" in told
    if group != "plain":
        connection = json.loads(environment(manifests, "worker", group)["AIRFLOW_CONN_KUBERNETES_DEFAULT"])
        assert connection["extra"]["namespace"] == namespace


@pytest.mark.parametrize("namespace", ["airdock-tasks", "blue-tasks", "green-tasks"])
def test_each_namespace_has_everything_once(manifests: Manifests, namespace: str) -> None:
    own = manifests.one("Namespace", name=namespace)
    assert own.labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for kind, name in (
        ("ResourceQuota", "airdock-tasks"),
        ("LimitRange", "airdock-tasks"),
        ("ServiceAccount", "airdock-task"),
        ("NetworkPolicy", "airdock-tasks"),
        ("NetworkPolicy", "airdock-tasks-egress"),
        ("Role", "airdock-task-launcher"),
        ("Role", "airdock-docker-gateway"),
    ):
        assert len(manifests.all(kind, name=name, namespace=namespace)) == 1, kind
    # A group's namespace lets the triggerer in only if the group's values say so.
    watchers = manifests.all("RoleBinding", name="airdock-task-watcher", namespace=namespace)
    subjects = [subject["name"] for watcher in watchers for subject in watcher.raw["subjects"]]
    assert subjects == (["airdock-triggerer"] if namespace != "green-tasks" else [])
    holding = [
        binding.raw["spec"]["policyName"]
        for binding in manifests.all("ValidatingAdmissionPolicyBinding")
        if binding.get("spec", "matchResources", "namespaceSelector", "matchLabels")["airdock.dev/tasks"]
        == own.labels["airdock.dev/tasks"]
    ]
    assert len(holding) == len(set(holding)) == 3, "its own fence and no other"


def test_its_own_settings_hold_in_its_namespace(manifests: Manifests) -> None:
    def hard(namespace: str) -> dict[str, Any]:
        found: dict[str, Any] = manifests.one("ResourceQuota", namespace=namespace).raw["spec"]["hard"]
        return found

    assert hard("green-tasks") == hard("airdock-tasks") == defaults()["tasks"]["quota"]["hard"]
    assert hard("blue-tasks") == {k: v for k, v in hard("green-tasks").items() if k != "requests.cpu"} | {
        "pods": "5"
    }
    policies = {policy.name: json.dumps(policy.raw) for policy in manifests.all("ValidatingAdmissionPolicy")}
    assert [name for name, text in policies.items() if "warehouse" in text] == [
        "airdock-airdock-task-pods.blue-tasks"
    ]
    # blue has no user namespaces, and the others do.
    assert [name for name, text in policies.items() if "tasks.userNamespaces" in text] == [
        "airdock-airdock-task-pods.blue-tasks"
    ]


def test_namespaces_beside_the_releases_are_not_beside_a_groups() -> None:
    """But one that a group names is its own, and the release's holds where no other is named."""
    values = overlaid(TASK_NAMESPACES, {"tasks": {"extraNamespaces": ["more"]}})
    values = overlaid(values, {"workers": {"blue": {"tasks": {"extraNamespaces": ["bluer"]}}}})
    found = render(values)
    for namespace, groups in {"more": ["default"], "bluer": ["blue"]}.items():
        binding = found.one("RoleBinding", name="airdock-task-launcher", namespace=namespace)
        assert [s["name"] for s in binding.raw["subjects"]] == [f"airdock-worker-{name}" for name in groups]


def test_worker_defaults_have_tasks_too() -> None:
    found = render({"workerDefaults": {"tasks": {"namespace": "others"}}})
    assert [namespace.name for namespace in found.all("Namespace")] == ["others"]


def test_rules_are_for_custom_resources() -> None:
    """All groups of Kubernetes itself that `make lint` knows are refused, and groups without a dot."""
    groups = [*sorted(rbac.BUILT_IN), "sparkoperator.k8s.io", "kueue.x-k8s.io"]
    rule = {"apiGroups": groups, "resources": ["things"], "verbs": ["create"]}
    with pytest.raises(RenderError) as error:
        render({"tasks": {"rbac": {"rules": [rule]}}})
    assert set(re.findall(r'tasks\.rbac\.rules: "([^"]+)"', str(error.value))) == rbac.BUILT_IN
    for group in ("", "*", "apps", "batch"):
        with pytest.raises(RenderError, match="rbac/rules"):
            render({"tasks": {"rbac": {"rules": [{**rule, "apiGroups": [group]}]}}})


OPTIONS = ("AIRFLOW__KUBERNETES__NAMESPACE", "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE")


def test_dags_that_ask_airflow_for_the_namespace_get_the_task_namespace() -> None:
    """Where authors' code is parsed and run. KubernetesExecutor has its pods elsewhere."""
    groups = {
        "default": {"mode": "kubernetes", "queues": ["default"]},
        "own": {"mode": "kubernetes", "queues": ["own"], "tasks": {"namespace": "team"}},
        "dind": {"mode": "dind", "queues": ["dind"]},
        "pods": {"mode": "kubernetes", "queues": ["pods"], "executor": "KubernetesExecutor"},
    }
    executors = {"executor": "CeleryExecutor,KubernetesExecutor"}
    manifests = render({**executors, "workers": groups})
    environments = [
        (pod.labels.get("airdock.dev/worker-group", manifest.component), manifests.environment(manifest, c))
        for manifest, pod in manifests.pods
        for c in pod.containers
    ]
    found = {
        who: "/".join(sorted({variables[name] for name in OPTIONS if name in variables}))
        for who, variables in environments
        if set(OPTIONS) & set(variables)
    }
    shared = dict.fromkeys(("default", "dind", "pods", "dag-processor", "triggerer"), "airdock-tasks")
    executor = dict.fromkeys(("api-server", "scheduler"), "airdock-executor")
    assert found == {**shared, **executor, "own": "team"}


def test_without_task_pods_airflows_options_stay() -> None:
    manifests = render({"workers": {"default": {"mode": "dind", "queues": ["default"]}}})
    assert not any(name in str(manifest.raw) for manifest in manifests for name in OPTIONS)


@pytest.mark.parametrize(
    ("tasks", "group", "expected"),
    [
        # The release's task namespace: its own value.
        ({}, {}, True),
        ({"rbac": {"deferrable": False}}, {}, False),
        ({"rbac": {"deferrable": False}}, {"rbac": {"deferrable": True}}, True),
        # Another one: only what is said for the group.
        ({}, {"namespace": "blue-tasks"}, False),
        ({"rbac": {"deferrable": True}}, {"namespace": "blue-tasks"}, False),
        ({}, {"namespace": "blue-tasks", "rbac": {"jobs": True}}, False),
        ({}, {"namespace": "blue-tasks", "rbac": {"deferrable": True}}, True),
    ],
)
@pytest.mark.parametrize("key", ["workers", "workerDefaults"])
def test_the_triggerers_rights(tasks: Any, group: Any, expected: bool, key: str) -> None:
    """They follow the values, and with them what the worker does with deferrable=True."""
    values = {"tasks": tasks, key: {"default": {"tasks": group}} if key == "workers" else {"tasks": group}}
    manifests = render(values)
    namespace = group.get("namespace", "airdock-tasks")
    watchers = [each for each in manifests.all("Role") if each.name.endswith("task-watcher")]
    assert [each.namespace for each in watchers] == [namespace] * expected
    said = environment(manifests, "worker").get("AIRDOCK_TASK_DEFERRABLE", "")
    assert said == ("" if expected else "false")
