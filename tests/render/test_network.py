"""What the values of `networkPolicy` render to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from scripts.chart import HELM3, HELM4, Manifests, load_yaml, render, template
from scripts.lint import reach
from scripts.lint.reach import Endpoint
from tests.render.scenarios import BY_NAME
from tests.render.values import overlaid
from tests.support.paths import DOCS

OTEL = {"otel_on": True}
SECRET = {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}
CILIUM = "cilium.io/v2/CiliumNetworkPolicy"


def settings(**values: Any) -> dict[str, Any]:
    return {"networkPolicy": values}


def egress(manifests: Manifests, name: str) -> list[Any]:
    return list(manifests.one("NetworkPolicy", name=name).get("spec", "egress") or ())


def test_dns_servers() -> None:
    """Every pod with DNS has the same rule; without servers there is none, which would reach everything."""
    servers = [{"ipBlock": {"cidr": "10.96.0.10/32"}}]
    for name in ("airdock-scheduler", "airdock-worker", "airdock-tasks-egress"):
        (rule,) = (
            rule
            for rule in egress(render(settings(dns=servers)), name)
            if {"port": 53, "protocol": "UDP"} in rule.get("ports", ())
        )
        assert rule["to"] == servers
        assert not any(
            entry.get("port") == 53
            for rule in egress(render(settings(dns=[])), name)
            for entry in rule.get("ports", ())
        )


@pytest.mark.parametrize("mode", ["open", "strict"])
def test_own_rules_are_added(mode: str) -> None:
    """An address that `open` leaves out, such as EKS Pod Identity's, can be allowed by name."""
    rule = {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"port": 80}]}
    manifests = render(settings(egress=mode, egressRules=[rule]))
    assert rule in egress(manifests, "airdock-worker")
    assert rule not in egress(manifests, "airdock-scheduler")


def test_strict_without_rules_opens_only_dns_to_the_world() -> None:
    manifests = render(settings(egress="strict"))
    ports = [rule["ports"][0]["port"] for rule in egress(manifests, "airdock-dag-processor")]
    assert ports == [53]
    assert manifests.one("NetworkPolicy", name="airdock-tasks-egress").get("spec", "egress")


@pytest.mark.parametrize("egress_of_tasks", ["open", "strict"])
def test_egress_of_tasks_is_a_switch_per_task_namespace(egress_of_tasks: str) -> None:
    """Strict leaves DNS and the rules of the values. The gateway learns which policy it is."""
    rule = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}
    policy = {"egress": egress_of_tasks, "egressRules": [rule]}
    own = {"mode": "kubernetes", "queues": ["own"], "tasks": {"namespace": "own", "networkPolicy": policy}}
    manifests = render({"workers": {"own": own}})
    rules = manifests.one("NetworkPolicy", name="airdock-tasks-egress", namespace="own").get("spec", "egress")
    assert rules[-1] == rule
    assert len(rules) == (3 if egress_of_tasks == "open" else 2)
    default = manifests.one("NetworkPolicy", name="airdock-tasks-egress", namespace="airdock-tasks")
    assert len(default.get("spec", "egress")) == 2
    settings_file = manifests.one("ConfigMap", name="airdock-worker-own-docker-gateway").raw["data"]
    assert ("airdock-tasks-egress" in settings_file["settings.json"]) == (egress_of_tasks == "strict")
    worker = manifests.one("Deployment", name="airdock-worker-own")
    assert worker.pod
    hook = worker.pod.container("worker").env.get("AIRDOCK_TASK_EGRESS_POLICY")
    assert (hook and hook.value) == ("airdock-tasks-egress" if egress_of_tasks == "strict" else None)


