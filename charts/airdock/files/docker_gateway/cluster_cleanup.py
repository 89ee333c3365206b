"""What time brings to the cluster backend: pods that do not get on, and what is collected."""

from __future__ import annotations

import time

from .cluster_container import Container
from .cluster_judgement import Ended, trouble
from .cluster_leases import Leases
from .cluster_output import LOG_GRACE
from .cluster_pods import Pods
from .cluster_removal import Removal
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
        watch: Watch,
        leases: Leases,
        settings: Settings,
        containers: Containers[Container],
        metrics: Metrics,
    ) -> None:
        self._pods, self._watch, self._leases = pods, watch, leases
        self._removal = Removal(pods, containers)
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
            elif container.pod:
                self._lose_patience(container, container.pod, now)
        unseen = container.started and container.pod is None and not container.ended
        if unseen and now - container.begun > (_UNSEEN if container.uid else _UNANSWERED):
            self._watch.look_for(container)
        if container.fate and container.started and not container.gone and now >= container.end_due:
            self._pods.delete(container, container.fate, 1)
        self._removal.look_at(container)
        if container.gone:
            container.end_error = ""
            if self._containers.hidden(container):
                self._containers.forget(container)

    # The steps, called with `changed` held.

    def _expire(self, container: Container) -> None:
        if time.time() - container.created > _UNSTARTED and not container.attached:
            self._containers.forget(container)

    def _collect(self, container: Container, now: float) -> None:
        age = now - container.ended_at
        if age > LOG_GRACE:
            for stream in tuple(container.logs):
                stream.close()
        if age > self._tasks.ttl_seconds and not container.attached:
            self._containers.hide(container)
            if not container.gone and not container.fate:
                self._pods.delete(container, "collected", None)

    def _lost_with_its_node(self, container: Container, now: float) -> bool:
        grace = _DELETE_GRACE + container.grace
        return bool(container.deleted_at) and now - container.deleted_at > grace

    def _lose_patience(self, container: Container, pod: dict[str, object], now: float) -> None:
        """End a container whose pod has not got on for as long as the settings allow."""
        reason = trouble(pod)
        if reason is None:
            container.trouble_since = 0.0
            return
        container.trouble_since = container.trouble_since or now
        patience = {
            "now": 0,
            "pull": self._tasks.pull_timeout_seconds,
            "schedule": self._tasks.schedule_timeout_seconds,
        }[reason.patience]
        if now - container.trouble_since >= patience:
            container.end(Ended(None, reason.message), self._metrics)
            self._pods.delete(container, reason.message, 1)
