"""One watch over this gateway's pods, which tells how their containers fare."""

from __future__ import annotations

import json
import threading
import time

from .cluster_api import ApiStatus, KubernetesApi, Object, pods_path
from .cluster_container import Container
from .cluster_judgement import Ended, judge
from .cluster_pods import Pods
from .containers import Containers
from .health import Metrics, log
from .labels import CONTAINER, OWNER
from .model import Create
from .settings import Settings


class Watch:
    """Keeps the records of the containers up to date."""

    def __init__(
        self,
        api: KubernetesApi,
        pods: Pods,
        settings: Settings,
        containers: Containers[Container],
        metrics: Metrics,
    ) -> None:
        self._api, self._pods, self._containers, self._metrics = api, pods, containers, metrics
        self._namespace = settings.tasks.namespace
        self._selector = f"{OWNER}={settings.owner}"
        self._problem = ""
        self._beat = time.monotonic()
        self._synced = threading.Event()
        self.closing = False

    def ready(self) -> str:
        """Empty when pods are watched."""
        return self._problem or ("" if self._synced.is_set() else "the first list of pods is missing")

    def alive(self) -> str:
        """Empty unless the watch's thread hangs."""
        return "" if time.monotonic() - self._beat < 600 else "the watch has been silent for 10 minutes"

    def run(self) -> None:
        """Watch until `closing`."""
        version, delay = "", 0.2
        path = pods_path(self._namespace)
        while not self.closing:
            self._beat = time.monotonic()
            try:
                if not version:
                    answer = self._api.request("GET", path, {"labelSelector": self._selector}, patience=0)
                    self._relist(answer.get("items") or [])
                    version = answer["metadata"]["resourceVersion"]
                    self._synced.set()
                self._problem = ""
                for event in self._api.watch(path, self._selector, version):
                    self._beat = time.monotonic()
                    delay = 0.2
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._observe(event["object"], event["type"] == "DELETED")
                continue
            except ApiStatus as status:
                self._problem = f"pods of {self._namespace} cannot be watched: {status.message}"
                if status.code == 410 or status.reason == "Expired":
                    version = ""
                    continue
                if status.code:
                    version = ""
            except Exception as error:
                self._problem = f"the watch failed: {error!r}"
                version = ""
                log("watch-failed", error=repr(error))
            time.sleep(delay)
            delay = min(delay * 2, 5.0)

    def look_for(self, container: Container) -> None:
        """Ask for a pod that no watch has shown: it came and went while the watch was broken."""
        try:
            self._observe(self._pods.get(container.pod_name), False)
        except ApiStatus as status:
            if status.code == 404:
                with container.changed:
                    container.end(Ended(None, "the pod was deleted before it was seen to run"), self._metrics)

    def _relist(self, items: list[Object]) -> None:
        seen = {pod["metadata"]["uid"] for pod in items}
        for pod in items:
            self._observe(pod, False)
        for container in self._containers.all():
            if container.uid and container.uid not in seen and not container.gone and container.pod:
                self._update(container, container.pod, True)

    def _observe(self, pod: Object, deleted: bool) -> None:
        meta = pod["metadata"]
        container_id = (meta.get("annotations") or {}).get(CONTAINER, "")
        container = self._containers.get(container_id)
        if container is None:
            if not deleted and container_id and not meta.get("deletionTimestamp"):
                self._adopt(container_id, pod)
            return
        self._update(container, pod, deleted)

    def _update(self, container: Container, pod: Object, deleted: bool) -> None:
        meta = pod["metadata"]
        with container.changed:
            container.uid = container.uid or meta["uid"]
            if container.uid != meta["uid"]:
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
            container.end(judge(container.pod, deleted, container.fate), self._metrics)
            container.changed.notify_all()

    def _adopt(self, container_id: str, pod: Object) -> None:
        """Take over a pod that this gateway created before its restart.

        Nobody knows how much of its output was read, so that its end is never an exit code; it is found by
        `remove`, and collected in time.
        """
        meta = pod["metadata"]
        labels = json.loads((meta.get("annotations") or {}).get("airdock.dev/docker-labels", "{}"))
        request = Create(image=pod["spec"]["containers"][0]["image"], labels=labels)
        container = Container(container_id, request, meta["name"])
        container.uid, container.begun, container.pod = meta["uid"], time.monotonic(), pod
        reason = "the Docker gateway was restarted while the container ran; part of its output is lost"
        running = judge(pod, False, "") is None
        container.ended, container.ended_at = Ended(None, reason), time.monotonic()
        self._containers.add(container)
        log("adopted", running=running, **container.names())
        if running:
            self._pods.delete(container, reason, 10)
