"""One watch over this gateway's pods, which tells how their containers fare."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .cluster_api import ApiStatus, KubernetesApi, Object, pods_path
from .cluster_container import Container
from .cluster_judgement import Ended, judge, phases
from .cluster_pods import Pods
from .cluster_removal import Removal
from .cluster_replacement import Replacement
from .containers import Containers
from .health import Metrics, log
from .labels import CONTAINER, OWNER
from .loops import Loop
from .model import Create
from .settings import Settings

_ID = re.compile(r"[0-9a-f]{64}\Z")


class Watch:
    """Keeps the records of the containers up to date."""

    def __init__(
        self,
        api: KubernetesApi,
        pods: Pods,
        settings: Settings,
        containers: Containers[Container],
        replacement: Replacement,
        removal: Removal,
        metrics: Metrics,
    ) -> None:
        self._api, self._pods, self._containers, self._metrics = api, pods, containers, metrics
        self._replacement, self._removal = replacement, removal
        self._namespace = settings.tasks.namespace
        self._selector = f"{OWNER}={settings.owner}"
        self._problem = self._version = ""
        self._synced = threading.Event()
        self.loop = Loop("watch", self._step)

    def ready(self) -> str:
        """Empty when pods are watched."""
        return self._problem or ("" if self._synced.is_set() else "the first list of pods is missing")

    def _step(self) -> None:
        """List if that is due, and watch for a while."""
        path = pods_path(self._namespace)
        try:
            if not self._version:
                answer = self._api.request("GET", path, {"labelSelector": self._selector}, patience=0)
                self._relist(answer.get("items") or [])
                self._version = answer["metadata"]["resourceVersion"]
                self._synced.set()
            self._problem = ""
            for event in self._api.watch(path, self._selector, self._version):
                self.loop.beat()
                self._version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._observe(event["object"], event["type"] == "DELETED")
        except ApiStatus as status:
            # Without an answer, the same watch is tried again.
            if status.code:
                self._version = ""
            if status.code != 410 and status.reason != "Expired":
                self._problem = f"pods of {self._namespace} cannot be watched: {status.message}"
                raise
        except BaseException as error:
            self._problem, self._version = f"the watch failed: {error!r}", ""
            raise

    def look_for(self, container: Container) -> None:
        """Ask for a pod that no watch has shown: it came and went while the watch was broken."""
        try:
            self._observe(self._pods.get(container.pod_name), False)
        except ApiStatus as status:
            if status.code == 404:
                with container.changed:
                    container.gone = True
                    container.end(Ended(None, "the pod was deleted before it was seen to run"), self._metrics)

    def _relist(self, items: list[Object]) -> None:
        seen = {pod["metadata"]["uid"] for pod in items}
        for pod in items:
            self._observe(pod, False)
        for container in self._containers.all():
            if container.uid and container.uid not in seen and not container.gone:
                if container.pod:
                    with self._one(container.pod, container):
                        self._update(container, container.pod, True)
                elif container.fate:
                    # Deleted, or newer than the list: another request for its deletion tells.
                    container.end_due = 0.0

    def _observe(self, pod: Object, deleted: bool) -> None:
        meta = pod["metadata"]
        container_id = (meta.get("annotations") or {}).get(CONTAINER, "")
        # The annotation is its author's. The gateway gives a pod its id's name, and knows which one it gave.
        if not _ID.match(container_id) or not meta["name"].endswith(f"-{container_id[:12]}"):
            return
        container = self._containers.get(container_id)
        with self._one(pod, container):
            if container is None:
                if not deleted and not meta.get("deletionTimestamp"):
                    self._adopt(container_id, pod)
            elif meta["name"] == container.pod_name:
                self._update(container, pod, deleted)

    @contextmanager
    def _one(self, pod: Object, container: Container | None) -> Iterator[None]:
        """Let a pod that cannot be understood cost its own container, and no other."""
        try:
            yield
        except Exception as error:
            log("pod-failed", pod=pod["metadata"]["name"], error=repr(error))
            if container is not None:
                reason = f"the state of its pod cannot be understood: {error!r}"
                with container.changed:
                    container.end(Ended(None, reason), self._metrics)
                self._pods.delete(container, reason, 1)

    def _update(self, container: Container, pod: Object, deleted: bool) -> None:
        meta = pod["metadata"]
        with container.changed:
            if meta["uid"] not in container.replaced:
                container.uid = container.uid or meta["uid"]
                if container.uid != meta["uid"]:
                    if not (deleted or meta.get("deletionTimestamp")):
                        # The first pod was deleted while the answer to its creation was lost.
                        container.gone = False
                        self._pods.delete(container, "its pod was deleted, and then created again", 1)
                    return
            if self._replacement.observe(container, pod, deleted):
                return
            container.gone = deleted
            # Status and identity are all that is looked at again.
            container.pod = {
                "metadata": {k: meta[k] for k in ("uid", "name", "deletionTimestamp") if k in meta},
                "status": pod.get("status") or {},
            }
            if meta.get("deletionTimestamp") and not container.deleted_at:
                container.deleted_at = time.monotonic()
            if container.has_output and not container.running:
                container.running = time.monotonic()
                self._metrics.start_seconds(container.running - container.begun)
                for phase, seconds in phases(pod).items():
                    self._metrics.phase_seconds(phase, seconds)
            container.end(judge(container.pod, deleted, container.fate), self._metrics)
            container.changed.notify_all()
        self._removal.look_at(container)

    def _adopt(self, container_id: str, pod: Object) -> None:
        """Take over a pod that this gateway created before its restart.

        Nobody knows how much of its output was read, so that its end is never an exit code; it is found by
        `remove`, and collected in time.
        """
        meta = pod["metadata"]
        request = Create(image="", labels=_labels(meta["annotations"].get("airdock.dev/docker-labels", "")))
        container = Container(container_id, request, meta["name"])
        container.uid, container.begun, container.pod = meta["uid"], time.monotonic(), pod
        reason = "the Docker gateway was restarted while the container ran; part of its output is lost"
        running = judge(pod, False, "") is None
        container.ended, container.ended_at = Ended(None, reason), time.monotonic()
        self._containers.add(container)
        if self._containers.knew(container_id):
            # It was removed in this life, before the pod was seen: nobody is to find it again.
            container.removed = True
            self._containers.hide(container)
            self._pods.delete(container, "removed", 1)
            return
        log("adopted", running=running, **container.names())
        if running:
            self._pods.delete(container, reason, 10)


def _labels(text: str) -> dict[str, str]:
    """Read the labels of a container from its pod, as far as they are any."""
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {k: v for k, v in labels.items() if isinstance(v, str)} if isinstance(labels, dict) else {}
