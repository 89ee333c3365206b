"""docs/security.md is what the policies and the chart say, and the network is what it says."""

from __future__ import annotations

import re

import pytest

from scripts.lint import docs, reach
from scripts.lint.policies import POLICIES
from scripts.lint.reach import Endpoint
from scripts.lint.report import SCHEMA_RULE
from tests.policies.scenarios import ALL, BY_NAME
from tests.render.scenarios import Scenario
from tests.render.values import MODES, overlaid

#: (from, to, port) of all that pods of a release may say to each other.
FLOWS = {
    *((source, "api-server", 8080) for source in ("worker", "kubernetes-executor")),
    ("api-server", "worker", 8793),
    ("api-server", "triggerer", 8794),
    *((source, "postgres", 5432) for source in ("api-server", "scheduler", "dag-processor", "triggerer")),
    ("database-backup", "postgres", 5432),
    *((source, "redis", 6379) for source in ("scheduler", "worker")),
}
#: In place of those to postgres, with database.pooler.
POOLED = {
    *((source, "pooler", 6432) for source in ("api-server", "scheduler", "dag-processor", "triggerer")),
    ("database-cleanup", "pooler", 6432),
    ("pooler", "postgres", 5432),
    ("database-backup", "postgres", 5432),
}
#: With workers.<name>.autoscaling.
AUTOSCALED = {("autoscaler", "postgres", 5432), ("autoscaler", "pooler", 6432)}
#: Of metrics.airflow, by UDP.
METRICS = {
    (source, "statsd", 9125)
    for source in ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "kubernetes-executor")
}
FENCED = [scenario for scenario in ALL if scenario.effective["networkPolicy"]["enabled"]]


def test_the_page_is_fresh() -> None:
    assert docs.PAGE.read_text() == docs.page(), "run `make docs`"
    text = docs.RULES.read_text()
    assert text == docs.rules(text), "run `make docs`"
    headings = re.findall("^### (.*)$", text.partition("## Rules")[2], re.MULTILINE)
    assert set(headings) == {policy.id for policy in POLICIES} | {SCHEMA_RULE}, "SARIF links to each rule"


@pytest.mark.parametrize("scenario", FENCED, ids=str)
def test_flows_are_exact(scenario: Scenario) -> None:
    manifests = scenario.render()
    pods = [(manifest.component, reach.endpoint(manifest, pod)) for manifest, pod in manifests.pods]
    there = {component for component, _ in pods}
    flows = FLOWS | METRICS
    if "pooler" in there:
        flows = {flow for flow in flows if flow[1] != "postgres"} | POOLED
    flows |= {flow for flow in AUTOSCALED if ("pooler" in there) == (flow[1] == "pooler")}
    if "test" in there:
        flows = flows | {("test", "api-server", 8080)}
    ports = {port: "TCP" for _, _, port in FLOWS | POOLED} | {
        2375: "TCP",
        80: "TCP",
        9102: "TCP",
        9125: "UDP",
    }
    found = {
        (source, target, port)
        for source, start in pods
        for target, end in pods
        for port, protocol in ports.items()
        if start is not end and reach.connects(manifests, start, end, port, protocol)
    }
    strangers = [Endpoint("elsewhere", {"app": "other"}, "10.1.2.3")]
    strangers += [Endpoint(each.namespace, {}, "10.1.2.4") for each in manifests.all("ServiceAccount") if
                  each.name.endswith("-task")]  # fmt: skip
    reached = [
        {
            (target, port)
            for target, end in pods
            for port, protocol in ports.items()
            if reach.connects(manifests, stranger, end, port, protocol)
        }
        for stranger in strangers
    ]
    to_all = reached[0]
    assert all(each <= to_all for each in reached), "a task pod reaches more than others"
    behind = any(scenario.effective[key]["enabled"] for key in ("ingress", "httpRoute"))
    exposed = behind and not scenario.effective["networkPolicy"]["uiFrom"]
    assert to_all == ({("api-server", 8080)} if exposed else set())
    expected = {flow for flow in flows if flow[0] in there and flow[1] in there}
    assert {flow for flow in found if flow[1:] not in to_all} == {
        flow for flow in expected if flow[1:] not in to_all
    }
    assert expected <= found


def test_dockers_network_none_reaches_nothing() -> None:
    """And with strict egress every other task pod reaches the cluster's DNS, and port 53 of nothing else."""
    manifests = Scenario("strict", {"tasks": {"networkPolicy": {"egress": "strict"}}}).render()
    servers = (
        Endpoint("kube-system", {"k8s-app": "kube-dns"}, "10.1.2.5"),
        Endpoint(address="169.254.20.10"),
    )
    others = (
        *(Endpoint(address=address) for address in ("203.0.113.7", "169.254.169.254", "2001:db8::7")),
        Endpoint("elsewhere", {"k8s-app": "kube-dns"}, "10.1.2.6"),
    )
    for labels, reaches in (({}, True), ({"airdock.dev/network": "none"}, False)):
        pod = Endpoint("airdock-tasks", labels, "10.1.2.3")
        for dns in servers:
            assert reach.allowed(manifests, pod, dns, 53, "Egress", "UDP") == reaches, dns
            assert not reach.allowed(manifests, pod, dns, 80, "Egress"), dns
        for other in others:
            assert not reach.allowed(manifests, pod, other, 53, "Egress", "UDP"), other
        assert not reach.allowed(manifests, pod, Endpoint("airdock", {}, "10.1.2.4"), 8080, "Ingress")


def test_task_pods_reach_the_world_and_neither_the_release_nor_metadata() -> None:
    """By default, as workers do. The last peer is a pod for a plugin whose ipBlocks match no pods."""
    manifests = BY_NAME["default"].render()
    task = Endpoint("airdock-tasks", {}, "10.1.2.3")
    release = {"app.kubernetes.io/name": "airdock", "app.kubernetes.io/component": "postgres"}
    for peer, reached in (
        # The internet, a database in the cluster, storage in a private network.
        (Endpoint(address="203.0.113.7"), True),
        (Endpoint(address="10.20.30.40"), True),
        (Endpoint(address="2001:db8::7"), True),
        (Endpoint("elsewhere", {"app": "database"}), True),
        (Endpoint(address="169.254.169.254"), False),
        (Endpoint(address="fd00:ec2::254"), False),
        (Endpoint("airdock", release), False),
    ):
        for port in (443, 5432, 9000):
            assert reach.allowed(manifests, task, peer, port, "Egress") == reached, (peer, port)
    alone = Endpoint("airdock-tasks", {"airdock.dev/network": "none"}, "10.1.2.3")
    assert not reach.allowed(manifests, alone, Endpoint(address="203.0.113.7"), 443, "Egress")


def test_metrics_are_for_whom_the_values_name() -> None:
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    manifests = Scenario("metrics", overlaid(MODES, {"networkPolicy": {"metricsFrom": peers}})).render()
    for namespace, served in (("monitoring", {"default", "socket"}), ("elsewhere", set())):
        source = Endpoint(namespace, {}, "10.1.2.4")
        reached = {
            (manifest.labels["airdock.dev/worker-group"], port)
            for manifest, pod in manifests.pods
            if manifest.component == "worker"
            for port in (8793, 9323)
            if reach.connects(manifests, source, reach.endpoint(manifest, pod), port)
        }
        assert reached == {(group, 9323) for group in served}
