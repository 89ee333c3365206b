"""Worker groups that join an Airflow whose names, Secrets and labels are those of the official chart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.chart import load_yaml
from scripts.chart.helm import CHART
from scripts.live import RELEASE, Airflow, CommandError, Target
from scripts.live.airflow_api import PortForward
from scripts.live.target import NATIVE_DIND
from scripts.overlays.definitions import merged
from tests.e2e.conftest import QUICK, SMALL, starting, wait_until
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-attach"
OTHER, PASSWORD = "airflow", "e2e-only"
QUEUES = ("kubernetes", "docker", "socket")
#: A DAG as its author has it: the queue is all that says where a task runs.
DAG = """
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG, task

SAY = "echo seen in $HOSTNAME; sleep 3"
with DAG("attached", schedule=None):
    for queue in ("kubernetes", "docker", "socket"):
        DockerOperator(task_id=queue, image="busybox:1.37", command=["sh", "-c", SAY], queue=queue)
    KubernetesPodOperator(
        task_id="pod", image="busybox:1.37", cmds=["sh", "-c"], queue="kubernetes", do_xcom_push=True,
        arguments=["echo seen; echo 6 > /airflow/xcom/return.json"],
    )

    @task.docker(image="python:3.13-slim", queue="docker")
    def decorated():
        return 6 * 7

    decorated()
"""
ADDRESS = f"http://{OTHER}-api-server:8080"


def example() -> dict[str, Any]:
    """The values that docs/attach.md is about."""
    path = EXAMPLES / "values" / "attach-official-chart.yaml"
    values: dict[str, Any] = load_yaml(path.read_text(), path.name)[0]
    return values


def others_values() -> dict[str, Any]:
    """A control plane alone: nothing of its layout but the image is this chart's own."""
    labels = {"tier": "airflow", "component": "api-server", "release": OTHER}
    values: dict[str, Any] = {
        "fullnameOverride": OTHER,
        **{name: example()[name] for name in ("broker", "secrets")},
        "dags": {"volume": {"configMap": {"name": "dags"}}},
        "controlPlane": {"apiServer": {"podLabels": labels}},
        "networkPolicy": {"enabled": False},
        # Airflow does not start without a group; its queue is nobody's.
        "workers": {"default": {"mode": "dind", "queues": ["default"], "replicas": 0}},
    }
    return merged(QUICK, values)


def attached_values() -> dict[str, Any]:
    """The example's, with the third mode, and what a node of two CPUs needs."""
    values: dict[str, Any] = {
        "tasks": {"keepNamespace": False},
        "workerDefaults": {"dind": NATIVE_DIND},
        "workers": {"socket": {"mode": "socket", "queues": ["socket"], "socket": {"gid": 999}}},
    }
    dags = {"dags": {"volume": {"configMap": {"name": "dags"}}}}
    return {**merged(SMALL, example(), values), **dags}


def install(target: Target, release: str, values: dict[str, Any]) -> None:
    target.helm(
        "upgrade", "--install", release, str(CHART), f"--namespace={NAMESPACE}", "--values=-", "--wait",
        "--timeout=420s", stdin=json.dumps(values),
    )  # fmt: skip


def config(kind: str, name: str, data: dict[str, str]) -> dict[str, Any]:
    field = "stringData" if kind == "Secret" else "data"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, field: data}


