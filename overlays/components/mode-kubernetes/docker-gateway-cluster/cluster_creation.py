"""Pods that cannot be created yet: a quota is full, or the API server is unavailable.

Their containers have been started, and wait as others do for a node: in the order of their starts, with lines
in their logs, and for tasks.timeouts.createSeconds at most.
"""

from __future__ import annotations

import threading
import time

from . import cluster_quota
from .backend import ApiError
from .cluster_container import Container
from .cluster_judgement import Ended, Trouble
from .cluster_pods import Delayed, Pods
from .cluster_waiting import Waiting
from .containers import Containers
from .health import Metrics
from .loops import Loop

#: Seconds for which `start` itself tries again; with a request's own time it answers before docker-py's 60 s.
_PATIENCE = 5.0
#: Seconds between two rounds.
_PAUSE = 1.0
_BEHIND = Trouble("the pods of containers that were started earlier cannot be created yet", "createSeconds")


class Creation:
    """Creates the pods of one gateway."""

    def __init__(
        self, pods: Pods, waiting: Waiting, containers: Containers[Container], metrics: Metrics
    ) -> None:
        self._pods, self._waiting, self._containers, self._metrics = pods, waiting, containers, metrics
        self._changed = threading.Condition()
        self._queue: list[Container] = []
        #: Held while a pod of the queue is created.
        self._creating = threading.Lock()
        self.loop = Loop("create", self._step)

    def begin(self, container: Container) -> None:
        """Create a pod, now or later. Raises ApiError if it can never be created."""
        with self._changed:
            if self._queue:
                self._join(container, _BEHIND, "behind")
                return
        try:
            self._create(container, _PATIENCE)
        except Delayed as delayed:
            with self._changed:
                self._join(container, delayed.trouble, "quota" if delayed.resources else "api")

    def close(self, seconds: float) -> bool:
        """Create nothing any more; False if a request may be under way still."""
        self.loop.closing = True
        with self._changed:
            self._changed.notify_all()
        ended = self._creating.acquire(timeout=seconds)
        if ended:
            self._creating.release()
        return ended

    def _join(self, container: Container, trouble: Trouble, reason: str) -> None:
        self._metrics.delayed(reason)
        container.delayed = trouble
        self._queue.append(container)
        self._queue.sort(key=lambda each: each.begun)
        self._changed.notify_all()

    def _step(self) -> None:
        """Try the containers that wait, in order.

        Those that came first get what is full. But no container fails without a try of its own.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self.loop.closing, timeout=60)
            queue = list(self._queue)
        full: set[str] = set()
        available = True
        for container in queue:
            self.loop.beat()
            with self._creating:
                if self.loop.closing:
                    return
                refused = self._look_at(container, full, available)
            if refused:
                full |= refused.resources
                available = bool(refused.resources)
            if container.delayed is None:
                with self._changed:
                    self._queue.remove(container)
        with self._changed:
            if self._queue:
                self._changed.wait_for(lambda: self.loop.closing, timeout=_PAUSE)

    def _look_at(self, container: Container, full: set[str], available: bool) -> Delayed | None:
        """Create a pod, if nobody came first; gives why it cannot be, if it was tried."""
        over = False if _left(container) else bool(self._waiting.look_at(container))
        refused = None
        try:
            first = over or not cluster_quota.counts(container.manifest, full)
            if _left(container) or (available and first):
                self._create(container)
        except Delayed as delayed:
            container.delayed, refused = delayed.trouble, delayed
        except Exception as error:
            self._fail(container, error.message if isinstance(error, ApiError) else repr(error))
        if over and container.delayed:
            self._fail(container, self._waiting.over(container.delayed))
        return refused

    def _fail(self, container: Container, why: str) -> None:
        with container.changed:
            container.delayed = None
            container.end(Ended(None, why), self._metrics)
        # It may exist, if only the answer was lost.
        self._pods.delete(container, why, 1)

    def _create(self, container: Container, patience: float = 0.0) -> None:
        """Create the pod of a container that somebody still wants."""
        # With a uid, the watch has shown it: only the answer was lost.
        if not _left(container) and not container.uid:
            pod = self._pods.post(container.manifest, container.request, patience)
            if container.delayed:
                self._metrics.phase_seconds("create", time.monotonic() - container.begun)
            with container.changed:
                if pod["metadata"]["uid"] not in container.replaced:
                    container.uid, container.gone = container.uid or pod["metadata"]["uid"], False
            if _left(container):  # in the meantime
                # It may have been forgotten, too, when there was no pod yet.
                self._containers.add(container)
                if container.removed:
                    self._containers.hide(container)
                self._pods.delete(container, container.fate or "removed", 1)
        container.delayed = None


def _left(container: Container) -> bool:
    """Tell whether a container is to have no pod any more."""
    with container.changed:
        ended = container.ended and not container.has_output
        return bool(container.fate or container.removed or ended)
