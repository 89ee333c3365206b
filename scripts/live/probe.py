"""What a cluster can serve: found out by asking it, with pods that do nothing else."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from scripts.live.target import CommandError, Target

SOCKET = "/var/run/docker.sock"
IMAGE = "busybox:1.37"


@dataclass(frozen=True)
class Finding:
    """Whether a mode can be served, and what was found.

    Attributes:
        reason: why not, in words for the user; "" if it can.
        gid: group of the nodes' Docker socket (mode socket).
        node: where that socket is, if the cluster has more nodes than this one.
    """

    reason: str = ""
    gid: int = 0
    node: str = ""


def dind(target: Target, namespace: str) -> Finding:
    """Find out whether the namespace takes a privileged pod, by a dry run."""
    pod = _pod("airdock-probe-privileged", namespace, "", {"privileged": True}, [])
    try:
        target.kubectl("create", "--dry-run=server", "-f", "-", stdin=_json(pod))
    except CommandError as error:
        return Finding(f"the namespace {namespace} refuses privileged pods: {_reason(error)}")
    return Finding()


def socket(target: Target, namespace: str, seconds: float = 60) -> Finding:
    """Find a node with a Docker socket at the usual place, and the group of that socket.

    Args:
        target: the cluster.
        namespace: where the probing pods run.
        seconds: how long to wait for their answer.
    """
    nodes = [
        node["metadata"]["name"]
        for node in target.items("nodes")
        if not node["spec"].get("unschedulable")
        and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
    ]
    pods = [f"airdock-probe-socket-{number}" for number in range(len(nodes))]
    mount = {"name": "socket", "hostPath": {"path": SOCKET, "type": "Socket"}}
    _delete(target, namespace, pods)
    try:
        for pod, node in zip(pods, nodes, strict=True):
            security = {"allowPrivilegeEscalation": False, "runAsUser": 65534}
            body = _pod(pod, namespace, node, security, [mount])
            target.kubectl("create", "-f", "-", stdin=_json(body))
        return _wait(target, namespace, dict(zip(pods, nodes, strict=True)), seconds)
    except CommandError as error:
        return Finding(
            f"the namespace {namespace} refuses to mount the nodes' Docker socket: {_reason(error)}"
        )
    finally:
        _delete(target, namespace, pods)


def _reason(error: CommandError) -> str:
    """The API server's reason alone, without kubectl's words around it."""
    return error.stderr.rpartition("forbidden: ")[2]


def _wait(target: Target, namespace: str, pods: dict[str, str], seconds: float) -> Finding:
    """Wait for the first pod that prints a gid, or until each has failed to mount the socket."""
    deadline = time.monotonic() + seconds
    refusals: dict[str, str] = {}
    while len(refusals) < len(pods) and time.monotonic() < deadline:
        for pod in target.items("pods", "-n", namespace, "-l", "airdock.dev/probe=socket"):
            name = pod["metadata"]["name"]
            if pod["status"].get("phase") == "Succeeded":
                gid = int(target.kubectl("logs", name, "-n", namespace))
                return Finding(gid=gid, node=pods[name] if len(pods) > 1 else "")
        for event in target.items("events", "-n", namespace, "--field-selector=reason=FailedMount"):
            name = event["involvedObject"]["name"]
            if name in pods and "hostPath type check failed" in event["message"]:
                refusals[name] = event["message"]
        time.sleep(0.5)
    if len(refusals) == len(pods):
        return Finding(f"no node has a Docker socket at {SOCKET} (they run another container runtime)")
    return Finding(f"no answer from the nodes about {SOCKET} within {seconds:.0f} s")


def _pod(
    name: str, namespace: str, node: str, security: dict[str, Any], volumes: list[dict[str, Any]]
) -> dict[str, Any]:
    mounts = [{"name": volume["name"], "mountPath": SOCKET} for volume in volumes]
    container = {
        "name": "probe",
        "image": IMAGE,
        "command": ["stat", "-c", "%g", SOCKET],
        "securityContext": security,
        "volumeMounts": mounts,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"airdock.dev/probe": "socket"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": volumes,
            **({"nodeName": node} if node else {}),
        },
    }


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body)


def _delete(target: Target, namespace: str, pods: list[str]) -> None:
    target.kubectl("delete", "pod", *pods, "-n", namespace, "--ignore-not-found", "--now")
