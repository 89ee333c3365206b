"""The kubelet evicts a pod whose log directory is too large: with the log groomer no task sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from scripts.live import NAMESPACE, ApiError
from scripts.overlays.definitions import merged
from tests.e2e.conftest import Release, Run, install, wait_until

pytestmark = pytest.mark.touches("release")

LIMIT = "64Mi"
#: 2 MB of short lines; with what Airflow adds to each it takes six times as much on the disk.
LOUD = "yes 'a line of an ordinary log, as a program prints it to say what it does' | head -c 2000000"
RUNS = 20
#: The kubelet looks about once a minute.
EVICTION_SECONDS = 240


@contextmanager
def limited(release: Release, **retention: Any) -> Iterator[str]:
    """Give the queue of a worker group whose log directory is small."""
    logs = {"logs": {"sizeLimit": LIMIT, "retention": retention}}
    install(release.target, merged(release.values, logs))
    try:
        yield release.serving("docker")[0].queue
    finally:
        install(release.target, release.values)


def worker(release: Release, queue: str) -> dict[str, Any]:
    """Give the pod of the worker group that serves a queue."""
    (group,) = (group.name for group in release.groups if group.queue == queue)
    name = release.worker(group)
    return next(pod for pod in release.pods("worker") if pod["metadata"]["name"] == name)


def loud(release: Release, queue: str) -> Run:
    """Run a task with a log of 12 MB."""
    run = release.start(f"e2e_docker_{queue}", LOUD)
    assert run.wait() == "success"
    return run


def test_no_log_evicts_a_worker(dags: Release) -> None:
    with limited(dags) as queue:
        before = worker(dags, queue)
        loud(dags, queue)  # the first task of a worker takes longer
        began = time.monotonic()
        loud(dags, queue)
        # Until all others have ended: of those that have ended, the oldest logs go.
        seconds = int((time.monotonic() - began) * (RUNS + 2)) + 60
        silent = dags.start(f"e2e_docker_{queue}", f"echo begun; sleep {seconds}; echo the end")
        silent.wait_for_log("begun")
        runs = [loud(dags, queue) for _ in range(RUNS)]
        assert silent.task.state == "running"
        assert silent.wait(seconds) == "success"
        assert silent.task.try_number == 1
        assert "begun" in silent.log
        assert "the end" in silent.log
        assert all(run.task.try_number == 1 for run in runs)
        assert "an ordinary log" in runs[-1].log
        after = worker(dags, queue)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert all(status["restartCount"] == 0 for status in after["status"]["containerStatuses"])
        groomer = dags.target.kubectl("logs", after["metadata"]["name"], "-c", "log-groomer", "-n", NAMESPACE)
        assert "Removed" in groomer


def test_without_the_groomer_they_do(dags: Release) -> None:
    with limited(dags, enabled=False) as queue:
        name = worker(dags, queue)["metadata"]["name"]
        with suppress(ApiError):  # it ends with the worker
            for _ in range(8):
                dags.start(f"e2e_docker_{queue}", LOUD).wait(120)

        def evicted() -> bool:
            pods = {pod["metadata"]["name"]: pod["status"] for pod in dags.pods("worker")}
            return name not in pods or pods[name].get("reason") == "Evicted"

        wait_until(evicted, EVICTION_SECONDS, f"{name} evicted")
