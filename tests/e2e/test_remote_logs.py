"""Logs on S3 (Versity's gateway, in the cluster): of tasks that end, and of tasks that are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import tools
from scripts.chart import versions
from scripts.cluster import REGISTRY
from scripts.live import RELEASE, Target, TaskInstance, registry_image
from scripts.live.airflow_api import FINISHED
from tests.e2e.conftest import wait_until
from tests.e2e.own_release import OwnRelease, own_release

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-logs"
EXECUTOR = f"{NAMESPACE}-{RELEASE}-executor"
SERVER, SERVER_IMAGE = "logs-server", f"{REGISTRY}/e2e/versitygw:1"
IMAGE = f"{REGISTRY}/e2e/airflow-s3"
PACKAGES = Path(__file__).with_name("requirements-s3.txt")
SITE = "home/airflow/.local/lib/python3.13/site-packages"
KEY_ID, KEY = "airflow", "of the logs"
BUCKET = "company"
#: Executor -> queue.
QUEUES = {"CeleryExecutor": "default", "KubernetesExecutor": "once"}
DAG = f"""
import time
from airflow.sdk import dag, task

for queue in {tuple(QUEUES.values())!r}:
    @dag(dag_id=f"speak_{{queue}}", schedule=None, params={{"seconds": 0}})
    def speak():
        @task(queue=queue)
        def work(params):
            print("the first word", flush=True)
            time.sleep(params["seconds"])
            print("the last word", flush=True)
        work()
    speak()
