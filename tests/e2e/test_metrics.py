"""Prometheus reads a release as its PodMonitors say; every series of dashboard and alerts is there.

Prometheus runs in a pod, so network policies apply to it. Its configuration is that of the rendered
PodMonitors, as the Prometheus operator writes it.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import render
from scripts.chart.helm import CHART
from scripts.live import RELEASE, CommandError, Target
from tests.e2e.conftest import wait_until
from tests.e2e.monitoring import Monitored, prometheus, with_operator
from tests.e2e.own_release import own_release
from tests.e2e.test_stores import secret
from tests.metrics import picture, series
from tests.scripts.test_logins import web_token

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-metrics"
TASKS = f"{NAMESPACE}-{RELEASE}-tasks"
MONITORING = "airdock-e2e-monitoring"
VALUES: dict[str, Any] = {
    "dags": {"examples": False},
    "airflow": {
        "config": {
            # Import errors are sent once for each round.
            "dag_processor": {"min_file_process_interval": 5},
            "scheduler": {
                "ti_metrics_interval": 1,
                "task_instance_heartbeat_timeout": 20,
                "task_instance_heartbeat_timeout_detection_interval": 2,
            },
        },
        "pools": {"one": {"slots": 1}},
    },
    "metrics": {"airflow": {"enabled": True}},
    "tasks": {"quota": {"hard": {"pods": "1"}}, "clusters": {"other": {"kubeconfigSecret": "other"}}},
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}}]
    },
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
    TimeDeltaSensor(task_id="deferred", delta=timedelta(seconds=40), deferrable=True)
    # The quota has room for one of them.
    DockerOperator.partial(task_id="containers", image="busybox:1.37").expand(command=["sleep 3", "sleep 4"])

@dag(schedule=None)
def rejected():
    DockerOperator(task_id="privileged", image="busybox:1.37", privileged=True)

@dag(schedule=None)
def lost():
    DockerOperator(task_id="container", image="busybox:1.37", command="sleep 600")

@dag(schedule=None)
def running():
    @task
    def wait():
        time.sleep(600)
    wait()

@dag(schedule=None)
def waiting():
    @task
    def work():
        pass
    work()

@dag(schedule=None)
def unserved():
    @task(queue="nobody")
    def wait():
        pass
    wait()

measured(), rejected(), lost(), running(), waiting(), unserved()
"""
#: Series that no run of these DAGs brings, with the reason.
UNSEEN = {
    "airflow_task_instances_without_heartbeats_killed_total": "only a task whose worker died brings it",
}


def kubeconfig(issued: int, end: int) -> dict[str, Any]:
    """A Secret whose token was issued, and ends, at these seconds from now."""
    user = {"token": web_token(iat=int(time.time()) + issued, exp=int(time.time()) + end)}
    return secret(
        "other", {"kubeconfig": json.dumps({"users": [{"name": "a", "user": user}]})}, namespace=NAMESPACE
    )


@pytest.fixture(scope="module")
def monitored(target: Target) -> Iterator[Monitored]:
    """A release, and its Prometheus."""
    if not target.native:
        pytest.skip("its image is in the registry of the native cluster")
    target.kubectl("delete", "namespace", MONITORING, "--ignore-not-found", timeout=180)
    dags = {"measured.py": DAG, "broken.py": "import airflow.no_dag"}
    with own_release(target, NAMESPACE, VALUES, dags, kubeconfig(issued=-3600, end=1200)) as release:
        try:
            manifests = render(with_operator(release.values), release=RELEASE, namespace=NAMESPACE)
            prometheus(target, MONITORING, manifests)
            watched = Monitored(release, manifests, MONITORING)
            yield watched
            if file := os.environ.get("DASHBOARD_PICTURE"):
                picture.draw(watched.dashboard, watched.last_minutes, Path(file))
        finally:
            target.kubectl("delete", "namespace", MONITORING, "--ignore-not-found", "--wait=false")


def test_all_components_are_up(monitored: Monitored) -> None:
    def up() -> dict[str, str]:
        found = monitored.query("up")
        return {each["metric"]["job"].partition("/")[2]: each["value"][1] for each in found}

    wait_until(
        lambda: up() == {f"{RELEASE}-statsd": "1", f"{RELEASE}-docker-gateway": "1"}, 60, lambda: str(up())
    )
    gateway = monitored.query(f'up{{job="{NAMESPACE}/{RELEASE}-docker-gateway"}}')
    assert gateway[0]["metric"]["group"] == "default"


def test_every_series_is_there(monitored: Monitored) -> None:
    """Of the dashboard and of the alerts, with the labels by which they are added up."""
    airflow = monitored.release.airflow
    airflow.wait_for_dags(["measured", "rejected", "lost", "running", "waiting", "unserved"], 240)
    runs = {dag_id: monitored.start(dag_id) for dag_id in ("measured", "rejected", "unserved")}
    assert airflow.wait("measured", runs["measured"], 300) == "success"
    assert airflow.wait("rejected", runs["rejected"], 120) == "failed"
    (group,) = monitored.manifests.one("PrometheusRule").raw["spec"]["groups"]
    read = series.named([*series.queries(monitored.dashboard), *(rule["expr"] for rule in group["rules"])])
    assert len(read) > 30
    wait_until(lambda: not missing(monitored, read), 60, lambda: str(missing(monitored, read)))
    for expression in (
        'airflow_ti_finish_total{dag_id="measured", task_id="containers", state="success"} == 2',
        'airflow_ti_queued{queue="nobody", dag_id="unserved", group=""} == 1',
        'airflow_task_scheduled_duration_seconds_count{dag_id="measured", group="default"} > 4',
        'airdock_gateway_ended_total{group="default", dag_id="measured", outcome="success"} == 2',
        'airdock_gateway_phase_seconds_count{group="default", phase="create"} == 2',
        'airdock_gateway_fence_missing{group="default"} == 0',
    ):
        wait_until(partial(monitored.query, expression), 30, expression)


