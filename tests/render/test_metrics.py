"""metrics: who sends them, who may read them, and what the exporter makes of them."""

from __future__ import annotations

import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from scripts import tools
from scripts.chart import Manifests, RenderError, render, template
from scripts.lint import reach
from scripts.lint.reach import Endpoint
from tests.render.scenarios import BY_NAME
from tests.render.values import METRICS, MODES, overlaid
from tests.support.ports import free_port
from tests.support.waiting import wait_until

#: As Airflow sends them. The last one is of a DAG, and no mapping knows it.
LINES = """\
airflow.scheduler_heartbeat:1|c
airflow.ti.finish,dag_id=sales,task_id=group.load,state=success:1|c
airflow.ti.finish,dag_id=sales,task_id=group.load,state=success:1|c
airflow.ti.queued,queue=default,dag_id=sales,task_id=group.load:3.0|g
airflow.task.scheduled_duration,dag_id=sales,task_id=group.load,queue=default:2500.0|ms
airflow.dagrun.duration.failed,dag_id=sales,run_type=manual:70000|ms
airflow.pool.open_slots,pool_name=default_pool:128|g
airflow.rows,table=orders:5|c
airflow.rows.orders:5|c
"""
SERIES = """\
airflow_scheduler_heartbeat_total 1
airflow_ti_finish_total{dag_id="sales",state="success",task_id="group.load"} 2
airflow_ti_queued{dag_id="sales",queue="default",task_id="group.load"} 3
airflow_task_scheduled_duration_seconds_bucket{dag_id="sales",queue="default",task_id="",le="1"} 0
airflow_task_scheduled_duration_seconds_bucket{dag_id="sales",queue="default",task_id="",le="5"} 1
airflow_dagrun_duration_seconds_sum{dag_id="sales",run_type="manual",state="failed"} 70
airflow_pool_open_slots{pool_name="default_pool"} 128
rows_total{table="orders"} 5
"""


def exporter_config(manifests: Manifests) -> str:
    return str(manifests.one("ConfigMap", name="airdock-statsd").raw["data"]["mappings.yaml"])


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A real exporter with a rendered configuration: (its port for StatsD, its port for Prometheus)."""
    file = tmp_path_factory.mktemp("statsd") / "mappings.yaml"
    file.write_text(exporter_config(BY_NAME["maximal"].render()))
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind(("127.0.0.1", 0))
        statsd = int(probe.getsockname()[1])
    web = free_port()
    command = [
        str(tools.path("statsd_exporter")),
        f"--statsd.mapping-config={file}",
        f"--statsd.listen-udp=127.0.0.1:{statsd}",
        "--statsd.listen-tcp=",
        f"--web.listen-address=127.0.0.1:{web}",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: read(web), 20, "the exporter answers")
            yield statsd, web
        finally:
            process.kill()


def read(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_series_of_the_exporter(exporter: tuple[int, int]) -> None:
    statsd, web = exporter
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        for line in LINES.splitlines():
            client.sendto(line.encode(), ("127.0.0.1", statsd))
    wait_until(lambda: "rows_total" in read(web), 20, "the last series is there")
    found = read(web).splitlines()
    assert not [line for line in SERIES.splitlines() if line not in found]
    # What has no mapping is dropped, or any DAG could add series without a limit.
    own = {line.split("{")[0].split()[0] for line in found if line.startswith(("airflow_", "rows"))}
    known = {line.split("{")[0].split()[0] for line in SERIES.splitlines()}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in own} == {
        re.sub("_(bucket|sum|count)$", "", name) for name in known
    }


@pytest.mark.parametrize(
    "scenario", ["metrics", "metrics-of-namespaces", "both-executors", "metrics-of-attached"]
)
def test_every_component_sends(scenario: str) -> None:
    manifests = render(overlaid(BY_NAME[scenario].values, METRICS))
    service = manifests.one("Service", name="airdock-statsd")
    seen = set()
    for manifest, _, container in manifests.containers:
        environment = manifests.environment(manifest, container)
        host = environment.get("AIRFLOW__METRICS__STATSD_HOST")
        if host is None:
            assert not environment.get("AIRFLOW_CONFIG"), f"{manifest} {container.name}"
            continue
        seen.add(manifest.component)
        assert host == ("airdock-statsd" if manifest.namespace == "airdock" else "airdock-statsd.airdock.svc")
    assert service.raw["spec"]["ports"] == [
        {"name": "statsd", "port": 9125, "protocol": "UDP", "targetPort": "statsd"}
    ]
    assert {"worker"} < seen or seen == {"worker"}
    config = manifests.all("ConfigMap", name="airdock-config")[0].raw["data"]["airflow.cfg"]
    assert "statsd_on = true\n" in config
    assert "statsd_influxdb_enabled = true\n" in config


@pytest.mark.parametrize("egress", ["open", "strict"])
def test_readers_are_those_that_are_named(egress: str) -> None:
    manifests = render(overlaid(MODES, overlaid(METRICS, {"networkPolicy": {"egress": egress}})))
    pods = {manifest.component: reach.endpoint(manifest, pod) for manifest, pod in manifests.pods}
    exporter = pods.pop("statsd")
    prometheus = Endpoint("monitoring", {}, "10.1.2.3")
    assert reach.connects(manifests, prometheus, exporter, 9102)
    assert not reach.connects(manifests, prometheus, exporter, 9125, "UDP")
    assert not reach.connects(manifests, Endpoint("elsewhere", {}, "10.1.2.4"), exporter, 9102)
    for component, pod in pods.items():
        assert not reach.connects(manifests, pod, exporter, 9102), component
        sends = component not in ("postgres", "redis")
        assert reach.connects(manifests, pod, exporter, 9125, "UDP") == sends, component
    # It answers, and connects to nobody.
    assert manifests.one("NetworkPolicy", name="airdock-statsd").raw["spec"]["egress"] == []


def test_a_queue_has_its_group() -> None:
    values = {"workers": {"heavy": {"queues": ["big.one", "big-two"]}}}
    manifests = render(overlaid(METRICS, values))
    monitor = manifests.one("PodMonitor", name="airdock-statsd").raw["spec"]["podMetricsEndpoints"][0]
    groups = {
        queue: each["replacement"]
        for queue in ("default", "big.one", "big-two", "bigXone", "big.one.more")
        for each in monitor["metricRelabelings"]
        if re.fullmatch(each["regex"], queue)
    }
    assert groups == {"default": "default", "big.one": "heavy", "big-two": "heavy"}


def test_without_the_operator_one_sentence_says_so() -> None:
    cluster = ("apiregistration.k8s.io/v1",)
    with pytest.raises(RenderError) as caught:
        template(METRICS, api_versions=cluster)
    assert "metrics.podMonitor.enabled: the cluster does not have the kind PodMonitor. Install" in str(
        caught.value
    )
    kinds = ("monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule")
    template(METRICS, api_versions=(*cluster, *kinds))
    template(METRICS)


def test_the_image_is_the_pinned_exporter() -> None:
    image = BY_NAME["metrics"].render().one("Deployment", name="airdock-statsd").pod.containers[0].image
    assert image == f"prom/statsd-exporter:{tools.version_of('statsd_exporter')}"


def test_the_mappings_are_valid(tmp_path: Path) -> None:
    file = tmp_path / "mappings.yaml"
    file.write_text(exporter_config(BY_NAME["maximal"].render()))
    assert yaml.safe_load(file.read_text())["defaults"]["ttl"] == "2h"
    command = [str(tools.path("statsd_exporter")), f"--statsd.mapping-config={file}", "--check-config"]
    subprocess.run(command, check=True, capture_output=True)
