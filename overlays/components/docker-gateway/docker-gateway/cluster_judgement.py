"""How a container ended, decided from its pod alone. Pure functions.

A PID 1 that answers SIGTERM by exiting 0 makes a deleted pod Succeeded, and a pod past its deadline has exit
code 0. So an exit code counts only if nothing says that the cluster ended the pod; all else is an end in the
cluster's words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
#: The name of a pod's main container.
MAIN = "container"
#: Reasons of a terminated state that say that the container never ran, or that nobody knows.
_NEVER_RAN = {
    "StartError",
    "ContainerCannotRun",
    "ContainerStatusUnknown",
    "CreateContainerError",
    "ContainerGone",
}
#: Reasons of a waiting state that time does not heal.
_HOPELESS = {
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
_PULLING = {
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "ImageInspectError",
    "SignatureValidationFailed",
}


@dataclass(frozen=True)
class Ended:
    """An end: the exit code of the container itself, or None and why there is none."""

    code: int | None
    message: str = ""


@dataclass(frozen=True)
class Trouble:
    """Why a pod does not get on, and whose patience it tries: now, pull or schedule."""

    message: str
    patience: str


def judge(pod: Object, deleted: bool, fate: str) -> Ended | None:
    """Decide how the main container ended; None while it has not.

    `fate`: why the gateway itself deletes the pod.
    """
    status = pod.get("status") or {}
    terminated = (_main(status).get("state") or {}).get("terminated")
    by_cluster = _by_cluster(pod, status, deleted, fate)
    if terminated:
        reason, message = terminated.get("reason", ""), terminated.get("message", "")
        if by_cluster:
            return Ended(None, by_cluster)
        if reason in _NEVER_RAN:
            return Ended(None, f"the container could not be run: {message or reason}")
        return Ended(int(terminated["exitCode"]))
    if deleted:
        return Ended(None, by_cluster)
    if status.get("phase") in ("Failed", "Succeeded"):
        # The kubelet that refuses a pod, and a node that is lost, set the phase alone.
        return Ended(None, by_cluster or "the pod ended without its container's exit code")
    return None


def _by_cluster(pod: Object, status: Object, deleted: bool, fate: str) -> str:
    said = ": ".join(filter(None, (status.get("reason", ""), status.get("message", ""))))
    disruption = next(
        (
            c
            for c in status.get("conditions") or []
            if c["type"] == "DisruptionTarget" and c["status"] == "True"
        ),
        None,
    )
    if disruption:
        words = ": ".join(filter(None, (disruption.get("reason", ""), disruption.get("message", ""))))
        return f"the cluster ended the pod ({said or words})"
    if said:
        return f"the cluster ended the pod ({said})"
    if deleted or pod["metadata"].get("deletionTimestamp"):
        return (
            f"the pod was deleted: {fate}"
            if fate
            else "the pod was deleted by something else than this task (a user, a controller, an eviction)"
        )
    return ""


def trouble(pod: Object) -> Trouble | None:
    """Tell why a pod does not get on, None if it does."""
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    for each in statuses:
        waiting = (each.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        words = f"{reason}: {message}" if message else reason
        if reason in _HOPELESS:
            return Trouble(f"the container cannot be run: {words}", "now")
        if reason in _PULLING:
            return Trouble(f"the image cannot be pulled: {words}", "pull")
        if reason == "CrashLoopBackOff":
            return Trouble(f"the sidecar {each.get('name')} does not run: {words}", "now")
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Trouble(
                f"the pod could not be scheduled: {condition.get('message') or condition.get('reason')}",
                "schedule",
            )
    return None


def _main(status: Object) -> Object:
    return next((s for s in status.get("containerStatuses") or [] if s.get("name") == MAIN), {})
