"""Worker groups that join an Airflow whose names, Secrets and labels are those of the official chart."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import tools
from scripts.chart import ROOT, load_yaml
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


PAGE = (ROOT / "docs" / "attach.md").read_text()
#: A values file of the official chart, after the page's first step.
OFFICIAL = """
executor: CeleryExecutor
data: {resultBackendSecretName: airflow-broker-url}
dags: {persistence: {enabled: true, existingClaim: airflow-dags}}
"""


def block(section: str, language: str) -> str:
    """The only code block of a language in a section of the page."""
    (text,) = re.findall(rf"(?ms)^## {section}$.*?(?=^## |\Z)", PAGE)
    (found,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)
    return str(found)


def example() -> dict[str, Any]:
    """The values that the page names."""
    path = EXAMPLES / "values" / "attach-official-chart.yaml"
    values: dict[str, Any] = load_yaml(path.read_text(), path.name)[0]
    return values


def others_values() -> dict[str, Any]:
    """A control plane alone: nothing of its layout but the image is this chart's own."""
    labels = {"tier": "airflow", "component": "api-server", "release": OTHER}
    values: dict[str, Any] = {
        "fullnameOverride": OTHER,
        **{name: example()[name] for name in ("broker", "secrets")},
        "dags": example()["dags"],
        "controlPlane": {"apiServer": {"podLabels": labels}},
        "networkPolicy": {"enabled": False},
        # Airflow does not start without a group; its queue is nobody's.
        "workers": {"default": {"mode": "dind", "queues": ["default"], "replicas": 0}},
    }
    return merged(QUICK, values)


#: The third mode, and what a node of two CPUs needs: after the page's values.
MORE: dict[str, Any] = merged(
    SMALL,
    {
        "tasks": {"keepNamespace": False},
        "workerDefaults": {"dind": NATIVE_DIND},
        "workers": {"socket": {"mode": "socket", "queues": ["socket"], "socket": {"gid": 999}}},
    },
)


class Reader:
    """Who follows the page, in a directory of their own."""

    def __init__(self, target: Target, directory: Path):
        self.directory = directory
        (directory / "charts").symlink_to(ROOT / "charts")
        (directory / "values.yaml").write_text(OFFICIAL)
        program = directory / "bin" / "airdock"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m scripts.cli "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{tools.path('helm').parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "HELM_KUBECONTEXT": target.context}
        if target.kubeconfig:
            self.environment["KUBECONFIG"] = str(target.kubeconfig)

    def follow(self, section: str, more: dict[str, Any] | None = None) -> None:
        """Run the command of a section, with further values if it installs something."""
        command = block(section, "console").strip()
        assert f"--namespace {OTHER}" in command or "helm" not in command
        command = command.replace(f"--namespace {OTHER}", f"--namespace {NAMESPACE}")
        if more is not None:
            (self.directory / "more.yaml").write_text(json.dumps(more))
            command += " --timeout 420s --values more.yaml"
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def install(target: Target, release: str, values: dict[str, Any]) -> None:
    target.helm(
        "upgrade", "--install", release, str(CHART), f"--namespace={NAMESPACE}", "--values=-", "--wait",
        "--timeout=420s", stdin=json.dumps(values),
    )  # fmt: skip


def config(kind: str, name: str, data: dict[str, str]) -> dict[str, Any]:
    field = "stringData" if kind == "Secret" else "data"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, field: data}


def dags() -> list[dict[str, Any]]:
    """The claim of DAG files, and a pod that writes them there."""
    metadata = {"name": f"{OTHER}-dags", "namespace": NAMESPACE}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    moved = "\n".join(
        [
            "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator",
            "from airflow.providers.docker.operators.docker import DockerOperator",
            "from airflow.sdk import DAG",
            'with DAG("moved", schedule=None):',
            *(f"    {line}" for line in block("4. Move a DAG", "python").splitlines()),
        ]
    )
    copy = 'printf "%s" "$ATTACHED" > /dags/attached.py; printf "%s" "$MOVED" > /dags/moved.py; sleep 3600'
    writer = {
        "name": "writer",
        "image": "busybox:1.37",
        "command": ["sh", "-c", copy],
        "env": [{"name": "ATTACHED", "value": DAG}, {"name": "MOVED", "value": moved}],
        "volumeMounts": [{"name": "dags", "mountPath": "/dags"}],
    }
    volume = {"name": "dags", "persistentVolumeClaim": {"claimName": metadata["name"]}}
    spec = {"containers": [writer], "volumes": [volume], "terminationGracePeriodSeconds": 1}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "name": "writer"}, "spec": spec},
    ]


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
            *dags(),
            *redis(),
        )
        with starting():
            install(target, OTHER, others_values())
        admin = target.secret(f"{OTHER}-admin", NAMESPACE)
        with PortForward(target.kubectl_command, NAMESPACE, f"svc/{OTHER}-api-server", 8080) as forward:
            airflow = Airflow(forward.url, admin["username"], admin["password"])
            airflow.wait_for_dags(["attached", "moved"], 120)
            airflow.unpause("attached")
            airflow.unpause("moved")
            yield airflow
    finally:
        for release in (RELEASE, OTHER):
            target.helm("uninstall", release, f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait")
        spaces = (NAMESPACE, f"{NAMESPACE}-{RELEASE}-tasks")
        target.kubectl("delete", "namespace", *spaces, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def reader(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(target, tmp_path_factory.mktemp("attach"))


@pytest.fixture(scope="module")
def attached(reader: Reader, other: Airflow) -> Airflow:
    reader.follow("2. Convert your values")
    with starting():
        reader.follow("3. Attach", MORE)
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


def test_the_page_has_the_example(reader: Reader, attached: Airflow) -> None:
    assert load_yaml((reader.directory / "airdock.yaml").read_text(), "airdock.yaml")[0] == example()


def test_a_dag_is_moved(attached: Airflow) -> None:
    run = attached.trigger("moved")
    assert attached.wait("moved", run, 300) == "success"
    queues = {task.task_id: task.queue for task in attached.tasks("moved", run)}
    assert queues == {"report": "docker", "clean": "kubernetes", "load": "kubernetes"}


def test_each_side_is_upgraded_alone(target: Target, reader: Reader, attached: Airflow) -> None:
    with starting():
        reader.follow("5. Upgrade either side", merged(MORE, {"workerDefaults": {"concurrency": 3}}))
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


def test_detach_leaves_nothing(target: Target, reader: Reader, attached: Airflow) -> None:
    reader.follow("6. Remove")
    label = f"app.kubernetes.io/instance={RELEASE}"
    kinds = (
        "deployments,statefulsets,services,configmaps,secrets,roles,rolebindings,networkpolicies,pvc,leases"
    )
    wait_until(lambda: not target.items("pods", "-n", NAMESPACE, "-l", label), 120, "the workers are gone")
    assert not target.items(kinds, "-n", NAMESPACE, "-l", label)
    own = f"airdock.dev/release={NAMESPACE}.{RELEASE}"
    policies = "validatingadmissionpolicies,validatingadmissionpolicybindings,namespaces"
    wait_until(lambda: not target.items(policies, "-l", own), 120, "nothing is left in the cluster")
