"""A worker waits for each admission policy that judges what it may do (files/scripts/wait_for_fence.py).

Rights and policies are those that are rendered, so that a new policy or right is not forgotten. Custom
resources of tasks.rbac.rules are left out: nobody knows an object of them that the API server takes.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.chart import CHART, Manifest, Manifests, render

SCRIPT = CHART / "files" / "scripts" / "wait_for_fence.py"
VERBS = {
    "CREATE": {"create"},
    "UPDATE": {"update", "patch"},
    "DELETE": {"delete"},
    "CONNECT": {"create", "get"},
}
RIGHTS = {"jobs": True, "claims": True, "podExec": True}
VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "all rights": {"tasks": {"rbac": RIGHTS, "admission": {"storageClasses": ["standard"]}}},
    "no rights": {"tasks": {"rbac": {"xcom": False}, "stdin": False}},
    "gateway": {"workers": {"default": {"kubernetesOperators": False}}},
    "operators": {"workers": {"default": {"dockerGateway": {"enabled": False}}}},
    "two namespaces": {
        "tasks": {"rbac": {"jobs": True}},
        "workers": {
            "other": {
                "mode": "kubernetes",
                "queues": ["other"],
                "tasks": {"namespace": "other-tasks", "rbac": {"jobs": False}},
            }
        },
    },
}


def requests() -> dict[str, tuple[str, str]]:
    """Give the group and the resource of what the script asks for, by name."""
    spec = importlib.util.spec_from_file_location("wait_for_fence", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {}
    for name, (_, path, _) in module.REQUESTS.items():
        match = re.match(r"/apis?/(?:([a-z0-9.]+)/)?v1/namespaces/\{\}/([a-z]+)(?:/[^/?]+/([a-z]+))?", path)
        assert match, path
        found[name] = (match[1] or "", "/".join(filter(None, match.groups()[1:])))
    return found


def judged(rule: dict[str, Any], right: dict[str, Any]) -> bool:
    """Tell whether a policy's rule matches what a right allows."""
    verbs = set().union(*(VERBS[operation] for operation in rule["operations"]))
    return all(
        set(one) & set(other)
        for one, other in (
            (rule["apiGroups"], right["apiGroups"]),
            (rule["resources"], right["resources"]),
            (verbs, right["verbs"]),
        )
    )


def policies(manifests: Manifests) -> Iterator[tuple[str, Manifest]]:
    """Give each policy of the fence with the namespace that it holds."""
    for binding in manifests.all("ValidatingAdmissionPolicyBinding", component="tasks"):
        labels = binding.raw["spec"]["matchResources"]["namespaceSelector"]["matchLabels"].items()
        for namespace in manifests.all("Namespace"):
            if labels <= namespace.labels.items():
                name = binding.raw["spec"]["policyName"]
                yield namespace.name, manifests.one("ValidatingAdmissionPolicy", name=name)


def rights(manifests: Manifests, account: str, namespace: str) -> Iterator[dict[str, Any]]:
    for binding in manifests.all("RoleBinding", namespace=namespace):
        if account in {subject["name"] for subject in binding.raw["subjects"]}:
            name = binding.raw["roleRef"]["name"]
            yield from manifests.one("Role", name=name, namespace=namespace).raw["rules"]


def matches(policy: Manifest, request: tuple[str, str], operation: str) -> bool:
    return any(
        request[0] in rule["apiGroups"]
        and request[1] in rule["resources"]
        and operation in rule["operations"]
        for rule in policy.raw["spec"]["matchConstraints"]["resourceRules"]
    )


@pytest.mark.parametrize("values", VALUES)
def test_each_policy_is_waited_for(values: str) -> None:
    manifests, known = render(VALUES[values]), requests()
    for worker in manifests.all("Deployment", component="worker"):
        assert worker.pod
        environment = manifests.environment(worker, worker.pod.container("wait-for-fence"))
        namespace = environment["AIRDOCK_TASK_NAMESPACE"]
        asked = [known[name] for name in environment["AIRDOCK_FENCE_REQUESTS"].split()]
        may = list(rights(manifests, worker.pod.service_account, namespace))
        fence = [policy for held, policy in policies(manifests) if held == namespace]
        shown = set()
        for request in asked:
            # Without the right to ask, an answer says nothing.
            operation = "CONNECT" if "/" in request[1] else "CREATE"
            rule = {"apiGroups": [request[0]], "resources": [request[1]], "operations": [operation]}
            assert any(judged(rule, right) for right in may), request
            # If two policies judged it, a refusal would not say which of them holds.
            (policy,) = (each for each in fence if matches(each, request, operation))
            shown.add(policy.name)
        needed = {
            policy.name
            for policy in fence
            for rule in policy.raw["spec"]["matchConstraints"]["resourceRules"]
            if any(judged(rule, right) for right in may)
        }
        assert shown == needed
