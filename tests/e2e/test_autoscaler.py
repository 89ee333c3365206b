"""The autoscaler beside real tasks: its numbers are the database's, and an idle worker is removed first.

The test itself changes the number of workers, as KEDA would by these numbers.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.chart.helm import CHART
from scripts.live import RELEASE, CommandError, Target
from scripts.live.airflow_api import FINISHED, Airflow, PortForward
from scripts.overlays.definitions import merged
from tests.api.conftest import custom_kind
from tests.e2e.conftest import QUICK, starting, wait_until
from tests.e2e.test_stores import secret

#: KEDA's kind is the cluster's.
pytestmark = [pytest.mark.touches("release"), pytest.mark.xdist_group("keda")]

NAMESPACE = "airdock-e2e-scaling"
COST = "controller.kubernetes.io/pod-deletion-cost"
WORKERS = f"deployment/{RELEASE}-worker-default"
TASKS, CONCURRENCY, MOST = 6, 2, 3
VALUES: dict[str, Any] = {
    "dags": {"examples": False, "volume": {"configMap": {"name": "scaled"}}},
    "controlPlane": {"autoscaler": {"resources": {"requests": {"cpu": "10m"}}}},
    "workers": {
        "default": {
            "concurrency": CONCURRENCY,
            "kubernetesOperators": False,
            "dockerGateway": {"enabled": False},
            "autoscaling": {"enabled": True, "max": MOST, "cooldownSeconds": 30},
        }
    },
    "networkPolicy": {"kedaFrom": [{"podSelector": {"matchLabels": {"app": "keda"}}}]},
}
DAG = f"""
import time
from airflow.sdk import dag, task

@dag(schedule=None)
def short():
    @task
    def work(number):
        time.sleep(15)
    work.expand(number=list(range({TASKS})))

@dag(schedule=None)
def long():
    @task
    def work():
        time.sleep(45)
    work()

