"""A worker waits for every admission policy of its task namespace (files/scripts/wait_for_fence.py).

Each policy rejects one pod by its name. The policies are those that are rendered, so that a new one is not
forgotten.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from scripts.chart import Manifest, Manifests, render

RULES = [{"apiGroups": ["sparkoperator.k8s.io"], "resources": ["sparkapplications"], "verbs": ["create"]}]
OTHER_RULES = [{**RULES[0], "apiGroups": ["kubeflow.org"]}]
OTHER = {"mode": "kubernetes", "queues": ["other"]}
VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "Jobs": {"tasks": {"rbac": {"jobs": True}}},
    "custom resources": {"tasks": {"rbac": {"rules": RULES}}},
    "exempt users": {"tasks": {"admission": {"exemptUsers": ["somebody"]}}},
    "gateway": {"workers": {"default": {"kubernetesOperators": False}}},
    "operators": {"workers": {"default": {"dockerGateway": {"enabled": False}}}},
    "two namespaces": {
        "tasks": {"rbac": {"jobs": True}},
        "workers": {"other": {**OTHER, "tasks": {"namespace": "other-tasks", "rbac": {"jobs": False}}}},
    },
}


def policies(manifests: Manifests, namespace: str) -> dict[str, Manifest]:
    """Give the policies of the fence that hold a namespace, by name."""
    labels = manifests.one("Namespace", name=namespace).labels.items()
    names = [
        binding.raw["spec"]["policyName"]
        for binding in manifests.all("ValidatingAdmissionPolicyBinding", component="tasks")
        if binding.raw["spec"]["matchResources"]["namespaceSelector"]["matchLabels"].items() <= labels
    ]
    return {name: manifests.one("ValidatingAdmissionPolicy", name=name) for name in names}


def waited_for(manifests: Manifests, worker: Manifest) -> tuple[str, list[str]]:
    """Give a worker's task namespace, and the pods that must be rejected."""
    assert worker.pod
    environment = manifests.environment(worker, worker.pod.container("wait-for-fence"))
    return environment["AIRDOCK_TASK_NAMESPACE"], environment["AIRDOCK_FORBIDDEN_PODS"].split()


def forbidden(policy: Manifest) -> str:
    """Give the pod that a policy rejects. What it says of it is what the script looks for."""
    validation = policy.raw["spec"]["validations"][0]
    match = re.fullmatch(r'request\.\?name\.orValue\(""\) != "(.+)"', validation["expression"])
    assert match, validation
    assert validation["message"].startswith(f"{match[1]}: Airdock release ")
    return match[1]


@pytest.mark.parametrize("values", VALUES)
def test_each_policy_is_waited_for(values: str) -> None:
    manifests = render(VALUES[values])
    workers = manifests.all("Deployment", component="worker")
    assert len(workers) == len(VALUES[values].get("workers", {}).keys() | {"default"})
    for worker in workers:
        namespace, names = waited_for(manifests, worker)
        fence = policies(manifests, namespace)
        assert sorted(names) == sorted(map(forbidden, fence.values()))
        assert len(set(names)) == len(fence) >= 3
        for name, policy in fence.items():
            rules = policy.raw["spec"]["matchConstraints"]["resourceRules"]
            pods = [rule for rule in rules if "pods" in rule["resources"] and "CREATE" in rule["operations"]]
            # Only the policy for pods judges other pods, too. It leaves the others' pods to them.
            expected = None if name.partition(".")[0].endswith("-task-pods") else [forbidden(policy)]
            assert [rule.get("resourceNames") for rule in pods] == [expected]
            if expected is None:
                (condition,) = (
                    each["expression"]
                    for each in policy.raw["spec"]["matchConditions"]
                    if "request.?name" in each["expression"]
                )
                others = sorted(set(names) - {forbidden(policy)})
                assert re.findall(r'"([^"]+)"', condition.partition(" in ")[2]) == others
                assert condition.startswith("!(request.?dryRun.orValue(false) && ")


def test_a_policy_from_before_a_change_does_not_count() -> None:
    """The same policies judge other objects: their forbidden pods have other names."""
    names: list[str] = []
    for rbac in ({"jobs": True}, {"claims": True}, {"rules": RULES}, {"rules": OTHER_RULES}):
        admission = {"storageClasses": ["standard"]}
        manifests = render({"tasks": {"rbac": rbac, "admission": admission}})
        names += waited_for(manifests, manifests.one("Deployment", component="worker"))[1]
    assert len(names) == len(set(names)) == 16
