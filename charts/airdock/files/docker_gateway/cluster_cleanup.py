"""What time brings to the cluster backend: pods that do not get on, and what is collected."""

from __future__ import annotations

import time

from .cluster_container import Container
from .cluster_ended_pods import EndedPods
from .cluster_judgement import Ended
from .cluster_leases import Leases
from .cluster_output import LOG_GRACE
from .cluster_pods import Pods
from .cluster_removal import Removal
from .cluster_replacement import Replacement
from .cluster_waiting import Waiting
from .cluster_watch import Watch
from .containers import Containers
from .health import Metrics, log
from .loops import Loop
from .settings import Settings

#: Seconds between two looks.
_TICK = 5.0
#: Seconds after which a container that was created and never started is forgotten.
_UNSTARTED = 3600
#: Seconds after which a pod that was created and never seen is asked for.
_UNSEEN = 30.0
#: The same for one whose creation nobody has answered.
_UNANSWERED = 60.0
#: Seconds that a node has to end a deleted pod's container before it counts as lost.
_DELETE_GRACE = 60.0


class Cleanup:
    """Looks at every container every few seconds."""

    def __init__(
        self,
        pods: Pods,
        waiting: Waiting,
        watch: Watch,
        leases: Leases,
        replacement: Replacement,
        removal: Removal,
        settings: Settings,
        containers: Containers[Container],
        metrics: Metrics,
    ) -> None:
        self._pods, self._waiting, self._watch, self._leases = pods, waiting, watch, leases
        self._replacement, self._removal = replacement, removal
        self._ended_pods = EndedPods(pods, settings.tasks)
        self._tasks, self._containers, self._metrics = settings.tasks, containers, metrics
        self.loop = Loop("collect", self._step, lambda: _TICK)

    def _step(self) -> None:
        self._leases.tick()
        for container in self._containers.all():
            self.loop.beat()
            try:
                self.look_at(container)
            except Exception as error:
                log("collector-failed", error=repr(error), **container.names())
        self._ended_pods.tick()

    def look_at(self, container: Container) -> None:
        """Do what is due for one container."""
        now = time.monotonic()
        with container.changed:
            if not container.started:
                self._expire(container)
            elif container.ended:
                self._collect(container, now)
            elif self._lost_with_its_node(container, now):
                reason = "the pod was deleted, and its node does not report how its container ended"
                container.end(Ended(None, reason), self._metrics)
        pending = container.started and not (container.ended or container.delayed or container.replacing)
        if pending and not container.running and not container.fate:
            self._lose_patience(container)
        self._replacement.look_at(container)
        unseen = pending and container.pod is None
        if unseen and now - container.begun > (_UNSEEN if container.uid else _UNANSWERED):
            self._watch.look_for(container)
        if container.fate and container.started and not container.gone and now >= container.end_due:
            self._pods.delete(container, container.fate, 1)
        self._removal.look_at(container)
        if container.gone:
            container.end_error = ""
            if self._containers.hidden(container):
                self._containers.forget(container)

    def _lose_patience(self, container: Container) -> None:
        """End a container that has not begun within the time that the settings allow."""
        why = self._waiting.look_at(container)
        if not self._replacement.hear(container) and why:
            with container.changed:
                container.end(Ended(None, why), self._metrics)
            self._pods.delete(container, why, 1)

    # The steps, called with `changed` held.

    def _expire(self, container: Container) -> None:
        if time.time() - container.created > _UNSTARTED and not container.attached:
            container.never_ran("it was not started in time")
            self._containers.forget(container)

    def _collect(self, container: Container, now: float) -> None:
        age = now - container.ended_at
        if age > LOG_GRACE:
            for stream in tuple(container.logs):
                stream.close()
            if result := container.take_result():
                result.close()
        if age > self._tasks.ttl_seconds and not container.attached:
            self._containers.hide(container)
            if not container.gone and not container.fate:
                self._pods.delete(container, "collected", None)

    def _lost_with_its_node(self, container: Container, now: float) -> bool:
        grace = _DELETE_GRACE + container.grace
        return bool(container.deleted_at) and now - container.deleted_at > grace
