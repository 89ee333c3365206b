"""Prometheus reads a release as its PodMonitors say; every series of dashboard and alerts is there.

Prometheus runs in a pod, so network policies apply to it. Its configuration is that of the rendered
PodMonitors, as the Prometheus operator writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from scripts import tools
from scripts.chart import Manifest, Manifests, render
from scripts.chart.helm import CHART
from scripts.live import RELEASE, CommandError, Target
from scripts.live.airflow_api import Airflow, PortForward
from scripts.overlays.definitions import merged
from tests.e2e.conftest import QUICK, starting, wait_until
from tests.e2e.test_stores import secret

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-metrics"
TASKS = f"{NAMESPACE}-{RELEASE}-tasks"
MONITORING = "airdock-e2e-monitoring"
#: The cluster lacks the operator's kinds: what they say is rendered, and read here.
VALUES: dict[str, Any] = {
    "dags": {"examples": False, "volume": {"configMap": {"name": "measured"}}},
    "airflow": {
        "config": {"scheduler": {"ti_metrics_interval": 1}},
        "pools": {"one": {"slots": 1}},
    },
    "metrics": {"airflow": {"enabled": True}},
    "tasks": {"quota": {"hard": {"pods": "1"}}},
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}}]
    },
}
MONITORED: dict[str, Any] = {
    "metrics": {
        "podMonitor": {"enabled": True, "interval": "2s"},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True},
    }
}
DAG = """
import time
from datetime import timedelta
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import dag, task

@dag(schedule=None)
def measured():
    @task(pool="one")
    def wait_for_a_slot(number):
        time.sleep(3)
    wait_for_a_slot.expand(number=[1, 2, 3])
    TimeDeltaSensor(task_id="deferred", delta=timedelta(seconds=8), deferrable=True)
    # The quota has room for one of them.
    DockerOperator.partial(task_id="containers", image="busybox:1.37").expand(command=["sleep 3", "sleep 4"])

@dag(schedule=None)
def rejected():
    DockerOperator(task_id="privileged", image="busybox:1.37", privileged=True)

@dag(schedule=None)
def lost():
    DockerOperator(task_id="container", image="busybox:1.37", command="sleep 600")

@dag(schedule=None)
def unserved():
    @task(queue="nobody")
    def wait():
        pass
    wait()

measured(), rejected(), lost(), unserved()
"""
#: Series that no run of these DAGs brings, with the reason.
UNSEEN = {
    "airflow_task_instances_without_heartbeats_killed_total": "only a task whose worker died brings it",
}
OWN = re.compile(r"\b(?:airflow|airdock)_[a-z_]+[a-z]")


@dataclass
class Monitored:
    """The release, and a Prometheus that reads it."""

    target: Target
    manifests: Manifests

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask Prometheus."""
        url = f"http://127.0.0.1:9090/api/v1/query?query={quote(expression)}"
        words = ("exec", "prometheus", "-n", MONITORING, "--", "wget", "-q", "-O-", url)
        try:
            answer = json.loads(self.target.kubectl(*words))
        except CommandError:
            return []
        return list(answer["data"]["result"])

    def firing(self) -> set[str]:
        """The names of alerts that fire."""
        return {each["metric"]["alertname"] for each in self.query('ALERTS{alertstate="firing"}')}

    def scale(self, component: str, replicas: int) -> None:
        """Scale a Deployment of the release."""
        self.target.kubectl(
            "scale", f"deployment/{RELEASE}-{component}", "-n", NAMESPACE, f"--replicas={replicas}"
        )


