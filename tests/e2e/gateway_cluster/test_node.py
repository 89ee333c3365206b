"""A node that is drained, or that falls silent."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

from scripts import tools
from scripts.cluster import KUBECONFIG, supervisor
from tests.e2e.gateway_cluster.support import (
    OWNER,
    Gateway,
    Start,
    fails,
    needs_native,
    polite,
)
from tests.support.waiting import wait_until

pytestmark = [needs_native, pytest.mark.touches("node")]


def test_drained(gateway: Gateway) -> None:
    task, _pod = polite(gateway)
    node = gateway.cluster.core.list_node().items[0].metadata.name
    kubectl = [str(tools.path("kubectl")), f"--kubeconfig={KUBECONFIG}"]
    # A whole drain but for the pods of others.
    command = ["drain", node, f"--pod-selector={OWNER}={gateway.owner}", "--force", "--delete-emptydir-data"]
    try:
        subprocess.run([*kubectl, *command], check=True, capture_output=True)
        assert "EvictionByEvictionAPI" in fails(task)
    finally:
        subprocess.run([*kubectl, "uncordon", node], check=True, capture_output=True)
    wait_until(lambda: gateway.pods_ended(), 30, "its container has ended")


def test_its_node_falls_silent(starter: Start) -> None:
    """The kubelet stops, as on a node that hangs: its pods are deleted, and nobody says how they ended."""
    unreachable = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
    gateway = starter(
        pod={
            "tolerations": [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
                for key in unreachable
            ]
        }
    )
    task, _pod = polite(gateway)
    kubelet = node_process("kubelet")
    os.kill(kubelet, signal.SIGSTOP)
    try:
        # 50 s until the node counts as lost, 60 s and the pod's grace until the gateway gives it up.
        with pytest.raises(APIError, match="its node does not report how its container ended") as error:
            task.wait()
        assert error.value.status_code == 500
    finally:
        os.kill(kubelet, signal.SIGCONT)
    wait_until(
        lambda: not gateway.cluster.pods(gateway.owner), 60, "the kubelet that is back ends the container"
    )
    wait_until(lambda: ready(gateway.cluster.core.list_node().items[0]), 60, "the node is ready again")


def ready(node: Any) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)


def node_process(name: str) -> int:
    """Give the process id, as the host has it, of a service of the native node."""
    children = Path(f"/proc/{supervisor.running()}/task/{supervisor.running()}/children").read_text().split()
    return next(int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == name)