def redis() -> list[dict[str, Any]]:
    metadata = {"name": f"{OTHER}-redis", "namespace": NAMESPACE, "labels": {"component": "redis"}}
    container = {
        "name": "redis",
        "image": "valkey/valkey:8.1",
        "command": ["valkey-server", "--requirepass", PASSWORD, "--save", "", "--dir", "/tmp"],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
    }
    service = {"selector": {"component": "redis"}, "ports": [{"port": 6379}]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


@pytest.fixture(scope="module")
def other(target: Target) -> Iterator[Airflow]:
    """The Airflow of somebody else, and its DAGs."""
    url = f"redis://:{PASSWORD}@{OTHER}-redis:6379/0"
    try:
        target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        target.apply(
            config("Secret", f"{OTHER}-broker-url", {"connection": url}),
            config("Secret", f"{OTHER}-api-secret-key", {"api-secret-key": "e2e-only" * 4}),
            config("ConfigMap", "dags", {"attached.py": DAG}),
            *redis(),
        )
        with starting():
            install(target, OTHER, others_values())
        admin = target.secret(f"{OTHER}-admin", NAMESPACE)
        with PortForward(target.kubectl_command, NAMESPACE, f"svc/{OTHER}-api-server", 8080) as forward:
            airflow = Airflow(forward.url, admin["username"], admin["password"])
            wait_until(lambda: "attached" in airflow.dags(), 120, "the DAG is parsed")
            airflow.unpause("attached")
            yield airflow
    finally:
        for release in (RELEASE, OTHER):
            target.helm("uninstall", release, f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait")
        spaces = (NAMESPACE, f"{NAMESPACE}-{RELEASE}-tasks")
        target.kubectl("delete", "namespace", *spaces, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def attached(target: Target, other: Airflow) -> Airflow:
    with starting():
        install(target, RELEASE, attached_values())
    return other


def worker(target: Target, group: str) -> str:
    """The pod of a worker group."""
    label = f"airdock.dev/worker-group={group}"
    pods = target.items("pods", "-n", NAMESPACE, "-l", label)
    (name,) = (pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"])
    return str(name)


def all_succeed(airflow: Airflow) -> None:
    run = airflow.trigger("attached")
    tasks = {}
    try:
        assert airflow.wait("attached", run, 300) == "success"
    finally:
        tasks = {task.task_id: task for task in airflow.tasks("attached", run)}
        logs = {name: airflow.log(task)[-1500:] for name, task in tasks.items() if task.state != "success"}
        assert not logs, logs
    for name in (*QUEUES, "pod"):
        assert "seen" in airflow.log(tasks[name]), name
    assert airflow.xcom(tasks["pod"]) == 6
    assert airflow.xcom(tasks["decorated"]) == 42


def test_tasks_of_three_modes_run_and_their_logs_are_read(attached: Airflow) -> None:
    all_succeed(attached)


def test_each_side_is_upgraded_alone(target: Target, attached: Airflow) -> None:
    with starting():
        install(target, RELEASE, merged(attached_values(), {"workerDefaults": {"concurrency": 3}}))
    all_succeed(attached)
    with starting():
        changed = {"airflow": {"config": {"core": {"max_map_length": 1025}}}}
        install(target, OTHER, merged(others_values(), changed))
    all_succeed(attached)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
            f"{ADDRESS}/",
            "controlPlane.executionApiUrl: .* is not an",
        ),
        ("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://nobody:8080/execution/", "cannot be reached"),
        ("AIRFLOW__CELERY__BROKER_URL", f"redis://:no@{OTHER}-redis:6379/0", "existingSecret: .* the login"),
        ("AIRFLOW__CELERY__BROKER_URL", f"redis://:no@{OTHER}-redis:6380/0", "existingSecret: .* be reached"),
        (
            "AIRFLOW__CELERY__RESULT_BACKEND",
            f"redis://:no@{OTHER}-redis:6379/1",
            "resultBackend: .* the login",
        ),
        ("AIRFLOW__CELERY__RESULT_BACKEND", "db+postgresql://u:p@nobody/x", "resultBackend: .* be reached"),
    ],
)
def test_one_sentence_says_what_is_wrong(
    target: Target, attached: Airflow, variable: str, value: str, words: str
) -> None:
    """The check as the init container runs it, with one wrong value, and without its minute."""
    code = (
        "import sys; sys.path[0] = '/opt/airdock'; import check_attached as c; c.WAIT_SECONDS = 0; c.main()"
    )
    options = ("-n", NAMESPACE, "-c", "worker", worker(target, "default"), "--")
    with pytest.raises(CommandError, match=f"cannot join the other Airflow: .*{words}"):
        target.kubectl("exec", *options, "env", f"{variable}={value}", "python", "-c", code)


def test_newer_workers_are_refused(target: Target, attached: Airflow) -> None:
    code = (
        "import sys; sys.path[0] = '/opt/airdock'; import check_attached as c; c.WAIT_SECONDS = 0;"
        " c.metadata.version = lambda _: '99.1.0'; c.main()"
    )
    options = ("-n", NAMESPACE, "-c", "worker", worker(target, "default"), "--")
    with pytest.raises(CommandError, match=r"images\.airflow\.tag: these workers have Airflow 99\.1\.0"):
        target.kubectl("exec", *options, "python", "-c", code)


def test_detach_leaves_nothing(target: Target, attached: Airflow) -> None:
    target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait", "--timeout=300s")
    label = f"app.kubernetes.io/instance={RELEASE}"
    kinds = (
        "deployments,statefulsets,services,configmaps,secrets,roles,rolebindings,networkpolicies,pvc,leases"
    )
    wait_until(lambda: not target.items("pods", "-n", NAMESPACE, "-l", label), 120, "the workers are gone")
    assert not target.items(kinds, "-n", NAMESPACE, "-l", label)
    own = f"airdock.dev/release={NAMESPACE}.{RELEASE}"
    policies = "validatingadmissionpolicies,validatingadmissionpolicybindings,namespaces"
    wait_until(lambda: not target.items(policies, "-l", own), 120, "nothing is left in the cluster")
