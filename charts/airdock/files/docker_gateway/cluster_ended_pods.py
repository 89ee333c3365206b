"""Pods of the task namespace that have ended and that nobody deletes.

A KubernetesPodOperator can keep its pod, and one whose worker was killed cannot delete it. Ended pods count
towards the quota of all tasks, and Kubernetes' own collector waits for thousands of them. Like a Job's
`ttlSecondsAfterFinished`, for pods that no controller owns.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone

from .cluster_api import Object, logged
from .cluster_pods import Pods
from .health import log
from .settings import Tasks

#: Seconds between two looks, at most.
_INTERVAL = 600.0


class EndedPods:
    """Deletes them, whoever created them, some time after their end."""

    def __init__(self, pods: Pods, tasks: Tasks) -> None:
        self._pods = pods
        # A gateway, dead or alive, keeps its own pods for `ttl_seconds`.
        self._ttl = tasks.ttl_seconds_after_finished and max(
            tasks.ttl_seconds_after_finished, tasks.ttl_seconds
        )
        self._looked = time.monotonic()

    def tick(self) -> None:
        """Do what is due. Called every few seconds."""
        now = time.monotonic()
        if self._ttl and now - self._looked > min(_INTERVAL, self._ttl):
            self._looked = now
            with logged("ended-pods"):
                self._sweep(time.time() - self._ttl)

    def _sweep(self, latest: float) -> None:
        deleted = 0
        for pod in self._pods.ended():
            metadata = pod["metadata"]
            with logged("ended-pods"):
                if not (
                    metadata.get("ownerReferences") or "deletionTimestamp" in metadata or _end(pod) > latest
                ):
                    deleted += self._pods.request_deletion(metadata["name"], metadata["uid"], None)
        if deleted:
            log("ended-pods", pods=deleted)


def _end(pod: Object) -> float:
    """Give the latest time that the pod's status names, in seconds since 1970.

    That is the end of its last container; of an evicted pod, whose containers have no status any more, the
    change of its conditions. Authors cannot write them.
    """
    status = pod["status"]
    kinds = ("initContainerStatuses", "containerStatuses")
    states = [each["state"] for kind in kinds for each in status.get(kind) or ()]
    stamps = [state["terminated"].get("finishedAt") for state in states if state.get("terminated")]
    stamps += [each.get("lastTransitionTime") for each in status.get("conditions") or ()]
    return max(map(_seconds, filter(None, [pod["metadata"]["creationTimestamp"], *stamps])))


def _seconds(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
