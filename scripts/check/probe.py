"""What only a pod finds out about the nodes, and what a dry run says about a pod: for `make up`, too."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.chart import PodSpec
from scripts.check.cluster import Cluster, CommandError, uninterrupted

SOCKET = "/var/run/docker.sock"
IMAGE = "busybox:1.37"
#: On every object that a probe creates.
LABEL = "airdock.dev/probe"
#: Of a cluster with more nodes, this many are looked at.
MOST_NODES = 10
#: Once a node has answered, how many seconds the others have.
GRACE = 10


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


@dataclass(frozen=True)
class Sockets:
    """Docker sockets on nodes.

    Attributes:
        gids: the socket's group, by node.
        asked: the nodes that were looked at.
        nodes: how many nodes could have been.
        reason: why there is none, in words for the user; "" if there is one.
        refused: whether the namespace takes no pod that could look.
    """

    gids: Mapping[str, int] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    nodes: int = 0
    reason: str = ""
    refused: bool = False


def dind(cluster: Cluster, namespace: str) -> Finding:
    """Find out whether the namespace takes a privileged pod, by a dry run."""
    pod = _pod("airdock-probe-privileged", namespace, "", {"privileged": True}, "")
    refused = refusal(cluster, pod)
    return Finding(f"the namespace {namespace} refuses privileged pods: {refused}" if refused else "")


def socket(cluster: Cluster, namespace: str) -> Finding:
    """Find a node with a Docker socket at the usual place, and the group of that socket."""
    found = sockets(cluster, namespace)
    if found.reason:
        return Finding(found.reason)
    node, gid = next(iter(found.gids.items()))
    return Finding(gid=gid, node=node if found.nodes > 1 else "")


def refusal(cluster: Cluster, *pods: Mapping[str, Any]) -> str:
    """Say why the API server would not admit one of the pods, "" if it would; nothing is created."""
    try:
        cluster.create(*pods, dry_run=True)
    except CommandError as error:
        return error.reason
    return ""


def as_pod(pod: PodSpec, name: str, namespace: str) -> dict[str, Any]:
    """Make a pod from a workload's template, for a dry run where the release's accounts are not there yet."""
    own = {key: value for key, value in pod.raw.items() if key != "serviceAccount"}
    volumes = [*pod.volumes.values(), *({"name": claim, "emptyDir": {}} for claim in pod.claims)]
    own |= {"serviceAccountName": "default", "restartPolicy": "Never", "volumes": volumes}
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {**pod.labels, LABEL: "dry-run"},
        "annotations": dict(pod.annotations),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": own}


def sockets(
    cluster: Cluster,
    namespace: str,
    *,
    path: str = SOCKET,
    image: str = IMAGE,
    selector: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> Sockets:
    """Look for a Docker socket on each node.

    Args:
        cluster: the cluster.
        namespace: where the probing pods run.
        path: of the socket.
        image: of the pods; it has a shell.
        selector: labels of the nodes to look at.
        seconds: how long to wait for their answer.
    """
    labels = ",".join(f"{key}={value}" for key, value in (selector or {}).items())
    every = [
        node["metadata"]["name"]
        for node in cluster.items("nodes", *([f"--selector={labels}"] if labels else []))
        if not node["spec"].get("unschedulable")
        and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
    ]
    nodes = every[:MOST_NODES]
    if not nodes:
        return Sockets(reason=f"no node is ready{f' that has the labels {labels}' if labels else ''}")
    pods = {f"airdock-probe-socket-{number}": node for number, node in enumerate(nodes)}
    security = {"allowPrivilegeEscalation": False, "runAsUser": 65534}
    _delete(cluster, namespace, [*pods])
    try:
        bodies = [_pod(name, namespace, node, security, path, image) for name, node in pods.items()]
        if refused := refusal(cluster, bodies[0]):
            reason = f"the namespace {namespace} refuses to mount the nodes' Docker socket: {refused}"
            return Sockets(reason=reason, refused=True)
        cluster.create(*bodies)
        gids, reason = _wait(cluster, namespace, pods, path, seconds)
    finally:
        _delete(cluster, namespace, [*pods])
    return Sockets(gids, tuple(nodes), len(every), reason)


def _wait(
    cluster: Cluster, namespace: str, pods: Mapping[str, str], path: str, seconds: float
) -> tuple[dict[str, int], str]:
    """Wait until each pod has printed a gid, or has failed to mount the socket."""
    deadline = time.monotonic() + seconds
    gids: dict[str, int] = {}
    missing: set[str] = set()
    while len(gids) + len(missing) < len(pods) and time.monotonic() < deadline:
        time.sleep(0.5)
        for pod in cluster.items("pods", "-n", namespace, "-l", f"{LABEL}=socket"):
            name = pod["metadata"]["name"]
            if pods.get(name, "") not in ("", *gids) and pod["status"].get("phase") == "Succeeded":
                gids[pods[name]] = int(cluster.kubectl("logs", name, "-n", namespace))
                deadline = min(deadline, time.monotonic() + GRACE)
        for event in cluster.items("events", "-n", namespace, "--field-selector=reason=FailedMount"):
            name = event["involvedObject"]["name"]
            if name in pods and "hostPath type check failed" in event["message"]:
                missing.add(name)
    if gids:
        return gids, ""
    if len(missing) == len(pods):
        return {}, f"no node has a Docker socket at {path} (they run another container runtime)"
    return {}, f"no answer from the nodes about {path} within {seconds:.0f} s"


def _pod(
    name: str, namespace: str, node: str, security: dict[str, Any], path: str, image: str = IMAGE
) -> dict[str, Any]:
    container = {
        "name": "probe",
        "image": image,
        "command": ["stat", "-c", "%g", path or SOCKET],
        "securityContext": security,
        "volumeMounts": [{"name": "socket", "mountPath": path, "readOnly": True}] if path else [],
        "resources": {
            "requests": {"cpu": "1m", "memory": "8Mi"},
            "limits": {"cpu": "100m", "memory": "32Mi"},
        },
    }
    volumes = [{"name": "socket", "hostPath": {"path": path, "type": "Socket"}}] if path else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: "socket"}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 300,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": volumes,
            **({"nodeName": node} if node else {}),
        },
    }


def _delete(cluster: Cluster, namespace: str, pods: Sequence[str]) -> None:
    with uninterrupted():
        cluster.kubectl("delete", "pod", *pods, "-n", namespace, "--ignore-not-found", "--now")