short()
long()
"""
COUNT = "select state, count(*) from task_instance where state in ('queued', 'running') group by state"


@pytest.fixture(scope="module")
def scaled(target: Target) -> Iterator[Target]:
    """The release, without a worker, and two pods that may and may not ask the autoscaler."""
    namespaces = (NAMESPACE, f"{NAMESPACE}-{RELEASE}-tasks")
    names = {"plural": "scaledobjects", "singular": "scaledobject", "kind": "ScaledObject"}
    kind = custom_kind("keda.sh", "Namespaced", names)
    kind["spec"]["versions"][0]["name"] = "v1alpha1"
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, kind)
    try:
        target.apply(secret("scaled", {"scaled.py": DAG}, "ConfigMap", NAMESPACE))
        for name in ("keda", "stranger"):
            options = ("-n", NAMESPACE, f"--labels=app={name}", "--image=busybox:1.37", "--command", "--")
            target.kubectl("run", name, *options, "sleep", "3600")
        with starting():
            target.helm(
                "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
                "--wait", "--timeout=420s", stdin=json.dumps(merged(QUICK, VALUES)),
            )  # fmt: skip
        yield target
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
        target.kubectl("delete", "pods", "--all", "-n", NAMESPACE, "--grace-period=1", "--wait=false")
        target.kubectl("delete", "crd", "scaledobjects.keda.sh", "--ignore-not-found")
        target.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def airflow(scaled: Target) -> Iterator[Airflow]:
    """Its API."""
    admin = scaled.secret(f"{RELEASE}-admin", NAMESPACE)
    with PortForward(scaled.kubectl_command, NAMESPACE, f"svc/{RELEASE}-api-server", 8080) as forward:
        found = Airflow(forward.url, admin["username"], admin["password"])
        found.wait_for_dags(["short", "long"], 240)
        for dag_id in ("short", "long"):
            found.unpause(dag_id)
        yield found


def asked(target: Target, pod: str = "keda") -> dict[str, int]:
    """What a pod gets from the autoscaler."""
    url = f"http://{RELEASE}-autoscaler.{NAMESPACE}.svc:8080/demand"
    text = target.kubectl("exec", pod, "-n", NAMESPACE, "--", "wget", "-q", "-T", "5", "-O", "-", url)
    found: dict[str, int] = json.loads(text)["default"]
    return found


def counted(target: Target) -> dict[str, int]:
    """The same from the database."""
    script = f'psql -U "${{POSTGRES_USER:-postgres}}" -d "${{POSTGRES_DB:-airflow}}" -Atc "{COUNT}"'
    text = target.kubectl("exec", f"{RELEASE}-postgres-0", "-n", NAMESPACE, "--", "sh", "-c", script)
    found = {state: int(number) for state, number in (line.split("|") for line in text.split())}
    return {"running": found.get("running", 0), "queued": found.get("queued", 0)}


def workers(target: Target) -> dict[str, dict[str, Any]]:
    """The workers that stay, by name."""
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=worker"
    return {
        pod["metadata"]["name"]: pod
        for pod in target.items("pods", "-n", NAMESPACE, "-l", selector)
        if "deletionTimestamp" not in pod["metadata"]
    }


def scale(target: Target, number: int) -> None:
    target.kubectl("scale", WORKERS, "-n", NAMESPACE, f"--replicas={number}")


def test_only_keda_gets_numbers(scaled: Target) -> None:
    wait_until(lambda: asked(scaled) == {"running": 0, "queued": 0, "demand": 0}, 60, "no task")
    with pytest.raises(CommandError, match=r"timed out|download"):
        asked(scaled, "stranger")


def test_from_zero_by_the_demand(scaled: Target, airflow: Airflow) -> None:
    """Six tasks and no worker: three workers of two tasks. The numbers are those of the database."""
    scale(scaled, 0)
    wait_until(lambda: not workers(scaled), 60, "no worker")
    run = airflow.trigger("short")
    wait_until(lambda: asked(scaled)["queued"] == TASKS, 120, "all tasks are queued")
    wanted = min(MOST, math.ceil(asked(scaled)["demand"] / CONCURRENCY))
    assert wanted == MOST
    scale(scaled, wanted)
    same, seen, deadline = 0, set(), time.monotonic() + 300
    while airflow.state("short", run) not in FINISHED and time.monotonic() < deadline:
        before, found, after = counted(scaled), asked(scaled), counted(scaled)
        if before == after:  # else it changed in between
            time.sleep(4)
            if counted(scaled) == before:
                found = asked(scaled)
                assert found == {**before, "demand": sum(before.values())}
                seen.add(tuple(before.values()))
                same += 1
        assert found["demand"] == found["running"] + found["queued"]
    assert airflow.state("short", run) == "success"
    assert same >= 2, "the numbers changed all the time"
    assert {task.try_number for task in airflow.tasks("short", run)} == {1}
    wait_until(lambda: asked(scaled)["demand"] == 0, 60, "no demand")


def test_the_busy_worker_is_kept(scaled: Target, airflow: Airflow) -> None:
    run = airflow.trigger("long")
    wait_until(
        lambda: any(COST in (pod["metadata"].get("annotations") or {}) for pod in workers(scaled).values()),
        120,
        "a busy worker is marked",
    )
    marked = {
        name: pod["metadata"]["annotations"].get(COST)
        for name, pod in workers(scaled).items()
        if COST in pod["metadata"]["annotations"]
    }
    assert list(marked.values()) == ["1"]
    (busy,) = marked
    scale(scaled, 1)
    wait_until(lambda: set(workers(scaled)) == {busy}, 60, "the idle ones are removed")
    assert airflow.wait("long", run, 180) == "success"
    (task,) = airflow.tasks("long", run)
    assert task.try_number == 1
    wait_until(
        lambda: COST not in workers(scaled)[busy]["metadata"]["annotations"], 60, "the mark is removed"
    )
    scale(scaled, 0)
    wait_until(lambda: not workers(scaled), 60, "no worker")
