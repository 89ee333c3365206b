"""Backend `cluster`: containers as pods of the task namespace.

A container is a pod from `start` on. One watch over this gateway's pods tells how they fare; each attached
client's thread follows one log. What the cluster does to a pod (deletes, evicts, cannot place it) is never an
exit code.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from . import pods, policy, retrieval
from .backend import API_VERSION, ApiError, Archive, AttachOptions, Disconnect, Refusal, Stream
from .health import Metrics, log
from .judgement import Ended, judge, trouble
from .kubernetes_api import ApiStatus, KubernetesApi, Object, pods_path
from .kubernetes_api import Stream as LogStream
from .leases import Leases
from .logs import LineReader
from .model import Create
from .settings import Settings

#: Seconds that the API server may be away without a task noticing.
PATIENCE = 45.0
#: `start` must answer before docker-py's 60 s.
START_PATIENCE = 45.0
#: An orderly end of a log stream is believed if the container's own end is known within this many seconds.
END_AGREES = 2.0
#: Seconds after which the log of a container that printed nothing is read once more.
LATE_OUTPUT = 0.5
#: Seconds after which a log stream of an ended container that does not end is cut.
LOG_GRACE = 60.0
#: Seconds that a node has to end a deleted pod's container before it counts as lost.
DELETE_GRACE = 60.0
_TICK = 5.0
#: Seconds after which a pod that was made and never seen is asked for.
UNSEEN = 30.0
_GRACE = "terminationGracePeriodSeconds"


@dataclass
class Container:
    """One container: its pod from `start` on, and what is known of it. `changed` guards all that changes."""

    id: str
    request: Create
    built: pods.Built
    created: float = field(default_factory=time.time)
    changed: threading.Condition = field(default_factory=threading.Condition)
    pod: Object | None = None
    uid: str = ""
    begun: float = 0.0  # monotonic time of `start`
    running: float = 0.0  # monotonic time at which the container was first seen to run
    ended: Ended | None = None
    ended_at: float = 0.0
    gone: bool = False  # the pod is deleted
    deleted_at: float = 0.0
    trouble_since: float = 0.0
    fate: str = ""  # why this gateway deletes the pod, if it does
    removed: bool = False
    attached: int = 0
    output_lost: str = ""
    log: LogStream | None = None

    @property
    def started(self) -> bool:
        """Tell whether `start` was called."""
        return self.begun > 0

    def slim(self) -> None:
        """Forget what only the start needed: the environment may be large."""
        meta, spec = self.built.manifest["metadata"], self.built.manifest["spec"]
        kept = {"metadata": {"name": meta["name"]}, "spec": {_GRACE: spec.get(_GRACE, 10)}}
        self.built = replace(self.built, manifest=kept)
        self.request = replace(self.request, env=())

    @property
    def has_output(self) -> bool:
        """Tell whether there is a log to read."""
        status = main_status(self.pod)
        return bool(status.get("running") or status.get("terminated"))


def main_status(pod: Object | None) -> Object:
    """Give the state of a pod's main container, empty if there is none yet."""
    for status in ((pod or {}).get("status") or {}).get("containerStatuses") or []:
        if status.get("name") == pods.MAIN:
            state: Object = status.get("state") or {}
            return state
    return {}