"""
CONNECTION = {
    "conn_type": "aws",
    "login": KEY_ID,
    "password": KEY,
    "extra": {
        "endpoint_url": f"http://{SERVER}.{NAMESPACE}.svc:7070",
        "region_name": "us-east-1",
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    },
}
GRACE = 20
GROUP = {"dockerGateway": {"enabled": False}, "kubernetesOperators": False}
VALUES: dict[str, Any] = {
    "executor": "CeleryExecutor,KubernetesExecutor",
    "images": {"airflow": {"repository": IMAGE, "tag": versions.AIRFLOW}},
    "logs": {"remote": {"baseLogFolder": f"s3://{BUCKET}/logs", "connectionId": "logs"}},
    "airflow": {
        "connections": {"logs": {"valueFrom": {"secretKeyRef": {"name": "logs", "key": "connection"}}}}
    },
    "controlPlane": {"triggerer": {"replicas": 0}},
    "workers": {
        "default": {**GROUP, "terminationGracePeriodSeconds": GRACE},
        "once": {**GROUP, "executor": "KubernetesExecutor", "queues": ["once"]},
    },
}


def secret(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "logs", "namespace": namespace},
        "stringData": {"connection": json.dumps(CONNECTION)},
    }


def server() -> list[dict[str, Any]]:
    """Give the S3 server with one bucket, and its Service."""
    metadata = {"name": SERVER, "namespace": NAMESPACE, "labels": {"app": SERVER}}
    container = {
        "name": SERVER,
        "image": SERVER_IMAGE,
        "command": ["sh", "-c", f"mkdir -p /data/{BUCKET} && exec versitygw --port :7070 posix /data"],
        "env": [{"name": "ROOT_ACCESS_KEY", "value": KEY_ID}, {"name": "ROOT_SECRET_KEY", "value": KEY}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"tcpSocket": {"port": 7070}, "periodSeconds": 1},
    }
    spec = {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}
    service = {"selector": {"app": SERVER}, "ports": [{"port": 7070}]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


@pytest.fixture(scope="module")
def release(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRelease]:
    """A release whose image has the Amazon provider."""
    if not target.native:
        pytest.skip("the images are made in the native cluster's registry")
    packages = tmp_path_factory.mktemp("packages")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    options = ("--python-version", "3.13", "--only-binary=:all:", "--target", str(packages))
    subprocess.run([*pip, *options, "--requirement", str(PACKAGES)], check=True)
    files = {f"{SITE}/{path.name}": path for path in packages.iterdir() if path.name != "bin"}
    base = f"{REGISTRY}/apache/airflow:{versions.AIRFLOW}"
    registry_image.push(f"{IMAGE}:{versions.AIRFLOW}", files, base=base)
    registry_image.push(
        SERVER_IMAGE,
        {"usr/bin/versitygw": tools.pinned("versitygw")},
        base=f"{REGISTRY}/library/python:3.13-slim",
    )
    with own_release(target, NAMESPACE, VALUES, {"speak.py": DAG}, secret(NAMESPACE), *server()) as release:
        dag_files = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "dags", "namespace": EXECUTOR},
            "data": {"speak.py": DAG},
        }
        target.apply(secret(EXECUTOR), dag_files)
        dags = [f"speak_{queue}" for queue in QUEUES.values()]
        release.airflow.wait_for_dags(dags, 240)
        for dag_id in dags:
            release.airflow.unpause(dag_id)
        yield release


def start(release: OwnRelease, queue: str, seconds: int) -> TaskInstance:
    """Start a task, and wait until it has printed its first word."""
    dag_id = f"speak_{queue}"
    run_id = release.airflow.trigger(dag_id, {"seconds": seconds})

    def spoken() -> bool:
        (task,) = release.airflow.tasks(dag_id, run_id)
        return bool(task.try_number) and "the first word" in release.airflow.log(task)

    wait_until(spoken, 180, "the first word")
    (task,) = release.airflow.tasks(dag_id, run_id)
    return task


def stored(release: OwnRelease) -> set[str]:
    """Give the runs whose logs the server has."""
    found = release.kubectl("exec", SERVER, "--", "find", f"/data/{BUCKET}", "-name", "attempt=1.log")
    return {line.split("/run_id=")[1].partition("/")[0] for line in found.splitlines()}


def ended(release: OwnRelease, task: TaskInstance) -> None:
    wait_until(
        lambda: release.airflow.state(task.dag_id, task.run_id) in FINISHED, 300, f"the end of {task.dag_id}"
    )


@pytest.mark.parametrize("queue", QUEUES.values(), ids=QUEUES)
def test_a_task_that_ends(release: OwnRelease, queue: str) -> None:
    task = start(release, queue, 5)
    ended(release, task)
    wait_until(lambda: task.run_id in stored(release), 60, "the log on the server")
    log = release.airflow.log(task, 1)
    assert f"s3://{BUCKET}/logs/dag_id={task.dag_id}/" in log
    assert log.index("the first word") < log.index("the last word")
    assert log.count("the first word") == 1


def test_a_pod_of_kubernetes_executor_that_is_killed(release: OwnRelease) -> None:
    task = start(release, "once", 600)
    (pod,) = (pod["metadata"]["name"] for pod in release.pods(namespace=EXECUTOR))
    # All processes but the first, which ends then.
    kill = ("exec", pod, "-n", EXECUTOR, "-c", "base", "--", "sh", "-c", "kill -9 -1")
    subprocess.run([*release.target.kubectl_command, *kill], capture_output=True, timeout=60)
    wait_until(lambda: task.run_id in stored(release), 120, "the log on the server")
    release.target.kubectl("delete", "pod", pod, "-n", EXECUTOR, "--ignore-not-found", "--grace-period=1")
    ended(release, task)
    log = release.airflow.log(task, 1)
    assert f"s3://{BUCKET}/logs/dag_id={task.dag_id}/" in log
    assert "the first word" in log
    assert "the last word" not in log


def test_a_worker_that_is_killed(release: OwnRelease) -> None:
    """The container starts again in the same pod; its log goes to the server before the pod does."""
    task = start(release, "default", 600)
    (pod,) = (pod["metadata"]["name"] for pod in release.pods("worker"))
    kill = ("exec", pod, "-n", NAMESPACE, "-c", "worker", "--", "sh", "-c", "kill -9 -1")
    subprocess.run([*release.target.kubectl_command, *kill], capture_output=True, timeout=60)
    wait_until(lambda: task.run_id in stored(release), 180, "the log on the server")
    log = release.airflow.log(task, 1)
    assert f"s3://{BUCKET}/logs/dag_id={task.dag_id}/" in log
    assert "the first word" in log


def test_a_worker_whose_grace_period_ends(release: OwnRelease) -> None:
    release.rolled()
    task = start(release, "default", 600)
    (pod,) = (pod["metadata"]["name"] for pod in release.pods("worker"))
    release.kubectl("delete", "pod", pod)
    assert task.run_id in stored(release)
    log = release.airflow.log(task, 1)
    assert f"s3://{BUCKET}/logs/dag_id={task.dag_id}/" in log
    assert "the first word" in log
