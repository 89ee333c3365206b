"""Mode dind: the life and death of the daemon."""

from __future__ import annotations

import pytest

from scripts.chart.dind_pod import pod_of
from scripts.live import Target
from tests.e2e.conftest import wait_until
from tests.e2e.dind.pods import (
    IMAGE,
    NAMESPACE,
    group,
    objects,
    running,
)


def test_the_daemon_ends_after_the_worker(target: Target) -> None:
    """What the worker does while it shuts down still finds a daemon."""
    script = f"trap 'sleep 2; docker run --rm {IMAGE} echo late; exit' TERM; echo up; sleep 600 & wait"
    scripts, workload = objects(group(pullBeforeStart=[IMAGE]), script=script)
    with running(target, pod_of(workload, "order"), scripts) as pod:
        wait_until(lambda: "up" in pod.logs("worker"), 30, "the worker's script")
        target.kubectl("delete", "pod", pod.name, "-n", NAMESPACE, "--wait=false")
        wait_until(lambda: "late" in pod.logs("worker"), 20, "a container during shutdown")


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_daemon_that_dies_or_hangs_is_replaced(target: Target, signal: str) -> None:
    scripts, workload = objects(group(pullBeforeStart=[IMAGE]))
    body = pod_of(workload, f"daemon-{signal.lower()}")
    # A worker's own, for which nobody should have to wait until a daemon that hears nothing is killed.
    body["spec"]["terminationGracePeriodSeconds"] = 600
    with running(target, body, scripts) as pod:
        pod.docker("run", "--detach", IMAGE, "sleep", "600")
        pod.inside("docker", "sh", "-c", f"kill -{signal} $(pidof dockerd)")
        wait_until(lambda: pod.restarts() == 1, 150, "the daemon's container restarted")
        wait_until(lambda: pod.status("docker")["started"], 90, "the next daemon")
        assert pod.docker("ps", "-q") == "", "a container outlived its daemon"
        assert pod.docker("run", "--rm", IMAGE, "echo", "again").strip() == "again"
        assert pod.restarts("worker") == 0