@pytest.mark.parametrize("name", ["default", "modes", "kubernetes-executor", "both-executors", "namespaces"])
def test_cilium_allows_the_api_server_to_pods_with_a_token(name: str) -> None:
    scenario = BY_NAME[name]
    manifests = render(overlaid(dict(scenario.values), settings(cilium="always")))
    selected, tokens = set(), set()
    for manifest, pod in manifests.pods:
        if any("serviceAccountToken" in str(volume) for volume in pod.raw.get("volumes") or ()):
            tokens.add(str(manifest))
        for policy in manifests.all("CiliumNetworkPolicy", namespace=manifest.namespace):
            if policy.get("spec", "endpointSelector", "matchLabels").items() <= pod.labels.items():
                selected.add(str(manifest))
                assert policy.get("spec", "egress")[0]["toEntities"] == ["kube-apiserver"]
    assert tokens
    assert selected == tokens


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize(
    ("value", "found", "rendered"),
    [("auto", True, True), ("auto", False, False), ("always", False, True), ("never", True, False)],
)
def test_cilium_is_found(value: str, found: bool, rendered: bool, helm: str) -> None:
    text = template(settings(cilium=value), helm=helm, api_versions=[CILIUM] if found else [])
    assert ("kind: CiliumNetworkPolicy" in text) == rendered


def test_no_network_policies_no_ciliums() -> None:
    assert not render(settings(enabled=False, cilium="always")).all("CiliumNetworkPolicy")


def test_metrics_of_every_component_reach_their_server() -> None:
    """With the values of docs/operations.md. The scheduler, which emits most of them, has no way out else."""
    text = (DOCS / "operations.md").read_text().split("### Your own server", 1)[1]
    (values,) = load_yaml(text.split("```yaml\n")[1].split("```")[0])
    server = Endpoint("monitoring", {"app": "statsd"})
    off = {"airflow": {"config": {"metrics": {**values["airflow"]["config"]["metrics"], "statsd_on": False}}}}
    for given, reached in ((values, True), (overlaid(values, settings(egress="strict")), True), (off, False)):
        manifests = render(given)
        pods = {manifest.component: reach.endpoint(manifest, pod) for manifest, pod in manifests.pods}
        assert reach.allowed(manifests, pods["scheduler"], server, 9125, "Egress", "UDP") is reached
        for component in ("api-server", "dag-processor", "triggerer", "worker"):
            assert reach.allowed(manifests, pods[component], server, 9125, "Egress", "UDP"), component
        # Neighbours: another port, another namespace, a store.
        other = Endpoint("elsewhere", {"app": "statsd"})
        assert not reach.allowed(manifests, pods["scheduler"], server, 443, "Egress")
        assert not reach.allowed(manifests, pods["scheduler"], other, 9125, "Egress", "UDP")
        assert not reach.allowed(manifests, pods["postgres"], server, 9125, "Egress", "UDP")


