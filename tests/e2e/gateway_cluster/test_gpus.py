"""GPUs, which the node is said to have."""

from __future__ import annotations

import pytest
from docker.types import DeviceRequest

from tests.e2e.gateway_cluster.support import (
    Cluster,
    Start,
    Task,
    begin,
    fails,
    needs_native,
)
from tests.support.waiting import wait_until

pytestmark = [needs_native, pytest.mark.touches("gpus")]


def test_gpus(cluster: Cluster, starter: Start) -> None:
    """The node says that it has two, as a device plugin makes it; there is no device behind them here."""
    node = cluster.core.list_node().items[0].metadata.name

    def advertise(count: str | None) -> None:
        cluster.core.patch_node_status(node, {"status": {"capacity": {"nvidia.com/gpu": count}}})

    advertise("2")
    try:
        wait_until(
            lambda: cluster.core.read_node(node).status.allocatable.get("nvidia.com/gpu") == "2", 60, "GPUs"
        )
        gateway = starter(scheduleTimeoutSeconds=3)

        def with_gpus(count: int) -> Task:
            requests = [DeviceRequest(count=count, capabilities=[["gpu"]])]
            return begin(gateway.client(), ["echo", "ran"], host={"device_requests": requests})

        task = with_gpus(2)
        assert (task.read(), task.wait()) == (b"ran\n", 0)
        (pod,) = cluster.pods(gateway.owner)
        assert pod.spec.containers[0].resources.limits["nvidia.com/gpu"] == "2"
        assert "Insufficient nvidia.com/gpu" in fails(with_gpus(3))
        every = with_gpus(-1)
        assert (every.read(), every.wait()) == (b"ran\n", 0)
        limits = [pod.spec.containers[0].resources.limits for pod in cluster.pods(gateway.owner)]
        assert "1" in [each.get("nvidia.com/gpu") for each in limits], "tasks.gpusPerContainer"
    finally:
        advertise(None)
