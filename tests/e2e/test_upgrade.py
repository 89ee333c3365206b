"""What an upgrade, a rollout and an outage do to the release and to the tasks that run meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts import up
from scripts.live import NAMESPACE, RELEASE, Target
from tests.e2e.conftest import Release, Run, wait_until
from tests.soak.faults import cut_off

pytestmark = pytest.mark.touches("release")

#: Two groups of tests: each can have a release of its own.
ROLLOUTS, OUTAGES = (pytest.mark.xdist_group(f"test_upgrade {name}") for name in ("rollouts", "outages"))
OUTAGE_SECONDS = 60
#: For the keepalive of airdock_connections.py (30 s), the waits of Airflow between two tries, and the tasks.
GONE_SECONDS = 150
#: Longer than new workers take to become ready, on a busy machine too: only then are the old ones told to go.
ROLLOUT_SECONDS = 300


#: In the command of every container of this file, and in no other.
MARK = f"e2e-upgrade-{os.getpid()}"


def ticking(seconds: int) -> str:
    """Give a script that says something each second and "the end" after the last, or when `end` says so."""
    return (
        f"trap 'echo the end; exit' USR1; for i in $(seq {seconds}); do echo tick $i; sleep 1; done; "
        f"echo the end # {MARK}"
    )


def end(target: Target) -> None:
    """End the containers that tick, whatever runs them. On clusters other than the native one, time does."""
    for file in Path("/proc").glob("[0-9]*/cmdline") if target.native else ():
        with contextlib.suppress(OSError):  # It has ended.
            words = file.read_text().split("\0")
            if words[0] == "sh" and MARK in " ".join(words):
                os.kill(int(file.parent.name), signal.SIGUSR1)


def everywhere(dags: Release, seconds: int) -> list[Run]:
    """Start a ticking task in every mode, a deferred one included, and wait until each has begun."""
    ids = [f"e2e_docker_{group.queue}" for group in dags.serving("docker")]
    ids += [
        f"e2e_{kind}_{group.queue}" for group in dags.serving("kubernetes") for kind in ("pod", "deferred")
    ]
    runs = [dags.start(dag_id, ticking(seconds)) for dag_id in ids]
    for run in runs:
        if "deferred" in run.dag_id:  # its log comes when it is over
            run.wait_for_state("deferred")
        else:
            run.wait_for_log("tick 2")
    return runs


def assert_nothing_lost(runs: list[Run]) -> None:
    """Every task ran once, to its end."""
    assert_all_succeed(runs)
    for run in runs:
        assert "the end" in run.log, run.dag_id


def assert_all_succeed(runs: list[Run]) -> None:
    """Every task succeeded in its first try."""
    ended = {run.dag_id: (run.wait(), run.task.try_number) for run in runs}
    assert ended == {run.dag_id: ("success", 1) for run in runs}


@ROLLOUTS
def test_upgrade_with_no_change_restarts_nothing(release: Release) -> None:
    before = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in release.staying()}
    up.install(release.target, dict(release.values))
    time.sleep(5)
    after = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in release.staying()}
    assert after == before


@ROLLOUTS
def test_a_worker_rollout_loses_no_task_and_no_log(dags: Release) -> None:
    """Warm shutdown: the old worker ends when its task has; until then the API server reads its log.

    (After that the log is gone with its pod, unless logs.claim or logs.remote keeps it.)
    """
    runs = [run for run in everywhere(dags, ROLLOUT_SECONDS) if "deferred" not in run.dag_id]
    workers = [f"deployment/{RELEASE}-worker-{group.name}" for group in dags.groups]
    old = {pod["status"]["podIP"]: pod["metadata"]["name"] for pod in dags.staying("worker")}
    with ThreadPoolExecutor() as pool:
        list(pool.map(dags.restart, workers))

    def leaving() -> set[str]:
        return {
            pod["metadata"]["name"] for pod in dags.pods("worker") if pod["metadata"].get("deletionTimestamp")
        }

    wait_until(lambda: leaving() == set(old.values()), 120, "every old worker on its way out")
    for run in runs:
        task = run.task
        assert task.state == "running", (
            f"{run.dag_id} ended before its worker was told to go: raise the seconds"
        )
        assert old[task.hostname or ""] in leaving()
        assert "tick 2" in run.log, "the log of a worker that drains"
    end(dags.target)
    assert_all_succeed(runs)
    wait_until(lambda: not leaving(), 120, "the old workers gone after their last task")


@ROLLOUTS
def test_an_api_server_rollout_has_no_gap(dags: Release) -> None:
    """Requests from a worker all through the rollout: each one is answered."""
    script = """