def missing(monitored: Monitored, read: set[str]) -> set[str]:
    there = {
        each["metric"]["__name__"] for each in monitored.query('count by (__name__) ({__name__=~"air.*"})')
    }
    return read - there - UNSEEN.keys()


def test_alerts_fire_by_real_faults(monitored: Monitored) -> None:
    """All but those whose series other exporters bring: test_metrics_of_others.py."""
    release = monitored.release
    # A file that cannot be imported, and a queue that no group serves, are there from the start.
    monitored.wait_for(
        "AirdockImportErrors", "AirdockQueueWithoutConsumer", "AirdockQueueWaits", "AirdockLoginExpires"
    )
    broken = ("Exporter", "Heartbeat", "Gateway", "Fence")
    assert not [name for name in monitored.firing() if re.match(f"Airdock({'|'.join(broken)})", name)]
    # The pods get the new token, and a probe of each reads it, while this test goes on.
    release.target.apply(kubeconfig(issued=0, end=86400))
    # The gateways look for the fence every five minutes.
    bindings = monitored.manifests.all("ValidatingAdmissionPolicyBinding", component="tasks")
    (binding,) = (each for each in bindings if each.name.endswith("-task-pods"))
    release.target.kubectl("delete", "validatingadmissionpolicybinding", binding.name)

    # The quota has room for one container.
    for _ in range(2):
        monitored.start("lost")
    monitored.wait_for("AirdockQuotaFull")
    running = 'airdock_gateway_containers{state="running"} == 1'
    wait_until(lambda: monitored.query(running), 90, "the container runs")
    containers = ("pods", "-n", TASKS, "-l", "airdock.dev/container-id")
    release.target.kubectl("delete", *containers, "--grace-period=1")
    monitored.wait_for("AirdockContainersLost")

    # Another gateway would not start without the fence.
    monitored.wait_for("AirdockFenceMissing", seconds=360)
    release.target.apply(binding.raw)
    renewed = "the alert ends with the login's renewal"
    wait_until(lambda: "AirdockLoginExpires" not in monitored.firing(), 180, renewed)

    monitored.start("running")
    running = 'airflow_ti_running{dag_id="running"} == 1'
    wait_until(lambda: monitored.query(running), 90, "the task runs in the worker")
    monitored.scale("worker-default", 0)
    workers = ("pods", "-l", "app.kubernetes.io/component=worker")
    release.kubectl("delete", *workers, "--grace-period=0", "--force")
    monitored.start("waiting")
    monitored.wait_for("AirdockTasksLost")
    waits = 'ALERTS{alertname="AirdockQueueWaits", queue="default", group="default", alertstate="firing"}'
    wait_until(lambda: monitored.query(waits), 90, "AirdockQueueWaits for the group")
    monitored.scale("worker-default", 1)
    release.rolled()

    release.target.kubectl("delete", "rolebindings", "--all", "-n", TASKS)
    monitored.wait_for("AirdockGatewayNotReady", seconds=180)

    monitored.scale("scheduler", 0)
    monitored.wait_for("AirdockHeartbeatMissing", seconds=120)
    found = monitored.query('ALERTS{alertname="AirdockHeartbeatMissing", alertstate="firing"}')
    assert {each["metric"]["component"] for each in found} == {"scheduler"}

    monitored.scale("statsd", 0)
    monitored.wait_for("AirdockExporterDown")
    silent = "only the exporter's alert fires"
    wait_until(lambda: "AirdockHeartbeatMissing" not in monitored.firing(), 60, silent)


def test_strangers_cannot_read(monitored: Monitored) -> None:
    """A pod of another namespace reaches the port of neither, and Prometheus does: the others show it."""
    release, target = monitored.release, monitored.release.target
    monitored.scale("statsd", 1)
    release.kubectl("rollout", "status", f"deployment/{RELEASE}-statsd", "--timeout=90s", timeout=100)
    (address,) = (pod["status"]["podIP"] for pod in release.pods("statsd"))
    words = ("--", "sh", "-c", f"nc -w 5 {address} 9102 </dev/null && echo open || echo closed")
    assert target.kubectl("exec", "prometheus", "-n", MONITORING, *words).strip() == "open"
    release.kubectl("run", "stranger", "--image=busybox:1.37", "--restart=Never", "--command", *words)
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    release.kubectl("wait", "pod/stranger", ended, "--timeout=90s")
    assert release.kubectl("logs", "stranger").split()[-1] == "closed"


def test_without_the_operator_the_installation_says_so(monitored: Monitored) -> None:
    values = json.dumps(with_operator(monitored.release.values))
    with pytest.raises(CommandError, match=r"metrics.rules.enabled: the cluster does not have the kind"):
        monitored.release.target.helm(
            "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
            "--dry-run=server", stdin=values,
        )  # fmt: skip