def scrape(monitor: Manifest) -> Iterator[dict[str, Any]]:
    """The scrape configurations that the operator makes of a PodMonitor."""
    spec = monitor.raw["spec"]
    for endpoint in spec["podMetricsEndpoints"]:
        keep = [
            {"action": "keep", "source_labels": [f"__meta_kubernetes_pod_label_{re.sub('[./-]', '_', key)}"],
             "regex": re.escape(value)}
            for key, value in spec["selector"]["matchLabels"].items()
        ]  # fmt: skip
        keep += [{"action": "keep", "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                  "regex": endpoint["port"]}]  # fmt: skip
        usual = [
            {"source_labels": [f"__meta_kubernetes_{name}"], "target_label": label}
            for name, label in (("namespace", "namespace"), ("pod_name", "pod"))
        ]
        yield {
            "job_name": f"{monitor.namespace}/{monitor.name}",
            "scrape_interval": endpoint["interval"],
            "scrape_timeout": endpoint["interval"],
            "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}],
            "relabel_configs": [*keep, *usual, *map(relabeling, endpoint.get("relabelings", ()))],
            "metric_relabel_configs": [*map(relabeling, endpoint.get("metricRelabelings", ()))],
        }


def relabeling(written: dict[str, Any]) -> dict[str, Any]:
    """Kubernetes' form of a relabeling as Prometheus'."""
    return {
        re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key): value for key, value in written.items()
    }


def quick(rules: str) -> str:
    """The same alerts, after seconds instead of minutes."""
    rules = re.sub(r"\[\d+[mh]\]", "[20s]", rules).replace("offset 15m", "offset 60s")
    return re.sub(r"(?m)^(\s*)for: .*$", r"\1for: 4s", rules)


def prometheus(target: Target, manifests: Manifests) -> None:
    """Start it: a static program, from where it was built."""
    config = {
        "global": {"evaluation_interval": "2s"},
        "rule_files": ["/etc/prometheus/rules.yaml"],
        "scrape_configs": [each for monitor in manifests.all("PodMonitor") for each in scrape(monitor)],
    }
    rules = json.dumps(manifests.one("PrometheusRule").raw["spec"])
    account = {"kind": "ServiceAccount", "name": "default", "namespace": MONITORING}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    meta = {"name": "prometheus", "namespace": NAMESPACE}
    files = {"prometheus.yaml": json.dumps(config), "rules.yaml": quick(rules)}
    arguments = (
        "--config.file=/etc/prometheus/prometheus.yaml",
        "--storage.tsdb.path=/data",
        "--web.listen-address=127.0.0.1:9090",
    )
    target.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MONITORING}},
        secret("prometheus", files, "ConfigMap", MONITORING),
        {**rbac, "kind": "Role", "metadata": meta,
         "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]},
        {**rbac, "kind": "RoleBinding", "metadata": meta, "subjects": [account],
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "prometheus", "namespace": MONITORING},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "prometheus",
                        "image": "busybox:1.37",
                        "command": ["/opt/prometheus/prometheus", *arguments],
                        "volumeMounts": [
                            {"name": "program", "mountPath": "/opt/prometheus", "readOnly": True},
                            {"name": "config", "mountPath": "/etc/prometheus"},
                            {"name": "data", "mountPath": "/data"},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "program", "hostPath": {"path": str(tools.pinned("prometheus").parent)}},
                    {"name": "config", "configMap": {"name": "prometheus"}},
                    {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
                ],
            },
        },
    )  # fmt: skip
    target.kubectl("wait", "pod/prometheus", "-n", MONITORING, "--for=condition=Ready", "--timeout=120s")


@pytest.fixture(scope="module")
def monitored(target: Target) -> Iterator[Monitored]:
    """A release, and its Prometheus."""
    if not target.native:
        pytest.skip("Prometheus is a file of this host, which other clusters' nodes do not have")
    values = merged(QUICK, VALUES)
    namespaces = (NAMESPACE, TASKS, MONITORING)
    target.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", timeout=180)
    target.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        secret(
            "measured",
            {"measured.py": DAG, "broken.py": "import nothing_of_this_name"},
            "ConfigMap",
            NAMESPACE,
        ),
    )
    try:
        with starting():
            target.helm(
                "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
                "--wait", "--timeout=600s", stdin=json.dumps(values),
            )  # fmt: skip
        manifests = render(merged(values, MONITORED), release=RELEASE, namespace=NAMESPACE)
        prometheus(target, manifests)
        yield Monitored(target, manifests)
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
        target.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--wait=false")


@pytest.fixture
def airflow(monitored: Monitored) -> Iterator[Airflow]:
    """Its API."""
    target = monitored.target
    admin = target.secret(f"{RELEASE}-admin", NAMESPACE)
    with PortForward(target.kubectl_command, NAMESPACE, f"svc/{RELEASE}-api-server", 8080) as forward:
        yield Airflow(forward.url, admin["username"], admin["password"])


def test_all_components_are_up(monitored: Monitored) -> None:
    def up() -> dict[str, str]:
        found = monitored.query("up")
        return {each["metric"]["job"].partition("/")[2]: each["value"][1] for each in found}

    wait_until(
        lambda: up() == {f"{RELEASE}-statsd": "1", f"{RELEASE}-docker-gateway": "1"}, 60, lambda: str(up())
    )
    gateway = monitored.query(f'up{{job="{NAMESPACE}/{RELEASE}-docker-gateway"}}')
    assert gateway[0]["metric"]["group"] == "default"


