"""docs/security.md is what the policies and the chart say, and the network is what it says."""

from __future__ import annotations

import pytest

from scripts.lint import docs, reach
from scripts.lint.reach import Endpoint
from scripts.manifests import Manifests
from tests.render.scenarios import SCENARIOS, Scenario

#: (from, to, port) of all that pods of a release may say to each other.
FLOWS = {
    ("worker", "api-server", 8080),
    ("api-server", "worker", 8793),
    ("api-server", "triggerer", 8794),
    *((source, "postgres", 5432) for source in ("api-server", "scheduler", "dag-processor", "triggerer")),
    *((source, "redis", 6379) for source in ("scheduler", "worker")),
}
FENCED = [scenario for scenario in SCENARIOS if scenario.effective["networkPolicy"]["enabled"]]


def test_the_page_is_fresh() -> None:
    assert docs.PAGE.read_text() == docs.page(), "run `make docs`"


@pytest.mark.parametrize("scenario", FENCED, ids=str)
def test_flows_are_exact(scenario: Scenario) -> None:
    manifests = scenario.render()
    pods = [(manifest.component, reach.endpoint(manifest, pod)) for manifest, pod in manifests.pods]
    there = {component for component, _ in pods}
    ports = {port for _, _, port in FLOWS} | {2375, 80}
    found = {
        (source, target, port)
        for source, start in pods
        for target, end in pods
        for port in ports
        if start is not end and reach.connects(manifests, start, end, port)
    }
    stranger = Endpoint("elsewhere", {"app": "other"}, "10.1.2.3")
    to_all = {
        (target, port)
        for target, end in pods
        for port in ports
        if reach.connects(manifests, stranger, end, port)
    }
    exposed = scenario.effective["ingress"]["enabled"] and not scenario.effective["networkPolicy"]["uiFrom"]
    assert to_all == ({("api-server", 8080)} if exposed else set())
    expected = {flow for flow in FLOWS if flow[0] in there and flow[1] in there}
    assert {flow for flow in found if flow[1:] not in to_all} == {
        flow for flow in expected if flow[1:] not in to_all
    }
    assert expected <= found


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
def test_the_evaluator(spec: str, way: reach.Direction, port: int, expected: bool) -> None:
    manifests = Manifests.parse(POLICY.format(spec=spec))
    assert reach.allowed(manifests, HERE, THERE, port, way) is expected
