"""Mode dind: a GPU, which the node is said to have."""

from __future__ import annotations

import json

import pytest

from scripts.chart.dind_pod import pod_of
from scripts.live import Target
from tests.e2e.conftest import wait_until
from tests.e2e.dind.pods import (
    IMAGE,
    NAMESPACE,
    RESOURCES,
    group,
    objects,
    running,
)

pytestmark = pytest.mark.touches("gpus")


def test_a_daemon_with_a_gpu_goes_where_one_is(target: Target) -> None:
    """The node says that it has one, as a device plugin makes it; there is no device behind it here."""
    (node,) = (each["metadata"]["name"] for each in target.items("nodes"))
    limits = {"resources": {"limits": {**RESOURCES["limits"], "nvidia.com/gpu": 1}}}

    def advertise(count: str | None) -> None:
        patch = json.dumps({"status": {"capacity": {"nvidia.com/gpu": count}}})
        target.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", patch)

    scripts, workload = objects(group(**limits))
    with running(target, pod_of(workload, "gpu"), scripts, ready=False) as pod:
        conditions = "{.status.conditions[*].message}"
        said = ("get", "pod", "gpu", "-n", NAMESPACE, "-o", f"jsonpath={conditions}")
        wait_until(lambda: "Insufficient nvidia.com/gpu" in target.kubectl(*said), 30, "no node for the pod")
        advertise("1")
        try:
            pod.wait_ready()
            # Docker's own image has no vendor's tools: a task is told so, and does not run without.
            assert "no known GPU vendor found" in pod.fails("run", "--rm", "--gpus=all", IMAGE, "true")
        finally:
            advertise(None)
