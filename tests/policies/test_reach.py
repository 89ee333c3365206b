"""The evaluator of NetworkPolicies, by cases, and beside an independent one (cyclonus)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from scripts.chart import Manifests
from scripts.lint import reach
from scripts.lint.reach import Endpoint
from tests.policies import mutations
from tests.policies.mutations import together
from tests.policies.oracles import Oracle
from tests.policies.scenarios import ALL, BY_NAME
from tests.render.scenarios import Scenario

PORTS = (53, 80, 443, 2375, 5432, 6379, 6443, 8080, 8793, 8794)
OUTSIDE = ("169.254.169.254", "203.0.113.7", "10.3.4.5", "fd00:ec2::254")


@pytest.fixture(scope="module")
def cyclonus() -> Iterator[Oracle]:
    oracle = Oracle("cyclonus")
    yield oracle
    oracle.close()


def _peer(manifests: Manifests, end: Endpoint) -> dict[str, Any]:
    labels = None if end.labels is None else reach.namespace_labels(manifests, end.namespace)
    own = None if end.labels is None else dict(end.labels)
    return {"namespace": end.namespace, "namespaceLabels": labels, "labels": own, "address": end.address}


def compare(manifests: Manifests, cyclonus: Oracle, ports: Sequence[int] = PORTS) -> int:
    """Both evaluators over every pair of a release's pods, a pod of its tasks, a stranger and the outside."""
    pods = [
        Endpoint(manifest.namespace, dict(pod.labels), f"10.1.0.{number}")
        for number, (manifest, pod) in enumerate(manifests.pods, 1)
    ]
    pods.append(Endpoint("elsewhere", {"app": "other"}, "10.2.0.1"))
    pods += [
        Endpoint(namespace.name, {"app": "task"}, "10.2.0.2") for namespace in manifests.all("Namespace")
    ]
    ends = [*pods, *(Endpoint(address=address) for address in OUTSIDE)]
    asked = [
        (source, target, port, protocol)
        for source in ends
        for target in ends
        if source is not target
        for port in ports
        for protocol in (("TCP", "UDP") if port == 53 else ("TCP",))
    ]
    questions = [
        {
            "source": _peer(manifests, source),
            "target": _peer(manifests, target),
            "port": port,
            "protocol": protocol,
        }
        for source, target, port, protocol in asked
    ]
    policies: list[Any] = [copy.deepcopy(manifest.raw) for manifest in manifests.all("NetworkPolicy")]
    for policy, manifest in zip(policies, manifests.all("NetworkPolicy"), strict=True):
        policy["spec"]["policyTypes"] = sorted(reach.directions(manifest))  # The API server fills them in.
    answers = cyclonus.ask({"policies": policies, "questions": questions})
    for (source, target, port, protocol), (sends, receives) in zip(asked, answers, strict=True):
        where = f"{source} to {target}, {protocol} {port}"
        if source.labels is not None:
            assert reach.allowed(manifests, source, target, port, "Egress", protocol) == sends, where
        if target.labels is not None:
            assert reach.allowed(manifests, target, source, port, "Ingress", protocol) == receives, where
    return len(asked)


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_scenarios(scenario: Scenario, cyclonus: Oracle) -> None:
    assert compare(scenario.render(), cyclonus) > 500


def test_weakened_policies(cyclonus: Oracle) -> None:
    manifests = BY_NAME["default"].render()
    weakened = [mutant for mutant in together(manifests) if mutant.mutator in mutations.NETWORK]
    assert len(weakened) > 40
    for mutant in weakened:
        compare(mutant.apply(manifests), cyclonus, (80, 5432, 8080))


POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: p, namespace: here}}
spec: {spec}
"""
HERE = Endpoint("here", {"app": "a"}, "10.0.0.1")
THERE = Endpoint("there", {"app": "b"}, "10.0.0.2")


@pytest.mark.parametrize(
    ("spec", "way", "port", "expected"),
    [
        ("{podSelector: {}}", "Ingress", 80, False),
        ("{podSelector: {}}", "Egress", 80, True),
        ("{podSelector: {}, egress: []}", "Egress", 80, False),
        ("{podSelector: {}, policyTypes: [Egress]}", "Ingress", 80, True),
        ("{podSelector: {matchLabels: {app: b}}}", "Ingress", 80, True),
        ("{podSelector: {matchExpressions: [{key: app, operator: In, values: [a]}]}}", "Ingress", 80, False),
        ("{podSelector: {}, ingress: [{}]}", "Ingress", 80, True),
        ("{podSelector: {}, ingress: [{ports: [{port: 80}]}]}", "Ingress", 80, True),
        ("{podSelector: {}, ingress: [{ports: [{port: 80}]}]}", "Ingress", 81, False),
        ("{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}]}]}", "Ingress", 81, True),
        ("{podSelector: {}, ingress: [{ports: [{port: 80, protocol: UDP}]}]}", "Ingress", 80, False),
        (
            "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: b}}}]}]}",
            "Ingress",
            80,
            False,
        ),
        ("{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}", "Ingress", 80, True),
        (
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: "
            "{kubernetes.io/metadata.name: there}}, podSelector: {matchLabels: {app: b}}}]}]}",
            "Ingress",
            80,
            True,
        ),
        (
            "{podSelector: {}, ingress: "
            "[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}]}]}",
            "Ingress",
            80,
            False,
        ),
        ("{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}", "Egress", 80, True),
        ("{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 11.0.0.0/8}}]}]}", "Egress", 80, False),
        (
            "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.2/32]}}]}]}",
            "Egress",
            80,
            False,
        ),
        ('{podSelector: {}, egress: [{to: [{ipBlock: {cidr: "::/0"}}]}]}', "Egress", 80, False),
    ],
)
def test_the_evaluator(spec: str, way: reach.Direction, port: int, expected: bool, cyclonus: Oracle) -> None:
    manifests = Manifests.parse(POLICY.format(spec=spec))
    assert reach.allowed(manifests, HERE, THERE, port, way) is expected
    compare(manifests, cyclonus)
