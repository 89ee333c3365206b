"""Mode dind on the release: a real worker beside the daemon."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

from scripts.live import NAMESPACE as RELEASE_NAMESPACE
from tests.e2e.conftest import Release, wait_until

pytestmark = pytest.mark.touches("daemon")


@pytest.fixture
def worker(dags: Release) -> str:
    """The pod of the release's worker of mode dind."""
    (group,) = [group for group in dags.groups if group.mode == "dind"]
    wanted = {"airdock.dev/worker-group": group.name}
    (name,) = [
        pod["metadata"]["name"]
        for pod in dags.staying("worker")
        if wanted.items() <= pod["metadata"]["labels"].items()
    ]
    return str(name)


def dind_dag(release: Release) -> str:
    """The DAG whose container runs on the daemon of mode dind."""
    (group,) = [group for group in release.groups if group.mode == "dind"]
    return f"e2e_docker_{group.queue}"


#: It ends by itself long after the worker was told to.
LONG = "echo begun; for i in $(seq 40); do sleep 1; done"


@pytest.mark.touches("node")
def test_a_drained_node_loses_no_task(dags: Release, worker: str) -> None:
    """kubectl drain, of this pod alone: the only node has the cluster's own on it."""
    target = dags.target
    (node,) = (each["metadata"]["name"] for each in target.items("nodes"))
    (group,) = [group for group in dags.groups if group.mode == "dind"]
    run = dags.start(dind_dag(dags), LONG)
    run.wait_for_log("begun")
    pods = f"--pod-selector=airdock.dev/worker-group={group.name}"
    command = [*target.kubectl_command, "drain", node, pods, "--delete-emptydir-data", "--timeout=300s"]
    drain = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_until(lambda: worker not in names(dags.staying("worker")), 60, "the pod evicted")
        late = dags.start(dind_dag(dags), "echo late")
        assert drain.poll() is None, f"it waits for the task: {drain.communicate()[0]}"
        assert (run.wait(), run.task.try_number) == ("success", 1)
        assert drain.wait(120) == 0
        # Its successor finds no node, and the other task waits.
        assert late.task.state == "queued"
    finally:
        drain.kill()
        target.kubectl("uncordon", node)
    assert late.wait() == "success"


def names(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def test_no_task_is_taken_while_the_daemon_is_away(dags: Release, worker: str) -> None:
    """It waits in its queue for a daemon, or another worker; it would fail at once if it were taken."""
    dags.inside(worker, "docker", "sh", "-c", "kill -STOP $(pidof dockerd)")
    try:
        log = ("logs", worker, "-n", RELEASE_NAMESPACE, "-c", "worker", "--tail=50")
        paused = "no new tasks until it does"
        wait_until(lambda: paused in dags.target.kubectl(*log), 30, "the worker's pause")
        run = dags.start(dind_dag(dags), "echo done")
        run.wait_for_state("queued", 30)
        time.sleep(5)
        assert run.task.state == "queued"
    finally:
        dags.inside(worker, "docker", "sh", "-c", "kill -CONT $(pidof dockerd)")
    assert run.wait() == "success"


def test_a_task_whose_daemon_dies_fails_with_a_reason(dags: Release, worker: str) -> None:
    run = dags.start(dind_dag(dags), "echo begun; sleep 600")
    run.wait_for_log("begun")
    dags.inside(worker, "docker", "sh", "-c", "kill -KILL $(pidof dockerd)")
    run.wait_for_state("failed", 60)
    assert "docker.errors" in run.log or "Connection" in run.log, run.log[-2000:]
    run = dags.start(dind_dag(dags), "echo done")
    assert run.wait() == "success"


def test_a_killed_worker_leaves_no_container(dags: Release, worker: str) -> None:
    run = dags.start(dind_dag(dags), "echo begun; sleep 600")
    run.wait_for_log("begun")
    assert dags.inside(worker, "docker", "docker", "ps", "-q")
    # The oldest but for PID 1, which nobody in the container can kill.
    dags.inside(
        worker, "worker", "sh", "-c", "kill -KILL $(pgrep -f 'celery worker' | grep -vx 1 | head -n 1)"
    )
    running = ("docker", "docker", "ps", "-q")
    wait_until(lambda: dags.inside(worker, *running) == "", 120, "the container removed")
    log = dags.target.kubectl("logs", worker, "-n", RELEASE_NAMESPACE, "-c", "worker")
    assert "which a killed worker left running" in log