@pytest.mark.parametrize(
    ("config", "port", "peer", "allowed"),
    [
        (
            {"traces": {"otel_on": "True", "otel_host": "a.tracing.svc.cluster.local"}},
            8889,
            "tracing",
            "always",
        ),
        (
            {"metrics": {**OTEL, "otel_host": "10.1.2.3", "otel_port": "4318"}},
            4318,
            "10.1.2.3",
            "always",
        ),
        ({"metrics": {**OTEL, "otel_host": "otel.example.com"}}, 8889, "10.1.2.3", "open"),
        ({"metrics": {**OTEL, "otel_host": "otel.example.com"}}, 8889, "169.254.169.254", "never"),
        ({"metrics": {**OTEL, "otel_host": "localhost"}}, 8889, "10.1.2.3", "never"),
        ({"metrics": {"otel_host": "10.1.2.3"}}, 8889, "10.1.2.3", "never"),
        (
            {"metrics": OTEL, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a.tracing.svc:4317"},
            4317,
            "tracing",
            "always",
        ),
        (
            {"traces": OTEL, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://10.1.2.3/x"},
            4318,
            "10.1.2.3",
            "always",
        ),
        (
            {"traces": OTEL, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://10.1.2.3"},
            4318,
            "10.1.2.3",
            "never",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a.tracing.svc:4317"}, 4317, "tracing", "never"),
        ({"metrics": OTEL, "OTEL_EXPORTER_OTLP_ENDPOINT": SECRET}, 4318, "10.1.2.3", "never"),
        ({"metrics": OTEL, "OTEL_EXPORTER_OTLP_ENDPOINT": ":no url"}, 4318, "10.1.2.3", "never"),
    ],
)
@pytest.mark.parametrize("mode", ["open", "strict"])
def test_the_collector_that_the_config_names_is_reached(
    config: dict[str, Any], port: int, peer: str, allowed: str, mode: str
) -> None:
    sections = {key: value for key, value in config.items() if key.islower()}
    env = {key: value for key, value in config.items() if key.isupper()}
    manifests = render({"airflow": {"config": sections, "env": env}, **settings(egress=mode)})
    server = Endpoint(address=peer) if peer[0].isdigit() else Endpoint(peer, {"app": "collector"})
    for component in ("scheduler",) if mode == "open" else ("scheduler", "worker", "api-server"):
        pod = next(reach.endpoint(m, pod) for m, pod in manifests.pods if m.component == component)
        expected = allowed == "always" or allowed == mode
        assert reach.allowed(manifests, pod, server, port, "Egress") is expected, component


#: networkPolicy.mesh.type -> the port in the place of all others; a pod of its control plane; its ports.
MESHES: Mapping[str, tuple[int, Endpoint | None, tuple[int, ...]]] = {
    "istio": (0, Endpoint("istio-system", {"app": "istiod"}), (15012,)),
    "istio-ambient": (15008, None, ()),
    "linkerd": (
        4143,
        Endpoint("linkerd", {"linkerd.io/control-plane-component": "destination"}),
        (8080, 8086, 8090),
    ),
}


@pytest.mark.parametrize("mesh", MESHES)
def test_a_mesh_carries_each_connection_and_no_other(mesh: str) -> None:
    """Between any two pods, its port is open exactly if one of theirs is, in both directions."""
    carrier, control, ports = MESHES[mesh]
    own = settings(egress="strict", metricsFrom=[{"podSelector": {"matchLabels": {"app": "prometheus"}}}])
    without, within = render(own), render(overlaid(own, settings(mesh={"type": mesh})))
    pods = {str(m): reach.endpoint(m, pod) for m, pod in without.pods} | {
        "prometheus": Endpoint("airdock", {"app": "prometheus"}),
    }
    served = (5432, 6379, 8080, 8793, 8794, 9323)
    pairs = 0
    for name, pod in pods.items():
        if name == "prometheus":
            continue
        for peer in pods.values():
            for way in ("Egress", "Ingress"):
                before = {port for port in served if reach.allowed(without, pod, peer, port, way)}
                assert before == {port for port in served if reach.allowed(within, pod, peer, port, way)}
                if carrier:
                    assert reach.allowed(within, pod, peer, carrier, way) is bool(before), (name, peer, way)
                    assert not reach.allowed(without, pod, peer, carrier, way)
                pairs += bool(before)
        for port in ports:
            assert control
            assert reach.allowed(within, pod, control, port, "Egress"), name
            assert not reach.allowed(without, pod, control, port, "Egress"), name
            assert not reach.allowed(within, pod, Endpoint("elsewhere", control.labels), port, "Egress")
            assert not reach.allowed(
                within, pod, Endpoint(control.namespace, {"app": "other"}), port, "Egress"
            )
        probes = Endpoint(address="169.254.7.127")
        assert reach.allowed(within, pod, probes, 8080, "Ingress") is (mesh == "istio-ambient")
    assert pairs > 10


@pytest.mark.parametrize("mesh", [{"type": ""}, {}])
def test_no_mesh_opens_nothing(mesh: Any) -> None:
    assert template({}) == template(settings(mesh=mesh))
