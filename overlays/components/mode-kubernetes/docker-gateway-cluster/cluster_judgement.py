"""Decides from a pod alone how its container ended, or why it does not start. Pure functions.

An exit code of 0 is not always a success: a PID 1 that exits with 0 on SIGTERM makes a deleted pod Succeeded,
and gives a pod past its deadline exit code 0. An exit code counts only if nothing in the pod says that the
cluster ended it. Otherwise the end has no exit code, and its message quotes the cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = dict[str, Any]
#: The name of a pod's main container.
MAIN = "container"
#: Why this gateway deletes a pod, where a client asks for it. KILLED is what leaves the program no choice.
STOPPED, KILLED = "it was stopped", "it was killed (SIGKILL)"
BY_CLIENT = (STOPPED, "it was killed")
#: The exit code of a container that was killed.
KILL_CODE = 137
#: Reasons of a terminated state: the container never ran, or its end is unknown.
NEVER_RAN = {
    "StartError",
    "ContainerCannotRun",
    "ContainerStatusUnknown",
    "CreateContainerError",
    "ContainerGone",
}
#: Reasons of a waiting state that waiting does not resolve.
_HOPELESS = {
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
}
#: Reasons of a waiting state that the kubelet's next try may resolve: the runtime was slow, for example.
_CREATING = {"CreateContainerError", "RunContainerError"}
#: Reasons of events about a pod whose volumes, and whose network or sandbox, are not there yet.
MOUNTS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedMountOnFilesystemMismatch")
SANDBOX = (
    "FailedCreatePodSandBox", "FailedCreatePodContainer", "NetworkNotReady", "FailedPrepareDynamicResources",
)  # fmt: skip
_PULLING = {
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "ImageInspectError",
    "SignatureValidationFailed",
}


@dataclass(frozen=True)
class Ended:
    """How a container ended: its own exit code, or None and the reason in `message`.

    With a code, a `message` says that a client ended it. `out_of_memory`: the kernel killed it, or a process
    in it, at its memory limit.
    """

    code: int | None
    message: str = ""
    out_of_memory: bool = False


@dataclass(frozen=True)
class Trouble:
    """What a pod waits for, and for how long it may.

    `patience`: "now", or the value below tasks.timeouts that is the limit; empty if there is none. `events`
    are the reasons of events that say more.
    """

    message: str
    patience: str
    events: tuple[str, ...] = ()


def judge(pod: Object, deleted: bool, fate: str) -> Ended | None:
    """Return how the main container ended, None if it has not ended.

    Args:
        pod: the last known state of the pod, as the API server returns it.
        deleted: whether the pod no longer exists.
        fate: why the gateway itself deletes the pod, "" if it does not.
    """
    status = pod.get("status") or {}
    terminated = (_main(status).get("state") or {}).get("terminated")
    by_cluster = _by_cluster(pod, status, deleted, fate)
    if by_cluster == _deletion(fate) and (terminated or deleted) and fate.startswith(BY_CLIENT):
        # A client that ends a container gets a code, as from Docker; never 0, which would be a success.
        code = int((terminated or {}).get("exitCode", 0)) or (KILL_CODE if fate == KILLED else None)
        return Ended(code, by_cluster)
    if terminated:
        reason, message = terminated.get("reason", ""), terminated.get("message", "")
        if by_cluster:
            return Ended(None, by_cluster)
        if reason in NEVER_RAN:
            return Ended(None, f"the container could not be run: {message or reason}")
        return Ended(int(terminated["exitCode"]), out_of_memory=reason == "OOMKilled")
    if deleted:
        return Ended(None, by_cluster)
    if status.get("phase") in ("Failed", "Succeeded"):
        # A pod that the kubelet rejected, or whose node was lost, has a phase and no container status.
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
        return _deletion(fate)
    return ""


def _deletion(fate: str) -> str:
    if fate:
        return f"the pod was deleted: {fate}"
    return "the pod was deleted by something else than this task (a user, a controller, an eviction)"


def trouble(pod: Object) -> Trouble | None:
    """Return what a pod waits for, None if its container has begun."""
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    for each in statuses:
        waiting = (each.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        words = f"{reason}: {message}" if message else reason
        if reason in _HOPELESS:
            return Trouble(f"the container cannot be run: {words}", "now")
        if reason in _CREATING:
            return Trouble(f"the container cannot be created: {words}", "createSeconds")
        if reason in _PULLING:
            return Trouble(f"the image cannot be pulled: {words}", "pullSeconds")
        if reason == "CrashLoopBackOff":
            return Trouble(f"the sidecar {each.get('name')} does not run: {words}", "now")
    if status.get("phase") != "Pending":
        return None
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    scheduled, sandbox = conditions.get("PodScheduled"), conditions.get("PodReadyToStartContainers")
    if scheduled is None:
        return Trouble("the pod waits for the scheduler", "scheduleSeconds")
    if scheduled["status"] != "True":
        words = scheduled.get("message") or scheduled.get("reason")
        return Trouble(f"the pod could not be scheduled: {words}", "scheduleSeconds")
    if sandbox is None:
        return Trouble("the node prepares the pod", "")
    if sandbox["status"] != "True":
        return Trouble("the node prepares the pod's volumes and network", "mountSeconds", MOUNTS + SANDBOX)
    return Trouble("the node pulls the image", "")


def phases(pod: Object) -> dict[str, float]:
    """Give the seconds that a pod waited for its node, and then for its image, by the cluster's clock."""
    status = pod.get("status") or {}
    conditions = {each["type"]: each.get("lastTransitionTime") for each in status.get("conditions") or []}
    state = _main(status).get("state") or {}
    begun = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    scheduled = conditions.get("PodScheduled")
    # Older clusters do not tell when volumes and network were there.
    prepared = conditions.get("PodReadyToStartContainers") or scheduled
    created = pod["metadata"].get("creationTimestamp")
    spans = {"schedule": (created, scheduled), "pull": (prepared, begun)}
    return {
        name: max(0.0, _time(end) - _time(start)) for name, (start, end) in spans.items() if start and end
    }


def _time(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _main(status: Object) -> Object:
    return next((s for s in status.get("containerStatuses") or [] if s.get("name") == MAIN), {})
