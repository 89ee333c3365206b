"""Probe pods: image pull, DNS, cgroup version, user namespaces, and whether NetworkPolicies are enforced.

Every pod meets Pod Security *restricted*, has a deadline, and is deleted again.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.check.cluster import Cluster, CommandError, uninterrupted
from scripts.check.probe import LABEL

PORT = 8080
#: Pods end by themselves, also where nobody could delete them.
DEADLINE = 600
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
RESOURCES = {
    "requests": {"cpu": "5m", "memory": "8Mi", "ephemeral-storage": "1Mi"},
    "limits": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "10Mi"},
}
# A user namespace maps 0 to another id.
USER = "read -r inside outside count < /proc/self/uid_map; echo user=$outside"
#: The name resolves, or nc says `bad address`; whether the port is open is of no interest.
SERVER = f"""
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo cgroup=2; else echo cgroup=1; fi
said=$(nc -w 5 kubernetes.default.svc 443 < /dev/null 2>&1)
case "$said" in *'bad address'*) echo dns=no;; *'not found'*) echo dns=untried;; *) echo dns=yes;; esac
echo ready=yes
httpd -f -p {PORT} -h /tmp || nc -lk -p {PORT} -e true
"""
#: Says `reached` while no policy is there, then watches until the new policy cuts it off.
CLIENT = f"""
reach() {{ nc -w 2 "$SERVER" {PORT} < /dev/null > /dev/null 2>&1; }}
tries=0
until reach; do
  tries=$((tries + 1)); [ $tries -lt 15 ] || {{ echo network=unreachable; exit 0; }}
  sleep 1
done
echo network=reached
tries=0
while [ $tries -lt 30 ]; do
  tries=$((tries + 1))
  reach || reach || reach || reach || {{ echo network=blocked; exit 0; }}
  sleep 1
done
echo network=open
"""
_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


@dataclass
class Probes:
    """Pods of one check, in one namespace; leaving the context deletes them.

    Attributes:
        namespace: where they run.
        image: of their container; it has a shell.
        pull_secrets: as in a pod's spec.
        user: of the securityContext; empty where the cluster assigns one.
        seconds: how long a pod may take to start.
    """

    cluster: Cluster
    namespace: str
    image: str
    pull_secrets: Sequence[Mapping[str, str]] = ()
    user: Mapping[str, int] = field(default_factory=lambda: {"runAsUser": 65534})
    seconds: float = 120

    def __post_init__(self) -> None:
        self.id = secrets.token_hex(3)

    def pod(self, name: str, script: str, **spec: Any) -> dict[str, Any]:
        """A pod that runs a script in the image."""
        container = {
            "name": "probe",
            "image": self.image,
            "command": ["sh", "-c", script],
            "securityContext": RESTRICTED,
            "resources": RESOURCES,
            **spec.pop("container", {}),
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self._metadata(name),
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 0,
                "activeDeadlineSeconds": DEADLINE,
                "imagePullSecrets": list(self.pull_secrets),
                "securityContext": {
                    "runAsNonRoot": True,
                    **self.user,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
                **spec,
            },
        }

    def _metadata(self, name: str) -> dict[str, Any]:
        return {
            "name": f"airdock-check-{self.id}-{name}",
            "namespace": self.namespace,
            "labels": {LABEL: self.id, f"{LABEL}-pod": name},
        }

    def start(self, *pods: dict[str, Any]) -> None:
        """Create pods.

        Raises:
            CommandError: the API server refuses one.
        """
        self.cluster.create(*pods)

    def states(self) -> dict[str, dict[str, Any]]:
        """The pods as they are, by the name that `pod` got."""
        pods = self.cluster.items("pods", "-n", self.namespace, "-l", f"{LABEL}={self.id}")
        return {pod["metadata"]["labels"][f"{LABEL}-pod"]: pod for pod in pods}

    def said(self, name: str) -> dict[str, str]:
        """What a pod has printed as key=value; later ones win. Nothing while it has not started."""
        try:
            log = self.cluster.kubectl("logs", f"airdock-check-{self.id}-{name}", "-n", self.namespace)
        except CommandError as error:
            if "waiting to start" in error.stderr or "is not valid for pod" in error.stderr:
                return {}
            raise
        return dict(line.split("=", 1) for line in log.splitlines() if "=" in line)

    def wait(self, true: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until something is true; False if it is not in time."""
        deadline = time.monotonic() + (seconds or self.seconds)
        while not true():
            if time.monotonic() > deadline:
                return False
            time.sleep(1)
        return True

    def deny(self, name: str) -> None:
        """Create a policy that lets nothing in to a pod."""
        selector = {"matchLabels": {LABEL: self.id, f"{LABEL}-pod": name}}
        self.cluster.create(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": self._metadata("deny"),
                "spec": {"podSelector": selector, "policyTypes": ["Ingress"]},
            }
        )

    def __enter__(self) -> Probes:
        return self

    def __exit__(self, *_: object) -> None:
        with uninterrupted():
            for kind in ("pods", "networkpolicies"):
                with contextlib.suppress(CommandError):
                    self.cluster.kubectl(
                        "delete", kind, "-n", self.namespace, "-l", f"{LABEL}={self.id}", "--wait=false"
                    )


def trouble(pod: Mapping[str, Any]) -> tuple[str, str]:
    """Why a pod does not run: a word (`pull`, `schedule`, `start` or ""), and what the cluster says."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("reason") == "Unschedulable":
            return "schedule", str(condition.get("message"))
    for container in status.get("containerStatuses") or ():
        waiting = container["state"].get("waiting") or {}
        if waiting.get("reason") in _PULL:
            return "pull", f"{container['image']}: {waiting.get('message') or waiting['reason']}"
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return "start", f"{waiting['reason']}: {waiting.get('message', '')}"
    if status.get("phase") == "Failed":
        return "start", str(status.get("message") or status.get("reason") or "it failed")
    return "", ""