def test_every_series_is_there(monitored: Monitored, airflow: Airflow) -> None:
    """Of the dashboard and of the alerts, with the labels by which they are added up."""
    airflow.wait_for_dags(["measured", "rejected", "lost", "unserved"], 240)
    for dag_id in ("measured", "rejected", "unserved"):
        airflow.unpause(dag_id)
    runs = {dag_id: airflow.trigger(dag_id) for dag_id in ("measured", "rejected", "unserved")}
    assert airflow.wait("measured", runs["measured"], 300) == "success"
    assert airflow.wait("rejected", runs["rejected"], 120) == "failed"
    (dashboard,) = monitored.manifests.one("ConfigMap", name=f"{RELEASE}-dashboard").raw["data"].values()
    expressions = [
        target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel.get("targets", ())
    ]
    expressions += [
        rule["expr"] for rule in monitored.manifests.one("PrometheusRule").raw["spec"]["groups"][0]["rules"]
    ]
    named = {name for expression in expressions for name in OWN.findall(re.sub(r'"[^"]*"', "", expression))}
    assert len(named) > 30
    wait_until(lambda: not missing(monitored, named), 60, lambda: str(missing(monitored, named)))
    for expression in (
        'airflow_ti_finish_total{dag_id="measured", task_id="containers", state="success"} == 2',
        'airflow_ti_queued{queue="nobody", dag_id="unserved", group=""} == 1',
        'airflow_task_queued_duration_seconds_count{dag_id="measured", queue="default", group="default"} > 4',
        'airdock_gateway_ended_total{group="default", dag_id="measured", outcome="success"} == 2',
        'airdock_gateway_phase_seconds_count{group="default", phase="create"} == 1',
        'airdock_gateway_fence_missing{group="default"} == 0',
    ):
        assert monitored.query(expression), expression


def missing(monitored: Monitored, named: set[str]) -> set[str]:
    there = {
        each["metric"]["__name__"] for each in monitored.query('count by (__name__) ({__name__=~"air.*"})')
    }
    return named - there - UNSEEN.keys()


def test_alerts_fire_by_real_faults(monitored: Monitored, airflow: Airflow) -> None:
    target = monitored.target

    def wait_for(*alerts: str, seconds: float = 90) -> None:
        wait_until(
            lambda: set(alerts) <= monitored.firing(), seconds, lambda: f"{alerts}: {monitored.firing()}"
        )

    # A file that cannot be imported, and a queue that no group serves, are there from the start.
    wait_for("AirdockImportErrors", "AirdockQueueWithoutConsumer")
    assert (
        not {"AirdockExporterDown", "AirdockHeartbeatMissing", "AirdockGatewayNotReady"} & monitored.firing()
    )

    airflow.unpause("lost")
    airflow.trigger("lost")
    pods = ("-n", TASKS, "-l", "airdock.dev/container-id")
    wait_until(
        lambda: monitored.query('airdock_gateway_containers{state="running"} == 1'), 90, "the container runs"
    )
    target.kubectl("delete", "pods", *pods, "--grace-period=1")
    wait_for("AirdockContainersLost")

    target.kubectl("delete", "rolebindings", "--all", "-n", TASKS)
    wait_for("AirdockGatewayNotReady", seconds=180)

    monitored.scale("scheduler", 0)
    wait_for("AirdockHeartbeatMissing", seconds=120)
    found = monitored.query('ALERTS{alertname="AirdockHeartbeatMissing", alertstate="firing"}')
    assert {each["metric"]["component"] for each in found} == {"scheduler"}

    monitored.scale("statsd", 0)
    wait_for("AirdockExporterDown")
    wait_until(
        lambda: "AirdockHeartbeatMissing" not in monitored.firing(), 60, "only the exporter's alert fires"
    )


def test_strangers_cannot_read(monitored: Monitored) -> None:
    """A pod of another namespace reaches the port of neither, and Prometheus does: the others show it."""
    target = monitored.target
    monitored.scale("statsd", 1)
    target.kubectl(
        "rollout", "status", f"deployment/{RELEASE}-statsd", "-n", NAMESPACE, "--timeout=90s", timeout=100
    )
    (address,) = (
        pod["status"]["podIP"]
        for pod in target.items("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=statsd")
        if "deletionTimestamp" not in pod["metadata"]
    )
    words = ("--", "sh", "-c", f"nc -w 5 {address} 9102 </dev/null && echo open || echo closed")
    assert target.kubectl("exec", "prometheus", "-n", MONITORING, *words).strip() == "open"
    target.kubectl("run", "stranger", "-n", NAMESPACE,
                   "--image=busybox:1.37", "--restart=Never", "--command", *words)  # fmt: skip
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    target.kubectl("wait", "pod/stranger", "-n", NAMESPACE, ended, "--timeout=90s")
    assert target.kubectl("logs", "stranger", "-n", NAMESPACE).strip() == "closed"


def test_without_the_operator_the_installation_says_so(monitored: Monitored) -> None:
    values = json.dumps(merged(QUICK, VALUES, MONITORED))
    with pytest.raises(CommandError, match=r"metrics.rules.enabled: the cluster does not have the kind"):
        monitored.target.helm(
            "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
            "--dry-run=server", stdin=values,
        )  # fmt: skip
