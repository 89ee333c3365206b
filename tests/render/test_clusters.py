"""tasks.clusters: connections of other clusters, and who has their kubeconfigs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.chart import Manifests, render
from tests.render.values import overlaid

CONNECTION = "AIRFLOW_CONN_KUBERNETES_GPU"
PATH = "/run/airdock-clusters/gpu/kubeconfig"
GPU = {"kubeconfigSecret": "gpu-kubeconfig"}
VALUES: dict[str, Any] = {
    "tasks": {"clusters": {"gpu": GPU}},
    "workers": {
        "docker": {"mode": "dind", "queues": ["docker"]},
        "gateway": {"queues": ["gateway"], "kubernetesOperators": False},
    },
}


def rendered(**values: Any) -> Manifests:
    return render(overlaid(VALUES, values))


def holders(manifests: Manifests) -> set[tuple[str, str]]:
    """Components (of workers: groups) and containers that have the kubeconfig or its connection."""
    found = set()
    for manifest, pod, container in manifests.containers:
        mounts = [each.path for each in container.mounts if "clusters" in each.path]
        connected = [name for name in container.env if name.startswith("AIRFLOW_CONN_KUBERNETES_")]
        volumes = [each for each in pod.volumes if each == "clusters"]
        if mounts or CONNECTION in connected:
            assert mounts == ["/run/airdock-clusters"], f"{manifest}/{container.name}"
            assert {CONNECTION, "AIRFLOW_CONN_KUBERNETES_DEFAULT"} <= set(connected)
            assert volumes
            found.add((manifest.group or manifest.component, container.name))
    return found


def extra(manifests: Manifests, component: str, group: str = "", name: str = CONNECTION) -> dict[str, Any]:
    """The settings of a connection as the main container sees them."""
    wanted = {"component": component, **({"group": group} if group else {})}
    manifest = manifests.one("Deployment", **wanted)
    assert manifest.pod
    container = manifest.pod.container(component)
    found: dict[str, Any] = json.loads(manifests.environment(manifest, container)[name])["extra"]
    return found


def test_workers_of_the_operators_and_the_triggerer_have_it_and_nobody_else() -> None:
    manifests = rendered()
    assert holders(manifests) == {("default", "worker"), ("triggerer", "triggerer")}
    secrets = [manifest for manifest, pod in manifests.pods if "gpu-kubeconfig" in json.dumps(pod.raw)]
    assert {each.group or each.component for each in secrets} == {"default", "triggerer"}


def test_pods_of_kubernetes_executor_have_it() -> None:
    manifests = render({"tasks": VALUES["tasks"], "executor": "KubernetesExecutor"})
    assert holders(manifests) == {("default", "base"), ("triggerer", "triggerer")}


@pytest.mark.parametrize(("component", "group"), [("worker", "default"), ("triggerer", "")])
def test_all_but_the_way_to_the_cluster_is_as_in_the_own_one(component: str, group: str) -> None:
    manifests = rendered()
    own = extra(manifests, component, group, "AIRFLOW_CONN_KUBERNETES_DEFAULT")
    other = extra(manifests, component, group)
    assert own.pop("in_cluster") is True
    assert other.pop("kube_config_path") == PATH
    assert own == other
    assert other["namespace"] == "airdock-tasks"
    assert json.loads(other["xcom_sidecar_container_security_context"])["runAsNonRoot"] is True


def test_the_namespace_follows_the_group_unless_the_cluster_has_one() -> None:
    team = {"workers": {"team": {"queues": ["team"], "tasks": {"namespace": "team-tasks"}}}}
    assert extra(rendered(**team), "worker", "team")["namespace"] == "team-tasks"
    there = rendered(**team, tasks={"clusters": {"gpu": {**GPU, "namespace": "there"}}})
    for component, group in (("worker", "team"), ("worker", "default"), ("triggerer", "")):
        assert extra(there, component, group)["namespace"] == "there"


def test_a_cluster_of_one_group() -> None:
    """The triggerer has it only if the group's operators defer."""
    values = {"workers": {"default": {}, "team": {"queues": ["team"], "tasks": {"clusters": {"gpu": GPU}}}}}
    assert holders(render(values)) == {("team", "worker"), ("triggerer", "triggerer")}
    without = overlaid(values, {"tasks": {"rbac": {"deferrable": False}}})
    assert holders(render(without)) == {("team", "worker")}
    reset = {"workers": {"team": {"queues": ["team"], "tasks": {"clusters": {"gpu": None}}}}}
    assert holders(rendered(**reset)) == {("default", "worker"), ("triggerer", "triggerer")}


def test_a_kubeconfigs_place_does_not_depend_on_its_key() -> None:
    manifests = rendered(tasks={"clusters": {"gpu": {**GPU, "key": "config"}, "b": GPU}})
    assert extra(manifests, "triggerer")["kube_config_path"] == PATH
    pod = manifests.one("Deployment", component="triggerer").pod
    assert pod
    sources = [each["secret"]["items"][0] for each in pod.volumes["clusters"]["projected"]["sources"]]
    assert [dict(each) for each in sources] == [
        {"key": "kubeconfig", "path": "b/kubeconfig"},
        {"key": "config", "path": "gpu/kubeconfig"},
    ]


def allowed(manifests: Manifests, name: str) -> list[Any]:
    """The egress rules of a NetworkPolicy for one address."""
    policy = manifests.one("NetworkPolicy", name=name)
    found: list[Any] = [
        each
        for each in json.loads(json.dumps(policy.get("spec", "egress")))
        if each.get("to") == [{"ipBlock": {"cidr": "203.0.113.10/32"}}]
    ]
    return found


@pytest.mark.parametrize("egress", ["open", "strict"])
def test_network(egress: str) -> None:
    gpu = {**GPU, "apiServerCIDR": "203.0.113.10/32", "apiServerPort": 8443}
    manifests = rendered(tasks={"clusters": {"gpu": gpu}}, networkPolicy={"egress": egress})
    rule = [{"to": [{"ipBlock": {"cidr": "203.0.113.10/32"}}], "ports": [{"port": 8443}]}]
    assert allowed(manifests, "airdock-worker-default") == rule
    assert allowed(manifests, "airdock-triggerer") == rule
    for name in ("worker", "worker-gateway", "dag-processor", "api-server", "scheduler"):
        assert allowed(manifests, f"airdock-{name}") == []
    # Without a CIDR: any address but those that the own API server's rule leaves out.
    ports = [{"port": 7443}]
    anywhere = rendered(tasks={"clusters": {"gpu": {**GPU, "apiServerPort": 7443}}})
    rules = anywhere.one("NetworkPolicy", name="airdock-worker-default").get("spec", "egress")
    own, other = (dict(each) for each in rules)
    assert json.loads(json.dumps(other)) == {**json.loads(json.dumps(own)), "ports": ports}