import json, pathlib, sys, time, urllib.request
base = sys.argv[1].split("/execution/")[0]
failures, count, end = [], 0, time.monotonic() + float(sys.argv[2])
stop = pathlib.Path(sys.argv[3])
while time.monotonic() < end and not stop.exists():
    count += 1
    try:
        urllib.request.urlopen(base + "/api/v2/version", timeout=5).read()
    except Exception as error:
        failures.append(repr(error))
    time.sleep(0.1)
stop.unlink(missing_ok=True)
print(json.dumps({"count": count, "failures": failures}))
"""
    worker = dags.staying("worker")[0]["metadata"]["name"]
    url = "http://airdock-api-server:8080"
    stop = f"/tmp/{MARK}"
    runs = everywhere(dags, ROLLOUT_SECONDS)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(dags.inside, worker, "worker", "python", "-c", script, url, "240", stop)
        time.sleep(2)
        dags.restart("deployment/airdock-api-server")
        wait_until(lambda: len(dags.pods("api-server")) == 1, 120, "the old API server gone")
        end(dags.target)
        time.sleep(5)
        dags.inside(worker, "worker", "touch", stop)
        answer = json.loads(asked.result())
    assert answer["count"] > 100
    assert answer["failures"] == []
    assert_nothing_lost(runs)


@OUTAGES
@pytest.mark.parametrize("workload", ["deployment/airdock-api-server", "statefulset/airdock-postgres"])
def test_an_outage_of_a_minute_loses_no_task(dags: Release, workload: str) -> None:
    """The tasks go on while the API server or the database is away, some beyond its return and some not."""
    short = [dags.start(f"e2e_docker_{group.queue}", ticking(20)) for group in dags.serving("docker")]
    for run in short:
        run.wait_for_log("tick 2")
    runs = everywhere(dags, OUTAGE_SECONDS + 120)
    dags.target.kubectl("scale", workload, "-n", NAMESPACE, "--replicas=0")
    try:
        component = workload.partition("airdock-")[2]
        wait_until(lambda: not dags.pods(component), 120, f"{component} gone")
        time.sleep(OUTAGE_SECONDS)
    finally:
        dags.scale(workload, 1)
    assert all(run.task.state in ("running", "deferred") for run in runs), (
        "a task ended before the outage did"
    )
    end(dags.target)
    assert_nothing_lost(short + runs)


@OUTAGES
@pytest.mark.parametrize("component", ["redis", "postgres"])
def test_a_store_that_disappears(dags: Release, component: str) -> None:
    """As if its node had lost power: no connection is closed, and the next pod has another address.

    Without airdock_connections.py a Celery worker that waits for Redis sends nothing that could fail.
    """
    if not dags.target.native:
        pytest.skip("it cuts the network of a pod from the node")
    runs = [dags.start(f"e2e_docker_{group.queue}", "true") for group in dags.serving("docker")]
    assert_all_succeed(runs)
    before = restarts(dags)
    (pod,) = dags.pods(component)
    cut_off(pod)
    options = ["--grace-period=0", "--force", "--wait=false"]
    dags.target.kubectl("-n", NAMESPACE, "delete", "pod", pod["metadata"]["name"], *options)

    def replaced() -> bool:
        found = [
            each for each in dags.staying(component) if each["metadata"]["uid"] != pod["metadata"]["uid"]
        ]
        return any(each["ready"] for one in found for each in one["status"].get("containerStatuses", ()))

    wait_until(replaced, 120, f"another {component}")
    began = time.monotonic()
    runs = [dags.start(f"e2e_docker_{group.queue}", "true") for group in dags.serving("docker")]
    assert_all_succeed(runs)
    assert time.monotonic() - began < GONE_SECONDS
    assert restarts(dags) == before


def restarts(release: Release) -> dict[str, int]:
    """Give how often each container of the control plane and of the workers has been restarted."""
    return {
        f"{pod['metadata']['uid']} {each['name']}": each["restartCount"]
        for component in ("api-server", "scheduler", "dag-processor", "triggerer", "worker")
        for pod in release.staying(component)
        for each in pod["status"]["containerStatuses"]
    }
