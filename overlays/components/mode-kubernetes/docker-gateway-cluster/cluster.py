"""Backend `cluster`: containers as pods of the task namespace.

A container is a pod from `start` on. One watch over this gateway's pods tells how they fare; each attached
client's thread follows one log. What the cluster does to a pod (deletes, evicts, cannot place it) is never an
exit code.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import cluster_manifest, cluster_remarks, cluster_retrieval
from .api_versions import API
from .backend import ApiError, Archive, AttachOptions, Disconnect, Exit, Refusal, Stream
from .cluster_api import ApiStatus, KubernetesApi, pods_path
from .cluster_cleanup import Cleanup
from .cluster_container import Container
from .cluster_leases import Leases
from .cluster_output import Output
from .cluster_pods import Pods
from .cluster_user_namespaces import UserNamespaces
from .cluster_watch import Watch
from .containers import Attachment, Containers
from .health import Metrics, log
from .labels import RETRIEVE
from .model import Create
from .settings import Settings

#: Seconds that `close` may take.
_CLOSE = 15.0


class Cluster:
    """Implements backend.Backend."""

    def __init__(self, settings: Settings, metrics: Metrics, api: KubernetesApi | None = None) -> None:
        self._settings, self._tasks = settings, settings.tasks
        self._api = api or KubernetesApi(settings.kubernetes)
        self.containers: Containers[Container] = Containers()
        self._lock = threading.Lock()
        self._always_pull: Counter[str] = Counter()
        self._pods = Pods(self._api, settings.tasks.namespace)
        self._watch = Watch(self._api, self._pods, settings, self.containers, metrics)
        self._leases = Leases(self._api, settings)
        self._cleanup = Cleanup(self._pods, self._watch, self._leases, settings, self.containers, metrics)
        self._user_namespaces = UserNamespaces(self._api, settings)
        metrics.gauge("containers", "Containers by state.", lambda: self.containers.states(lambda c: c.state))
        metrics.counter(
            "kubernetes_requests_total", "Requests to the Kubernetes API.", lambda: self._api.requests
        )

    # ---- life of the backend

    def run(self) -> None:
        """Start watching and collecting."""
        self._watch.loop.start()
        self._cleanup.loop.start()

    def ready(self) -> str:
        """Empty when pods can be created and watched, and another gateway would delete what this one left."""
        return self._watch.ready() or self._leases.ready() or self.containers.unended()

    def alive(self) -> str:
        """Empty unless a thread hangs or has ended."""
        return self._watch.loop.problem() or self._cleanup.loop.problem()

    def close(self) -> None:
        """Delete all pods, those that have ended too: nobody could see them any more."""
        self._watch.loop.closing = self._cleanup.loop.closing = True
        deadline = time.monotonic() + _CLOSE
        left = [c for c in self.containers.all() if c.started and not c.gone]
        for container in left:
            self._pods.delete(container, "the worker's pod ended", 10)
            while not container.end_due and not container.gone and time.monotonic() < deadline:
                time.sleep(0.1)
                self._pods.delete(container, "the worker's pod ended", 10)
        self._pods.deletions.finish(max(deadline - time.monotonic(), 0.0))
        # A pod may still come of a request that nobody has answered: another gateway is to see to it.
        if all(c.uid or c.gone for c in left):
            self._leases.release()

    # ---- what Docker's clients ask

    def version(self) -> dict[str, Any]:
        """Answer as a daemon."""
        return {
            "Platform": {"Name": "Airdock Docker gateway"},
            "Version": "27.5.1-airdock",
            "ApiVersion": str(API.advertised),
            "MinAPIVersion": str(API.oldest),
            "Os": "linux",
            "Arch": "amd64" if sys.maxsize > 2**32 else "386",
            "GitCommit": "",
            "GoVersion": "",
            "KernelVersion": "",
            "Experimental": False,
        }

    def images(self, name: str) -> list[dict[str, Any]]:
        """Say that an image is there: the node pulls what it does not have, once the pod is on it."""
        return [
            {
                "Id": "sha256:" + "0" * 64,
                "RepoTags": [_full_name(name)],
                "RepoDigests": [],
                "Created": 0,
                "Size": 0,
                "Labels": {},
            }
        ]

    def pull(self, image: str, registry_auth: str) -> Iterator[Mapping[str, Any]]:
        """Take note that the next container of this image wants a fresh one."""
        cluster_manifest.check_image(image, self._tasks)
        with self._lock:
            if len(self._always_pull) < 10_000:
                self._always_pull[_full_name(image)] += 1
        return iter(({"status": f"{image} will be pulled by the node that runs the task"},))

    def login(self, registry: str, body: Mapping[str, str]) -> None:
        """Accept a registry that has a pull secret; credentials of a request go nowhere."""
        host = registry.partition("://")[2] or registry
        host = host.partition("/")[0] or "docker.io"
        if host in ("index.docker.io", "registry-1.docker.io"):
            host = "docker.io"
        if not (known := self._tasks.registries.get(host)) or not known.pull_secret:
            names = ", ".join(sorted(self._tasks.registries)) or "none"
            raise Refusal(
                "docker_conn_id",
                f"the registry {host[:200]!r} has no pull secret (tasks.registries has {names}); ask the"
                " administrator to add it to tasks.registries",
            )

    def create(self, request: Create) -> tuple[str, list[str]]:
        """Build the pod and let the API server judge it without creating it."""
        container_id = os.urandom(32).hex()
        built = cluster_manifest.build(
            request, container_id, self._settings,
            always_pull=self._wants_fresh(request.image), userns=self._user_namespaces(),
        )  # fmt: skip
        self._pods.post(built.manifest, request, dry_run=True)
        name, grace = built.manifest["metadata"]["name"], cluster_manifest.grace(request)
        self.containers.add(
            Container(container_id, request, name, grace, built.manifest, built.retrieve, built.xcom_all)
        )
        return container_id, built.notes

    def _wants_fresh(self, image: str) -> bool:
        """Tell whether the image was pulled before, once for each pull."""
        key = _full_name(image)
        with self._lock:
            wanted = self._always_pull[key] > 0
            self._always_pull[key] -= wanted
            if not self._always_pull[key]:
                del self._always_pull[key]
        return wanted

    def start(self, container_id: str) -> bool:
        """Create the pod; its image is pulled later."""
        container = self.containers.find(container_id)
        with container.changed:
            if container.started:
                return False
            if container.fate:
                raise ApiError(409, f"the container never ran: {container.fate}", "left")
            container.begun = time.monotonic()
        try:
            pod = self._pods.post(container.manifest, container.request)
        except ApiError as error:
            with container.changed:
                container.never_ran(error.message)
            # The pod may be there all the same, if only the answer was lost.
            self._pods.delete(container, error.message, 1)
            raise
        with container.changed:
            container.uid, container.gone = container.uid or pod["metadata"]["uid"], False
        if container.fate or container.removed or container.ended:  # the client left in the meantime
            # It may have been forgotten, too, when there was no pod yet.
            self.containers.add(container)
            if container.removed:
                self.containers.hide(container)
            self._pods.delete(container, container.fate or "removed", 1)
        return True

    def attach(self, container_id: str, options: AttachOptions, upgrade: Callable[[bool], Stream]) -> None:
        """Send the output from the beginning; the client's leaving ends the container."""
        container = self.containers.find(container_id)
        with container.changed:
            attachment = Attachment(container, container.changed)
            # As the daemon: without `logs`, only what is printed from now on.
            nothing = container.ended is not None and not options.logs

        def leave() -> None:
            """End the container if the last of its clients has left."""
            if attachment.leave() and not container.ended:
                log("client-gone", **container.names())
                self._pods.delete(container, "the task's process ended", 10)

        try:
            stream = upgrade(container.request.tty)
            stream.on_hangup(leave)
            if not nothing:
                Output(self._api, self._tasks, container, stream).send(options.stream)
        except BaseException as error:
            # It left, or it is cut off, which must not look like the end of the output.
            leave()
            if not container.attached:
                container.lost_output(f"the connection to the client broke ({error!r})")
            raise
        attachment.leave()

    def wait(self, container_id: str, condition: str, gone: Callable[[], bool]) -> Exit:
        """Give the exit code of a container that ended by itself; all other ends are a 500 that says why."""
        container = self.containers.find(container_id)
        with container.changed:
            while not container.ended or (condition == "removed" and not container.removed):
                container.changed.wait(timeout=5)
                if gone():
                    raise Disconnect("the client of wait left")
            ended = container.ended
        if ended.code is None:
            raise ApiError(500, ended.message, "infrastructure")
        if container.output_lost:
            raise ApiError(500, container.output_lost, "output-lost")
        if container.request.host.auto_remove:
            self.remove(container.id, force=True)
        return Exit(ended.code, cluster_remarks.memory(container))

    def inspect(self, container_id: str) -> dict[str, Any]:
        """Describe a container."""
        return self.containers.find(container_id).describe()

    def stop(self, container_id: str, grace: int | None) -> bool:
        """Delete the pod, in the background.

        Airflow's supervisor kills the task 5 s after it asked it to end.
        """
        container = self.containers.find(container_id)
        with container.changed:
            if container.ended or not container.started:
                return False
        self._pods.delete(container, "it was stopped", container.grace if grace is None else grace)
        return True

    def remove(self, container_id: str, force: bool) -> None:
        """Forget a container and delete its pod."""
        container = self.containers.find(container_id)
        with container.changed:
            running = container.started and not container.ended
            if running and not force:
                raise ApiError(
                    409,
                    f"cannot remove container {container.id[:12]}: container is running: stop it, or force",
                )
            container.removed = True
            container.changed.notify_all()
        if container.started and not container.gone:
            self.containers.hide(container)
            self._pods.delete(container, "removed", 1 if running else None)
        else:
            self.containers.forget(container)

    def archive(self, container_id: str, path: str) -> Archive:
        """Give the file that the task retrieves."""
        container = self.containers.find(container_id)
        if path != container.retrieve:
            raise Disconnect(
                f"{path[:200]!r} cannot be read from an ended container: the label {RETRIEVE} names"
                f" {container.retrieve or 'no file'}"
            )
        log_path = pods_path(self._tasks.namespace, container.pod_name, "log")
        query = {
            "container": cluster_retrieval.SIDECAR,
            "follow": "true",
            "limitBytes": str(2 * cluster_retrieval.MAX_BYTES),
        }
        try:
            stream = self._api.stream(log_path, query, timeout=60.0)
            try:
                return cluster_retrieval.read(iter(stream.read, b""), path)
            finally:
                stream.release()
        except (ApiStatus, OSError, http.client.HTTPException) as error:
            raise Disconnect(f"the output file {path} could not be read: {error}") from None


def _full_name(image: str) -> str:
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"