class Cluster:
    """Implements backend.Backend."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._tasks, self._metrics = settings, settings.tasks, metrics
        self._api = KubernetesApi(settings.kubernetes)
        self._selector = f"{pods.OWNER}={settings.owner}"
        self._lock = threading.Lock()
        self._containers: dict[str, Container] = {}
        self._always_pull: Counter[str] = Counter()
        self._watching = ""  # empty, or why not
        self._watch_beat = time.monotonic()
        self._synced = threading.Event()
        self._userns: tuple[float, bool] | None = None
        self._closing = False
        self._leases = Leases(self._api, settings)
        metrics.gauge("containers", "Containers by state.", self._states)
        metrics.counter(
            "kubernetes_requests_total", "Requests to the Kubernetes API.", lambda: self._api.requests
        )

    # ---- life of the backend

    def run(self) -> None:
        """Start watching and collecting."""
        for target in (self._watch, self._collect):
            threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True).start()

    def ready(self) -> str:
        """Empty when pods can be made and watched."""
        return (
            ""
            if self._synced.is_set() and not self._watching
            else self._watching or "the first list of pods is missing"
        )

    def alive(self) -> str:
        """Empty unless the watch's thread hangs."""
        return "" if time.monotonic() - self._watch_beat < 600 else "the watch has been silent for 10 minutes"

    def close(self) -> None:
        """Delete all pods, those that have ended too: nobody could see them any more."""
        self._closing = True
        with self._lock:
            left = [c for c in self._containers.values() if c.started and not c.gone]
        for container in left:
            self._delete(container, "the worker's pod ended", 10)
        for thread in [t for t in threading.enumerate() if t.name == "delete"]:
            thread.join(timeout=5)
        self._leases.release()

    # ---- what Docker's clients ask

    def version(self) -> dict[str, Any]:
        """Answer as a daemon of API 1.47."""
        return {
            "Platform": {"Name": "Airdock Docker gateway"},
            "Version": "27.5.1-airdock",
            "ApiVersion": API_VERSION,
            "MinAPIVersion": "1.24",
            "Os": "linux",
            "Arch": "amd64" if sys.maxsize > 2**32 else "386",
            "GitCommit": "",
            "GoVersion": "",
            "KernelVersion": "",
            "Experimental": False,
        }

    def images(self, name: str) -> list[dict[str, Any]]:
        """Say that an image is there: the node pulls what it does not have, once the pod is on it."""
        tag = name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"
        return [
            {
                "Id": "sha256:" + "0" * 64,
                "RepoTags": [tag],
                "RepoDigests": [],
                "Created": 0,
                "Size": 0,
                "Labels": {},
            }
        ]

    def pull(self, image: str, registry_auth: str) -> Iterator[Mapping[str, Any]]:
        """Take note that the next container of this image wants a fresh one."""
        policy.check_image(image, self._tasks.images, "tasks.images")
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
                f"there is no pull secret for the registry {host[:200]!r} (tasks.registries has {names}); ask"
                f" the administrator for tasks.registries.{host[:200]}.pullSecret",
            )

    def create(self, request: Create) -> tuple[str, list[str]]:
        """Build the pod and let the API server judge it without making it."""
        container_id = os.urandom(32).hex()
        with self._lock:
            key = _full_name(request.image)
            always = self._always_pull[key] > 0
            self._always_pull[key] -= always
            if not self._always_pull[key]:
                del self._always_pull[key]
        built = pods.build(
            request, container_id, self._settings.owner, self._settings.worker_group, self._tasks,
            always_pull=always, userns=self._user_namespaces(),
        )  # fmt: skip
        self._post(built.manifest, request, START_PATIENCE, dry_run=True)
        container = Container(container_id, request, built)
        with self._lock:
            self._containers[container_id] = container
        return container_id, built.notes

    def start(self, container_id: str) -> bool:
        """Make the pod; its image is pulled later."""
        container = self._find(container_id)
        with container.changed:
            if container.started:
                return False
            container.begun = time.monotonic()
        try:
            pod = self._post(container.built.manifest, container.request, START_PATIENCE)
        except ApiError as error:
            with container.changed:
                container.ended = Ended(None, error.message)
                container.ended_at = time.monotonic()
                container.changed.notify_all()
            # The pod may be there all the same, if only the answer was lost.
            self._delete(container, error.message, 1)
            raise
        with container.changed:
            container.uid = container.uid or pod["metadata"]["uid"]
        if container.fate or container.removed:  # the client left meanwhile
            self._delete(container, container.fate or "removed", 1)
        return True

    def attach(self, container_id: str, options: AttachOptions, upgrade: Callable[[bool], Stream]) -> None:
        """Send the output from the beginning; the client's leaving ends the container."""
        container = self._find(container_id)
        with container.changed:
            container.attached += 1
            # As the daemon: without `logs`, only what is printed from now on.
            nothing = container.ended is not None and not options.logs
        done = threading.Event()

        def hangup() -> None:
            if container.attached == 1 and not done.is_set() and not container.ended:
                log("client-gone", **self._names(container))
                self._delete(container, "the task's process ended", 10)

        try:
            stream = upgrade(container.request.tty)
            stream.on_hangup(hangup)
            if not nothing:
                self._follow(container, stream, options)
        finally:
            done.set()
            with container.changed:
                container.attached -= 1

    def wait(self, container_id: str, condition: str, gone: Callable[[], bool]) -> int:
        """Give the exit code of a container that ended by itself; all other ends are a 500 that says why."""
        container = self._find(container_id)
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
        return ended.code

    def inspect(self, container_id: str) -> dict[str, Any]:
        """Describe a container in Docker's words."""
        container = self._find(container_id)
        with container.changed:
            ended, running = container.ended, container.started and not container.ended
            status = "running" if running else "exited" if ended else "created"
            terminated = main_status(container.pod).get("terminated") or {}
        request = container.request
        return {
            "Id": container.id,
            "Name": "/" + (request.name or container.built.manifest["metadata"]["name"]),
            "Created": _stamp(container.created),
            "Image": request.image,
            "Path": (request.entrypoint or request.cmd or ("",))[0]
            if request.entrypoint or request.cmd
            else "",
            "Args": list(request.cmd or ()),
            "State": {
                "Status": status,
                "Running": bool(running),
                "Paused": False,
                "Restarting": False,
                "OOMKilled": terminated.get("reason") == "OOMKilled",
                "Dead": False,
                "Pid": 0,
                "ExitCode": 0 if ended is None else ended.code if ended.code is not None else 255,
                "Error": ended.message if ended and ended.code is None else "",
                "StartedAt": terminated.get("startedAt") or "0001-01-01T00:00:00Z",
                "FinishedAt": terminated.get("finishedAt") or "0001-01-01T00:00:00Z",
            },
            "Config": {
                "Image": request.image,
                "Tty": request.tty,
                "OpenStdin": False,
                "Cmd": list(request.cmd or ()),
                "Env": [],
                "Labels": dict(request.labels),
                "User": request.user,
                "WorkingDir": request.working_dir,
                "Hostname": request.hostname,
            },
            "HostConfig": {
                "NetworkMode": request.host.network_mode or "default",
                "AutoRemove": request.host.auto_remove,
            },
            "NetworkSettings": {"Networks": {}, "Ports": {}},
            "Mounts": [],
            "RestartCount": 0,
        }

    def stop(self, container_id: str, grace: int | None) -> bool:
        """Delete the pod, in the background.

        Airflow's supervisor kills the task 5 s after it asked it to end.
        """
        container = self._find(container_id)
        with container.changed:
            if container.ended or not container.started:
                return False
        self._delete(
            container,
            "it was stopped",
            int(self._grace(container)) if grace is None else grace,
        )
        return True

    def remove(self, container_id: str, force: bool) -> None:
        """Forget a container and delete its pod."""
        container = self._find(container_id)
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
            self._delete(container, "removed", 1 if running else None)
        with self._lock:
            self._containers.pop(container.id, None)

    def archive(self, container_id: str, path: str) -> Archive:
        """Give the file that the task retrieves."""
        container = self._find(container_id)
        if path != container.built.retrieve:
            raise Disconnect(
                f"{path[:200]!r} cannot be read from an ended container: the label {pods.RETRIEVE} names"
                f" {container.built.retrieve or 'no file'}"
            )
        name = container.built.manifest["metadata"]["name"]
        query = {"container": retrieval.SIDECAR, "follow": "true", "limitBytes": str(2 * retrieval.MAX_BYTES)}
        try:
            stream = self._api.stream(pods_path(self._tasks.namespace, name, "log"), query, timeout=60.0)
            try:
                return retrieval.read(iter(stream.read, b""), path)
            finally:
                stream.release()
        except (ApiStatus, OSError, http.client.HTTPException) as error:
            raise Disconnect(f"the output file {path} could not be read: {error}") from None

    # ---- pods

    def _post(self, manifest: Object, request: Create, patience: float, dry_run: bool = False) -> Object:
        query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        path = pods_path(self._tasks.namespace)
        try:
            return self._api.request("POST", path, query, manifest, patience)
        except ApiStatus as status:
            if status.code == 409 and status.reason == "AlreadyExists":
                # Sent twice, as the first answer was lost; the name holds 48 random bits.
                return self._api.request(
                    "GET", pods_path(self._tasks.namespace, manifest["metadata"]["name"]), patience=patience
                )
            message = status.message
            for mount in request.host.mounts:
                # DockerOperator retries without its temporary directory if an error names that.
                if mount.type == "bind" and mount.source:
                    message = message.replace(mount.source, "(temporary directory)")
            if status.code in (400, 403, 422):
                raise ApiError(
                    status.code if status.code != 422 else 400,
                    f"the cluster refuses the pod: {message}",
                    "cluster",
                ) from None
            raise ApiError(
                503 if status.code in (0, 429, 503) else 500,
                f"the cluster cannot take the pod: {message}",
                "cluster",
            ) from None

    def _delete(self, container: Container, why: str, grace: int | None) -> None:
        """Delete the pod in the background; `grace` None leaves the pod's own."""
        with container.changed:
            container.fate = container.fate or why
            if not container.started:
                container.ended = container.ended or Ended(None, f"the container never ran: {why}")
                container.ended_at = container.ended_at or time.monotonic()
                container.changed.notify_all()
                return
            manifest = container.built.manifest["metadata"]
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if container.uid:
            options["preconditions"] = {"uid": container.uid}

        def work() -> None:
            try:
                self._api.request(
                    "DELETE", pods_path(self._tasks.namespace, manifest["name"]), None, options, 300.0
                )
            except ApiStatus as status:
                if status.code not in (404, 409):
                    log("delete-failed", error=status.message, **self._names(container))

        threading.Thread(target=work, name="delete", daemon=True).start()

    def _user_namespaces(self) -> bool:
        mode = self._tasks.user_namespaces
        if mode != "auto":
            return mode == "on"
        now = time.monotonic()
        if self._userns is None or now - self._userns[0] > 600:
            self._userns = now, self._userns_everywhere()
        return self._userns[1]

    def _userns_everywhere(self) -> bool:
        """Tell whether every node says that it can, and admission lets root pass in a user namespace."""
        try:
            nodes = self._api.request("GET", "/api/v1/nodes").get("items") or []
            able = [
                any(
                    (h.get("features") or {}).get("userNamespaces")
                    for h in n["status"].get("runtimeHandlers") or []
                )
                for n in nodes
            ]
            if not nodes or not all(able):
                return False
            probe = pods.build(
                Create(image="probe"),
                "0" * 64,
                self._settings.owner,
                "",
                self._tasks,
                always_pull=False,
                userns=True,
            ).manifest
            answer = self._api.request("POST", pods_path(self._tasks.namespace), {"dryRun": "All"}, probe)
            return answer["spec"].get("hostUsers") is False
        except (ApiStatus, KeyError, Refusal):
            return False

    # ---- output

    def _follow(self, container: Container, stream: Stream, options: AttachOptions) -> None:
        """Send the whole output, and return once the container has ended."""
        with container.changed:
            while not container.has_output and not container.ended and not container.removed:
                container.changed.wait()
            # Its pod never ran a container: the reason is the answer to `wait`.
            if not container.has_output:
                return
        reader = LineReader()
        delay = 0.1
        while True:
            whole = False
            try:
                whole = self._follow_once(container, stream, reader, options.stream)
                if whole and options.stream:
                    self._read_rest(container, stream, reader)
                delay = 0.1
            except ApiStatus as status:
                if status.code == 404 or status.code == 403:
                    self._lost_output(container, status.message)
                    break
            except http.client.HTTPException:
                whole = False
            if whole or not options.stream:
                break
            with container.changed:
                if container.gone or container.removed:
                    break
                if container.ended and time.monotonic() - container.ended_at > LOG_GRACE:
                    self._lost_output(container, "its node did not hand it out")
                    break
            time.sleep(delay)
            delay = min(delay * 2, 5.0)
            reader.reconnect()
        stream.flush()
        if reader.gap:
            log("output-gap", **self._names(container))
            if container.built.xcom_all:
                self._lost_output(container, "lines are missing in it")

    def _read_rest(self, container: Container, stream: Stream, reader: LineReader) -> None:
        """Read what the runtime wrote after the log stream had ended.

        On a busy node the runtime says that a container has ended before the last of its output, or all of
        it, is in the log, and a stream that was read meanwhile ends in good order without it.
        """
        for wait in (0.0, LATE_OUTPUT):
            before = reader.total
            if wait and before:
                break
            time.sleep(wait)
            reader.reconnect()
            self._follow_once(container, stream, reader, follow=False)
            if reader.total > before:
                log("late-output", bytes=reader.total - before, **self._names(container))

    def _follow_once(self, container: Container, stream: Stream, reader: LineReader, follow: bool) -> bool:
        """Read one log stream; True if it held all that there is."""
        query = {"container": pods.MAIN, "timestamps": "true"}
        if follow:
            query["follow"] = "true"
        if reader.since:
            query["sinceTime"] = reader.since
        path = pods_path(self._tasks.namespace, container.built.manifest["metadata"]["name"], "log")
        log_stream = self._api.stream(path, query, timeout=None)
        container.log = log_stream
        try:
            while True:
                try:
                    data = log_stream.read()
                except OSError as error:
                    raise http.client.HTTPException(str(error)) from None
                if not data:
                    break
                if new := reader.feed(data):
                    stream.write(new)
        finally:
            container.log = None
            log_stream.release()
        # An orderly end may also be that of the kubelet behind the API server.
        with container.changed:
            if not container.ended:
                container.changed.wait_for(lambda: container.ended is not None, timeout=END_AGREES)
            return container.ended is not None

    def _lost_output(self, container: Container, why: str) -> None:
        with container.changed:
            container.output_lost = f"the container ended, but its output was not read whole: {why}"

    # ---- the watch

    def _watch(self) -> None:
        version = ""
        path = pods_path(self._tasks.namespace)
        delay = 0.2
        while not self._closing:
            self._watch_beat = time.monotonic()
            try:
                if not version:
                    answer = self._api.request("GET", path, {"labelSelector": self._selector}, patience=0)
                    self._relist(answer.get("items") or [])
                    version = answer["metadata"]["resourceVersion"]
                    self._synced.set()
                self._watching = ""
                for event in self._api.watch(path, self._selector, version):
                    self._watch_beat = time.monotonic()
                    delay = 0.2
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._observe(event["object"], event["type"] == "DELETED")
                continue
            except ApiStatus as status:
                self._watching = f"pods of {self._tasks.namespace} cannot be watched: {status.message}"
                if status.code == 410 or status.reason == "Expired":
                    version = ""
                    continue
                if status.code:
                    version = ""
            except Exception as error:
                self._watching = f"the watch failed: {error!r}"
                version = ""
                log("watch-failed", error=repr(error))
            time.sleep(delay)
            delay = min(delay * 2, 5.0)

    def _relist(self, items: list[Object]) -> None:
        seen = set()
        for pod in items:
            seen.add(pod["metadata"]["uid"])
            self._observe(pod, False)
        with self._lock:
            lost = [c for c in self._containers.values() if c.uid and c.uid not in seen and not c.gone]
        for container in lost:
            if container.pod:
                self._observe(container.pod, True)

    def _observe(self, pod: Object, deleted: bool) -> None:
        meta = pod["metadata"]
        container_id = (meta.get("annotations") or {}).get(pods.CONTAINER, "")
        with self._lock:
            container = self._containers.get(container_id)
        if container is None:
            if not deleted and container_id and not meta.get("deletionTimestamp"):
                self._adopt(container_id, pod)
            return
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
            self._end(container, judge(container.pod, deleted, container.fate))
            container.changed.notify_all()

    def _end(self, container: Container, ended: Ended | None) -> None:
        """Take note of an end, once. Called with `changed` held."""
        if ended is None or container.ended is not None:
            return
        container.ended, container.ended_at = ended, time.monotonic()
        container.slim()
        container.changed.notify_all()
        self._metrics.ended(
            "infrastructure" if ended.code is None else "success" if ended.code == 0 else "failure"
        )
        log("container-ended", exit_code=ended.code, error=ended.message or None,
            seconds=round(container.ended_at - container.begun, 3), **self._names(container))  # fmt: skip

    def _adopt(self, container_id: str, pod: Object) -> None:
        """Take over a pod that this gateway made before its restart.

        Nobody knows how much of its output was read, so that its end is never an exit code; it is found by
        `remove`, and collected in time.
        """
        meta = pod["metadata"]
        built = pods.Built(
            {"metadata": {"name": meta["name"]}, "spec": {"terminationGracePeriodSeconds": 10}}, [], "", False
        )
        labels = json.loads((meta.get("annotations") or {}).get("airdock.dev/docker-labels", "{}"))
        container = Container(
            container_id, Create(image=pod["spec"]["containers"][0]["image"], labels=labels), built
        )
        container.uid, container.begun, container.pod = meta["uid"], time.monotonic(), pod
        reason = (
            "the Docker gateway was restarted while the container ran, so that part of its output is lost"
        )
        running = judge(pod, False, "") is None
        container.ended, container.ended_at = Ended(None, reason), time.monotonic()
        with self._lock:
            self._containers[container_id] = container
        log("adopted", running=running, **self._names(container))
        if running:
            self._delete(container, reason, 10)

    # ---- what time brings

    def _collect(self) -> None:
        while not self._closing:
            try:
                self._leases.tick()
                self._tick()
            except Exception as error:
                log("collector-failed", error=repr(error))
            time.sleep(_TICK)

    def _tick(self) -> None:
        now = time.monotonic()
        with self._lock:
            containers = list(self._containers.values())
        for container in containers:
            with container.changed:
                if not container.started:
                    if time.time() - container.created > 3600 and not container.attached:
                        self._forget(container)
                    continue
                if container.ended:
                    if container.log and now - container.ended_at > LOG_GRACE:
                        container.log.close()
                    if now - container.ended_at > self._tasks.ttl_seconds and not container.attached:
                        if not container.gone:
                            self._delete(container, "collected", None)
                        self._forget(container)
                    continue
                if container.deleted_at and now - container.deleted_at > DELETE_GRACE + self._grace(
                    container
                ):
                    self._end(
                        container,
                        Ended(None, "the pod was deleted, and its node does not say how its container ended"),
                    )
                    continue
                unseen = container.uid and container.pod is None and now - container.begun > UNSEEN
                reason = trouble(container.pod) if container.pod else None
                if reason is None:
                    container.trouble_since = 0.0
            if unseen:
                self._look_for(container)
            if reason is None:
                continue
            with container.changed:
                container.trouble_since = container.trouble_since or now
                patience = {
                    "now": 0.0,
                    "pull": float(self._tasks.pull_timeout_seconds),
                    "schedule": float(self._tasks.schedule_timeout_seconds),
                }[reason.patience]
                if now - container.trouble_since < patience:
                    continue
                self._end(container, Ended(None, reason.message))
            self._delete(container, reason.message, 1)

    def _look_for(self, container: Container) -> None:
        """Ask for a pod that no watch has shown: it came and went while the watch was broken."""
        try:
            path = pods_path(self._tasks.namespace, container.built.manifest["metadata"]["name"])
            self._observe(self._api.request("GET", path), False)
        except ApiStatus as status:
            if status.code == 404:
                with container.changed:
                    self._end(container, Ended(None, "the pod was deleted before it was seen to run"))

    def _grace(self, container: Container) -> float:
        return float(container.built.manifest["spec"].get(_GRACE, 30))

    def _forget(self, container: Container) -> None:
        with self._lock:
            self._containers.pop(container.id, None)

    def _find(self, wanted: str) -> Container:
        with self._lock:
            found = self._containers.get(wanted)
            if found is None:
                matches = [
                    c
                    for c in self._containers.values()
                    if wanted and (c.id.startswith(wanted) or c.request.name == wanted)
                ]
                found = matches[0] if len(matches) == 1 else None
        if found is None:
            raise ApiError(404, f"No such container: {wanted[:80]}", "not-found")
        return found

    def _names(self, container: Container) -> dict[str, Any]:
        labels = container.request.labels
        return {
            "container": container.id[:12],
            "pod": container.built.manifest["metadata"]["name"],
            "dag": labels.get(pods.DAG),
            "task": labels.get(pods.TASK),
        }

    def _states(self) -> dict[str, float]:
        with self._lock:
            containers = list(self._containers.values())
        states: Counter[str] = Counter()
        for c in containers:
            states[
                "exited" if c.ended else "running" if c.running else "pending" if c.started else "created"
            ] += 1
        return dict(states)


def _full_name(image: str) -> str:
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
