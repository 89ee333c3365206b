"""Backend `cluster`: containers as pods of the task namespace.

A container is a pod from `start` on. One watch over this gateway's pods tells how they fare; each attached
client's thread follows one log. What the cluster does to a pod (deletes, evicts, cannot place it) is never an
exit code.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import cluster_manifest, cluster_remarks, listing, references
from .api_versions import API
from .backend import (
    ApiError,
    Archive,
    AttachOptions,
    Disconnect,
    EventOptions,
    Exit,
    ListOptions,
    LogOptions,
    Refusal,
    Stream,
)
from .cluster_admission import Admission
from .cluster_api import KubernetesApi
from .cluster_cleanup import Cleanup
from .cluster_container import Container, image_id
from .cluster_creation import Creation
from .cluster_fence import Fence
from .cluster_input import Input, Inputs
from .cluster_judgement import STOPPED
from .cluster_leases import Leases
from .cluster_logs import Logs
from .cluster_output import Output
from .cluster_pods import Pods
from .cluster_removal import Removal
from .cluster_replacement import Replacement
from .cluster_retrieval import Retrieval
from .cluster_room import Room
from .cluster_users import Users
from .cluster_waiting import Waiting
from .cluster_watch import Watch
from .containers import Attachment, Containers
from .events import Events
from .health import Metrics, log
from .labels import RETRIEVE
from .model import Create
from .settings import Settings

#: Seconds that `close` may take.
_CLOSE = 15.0
#: Seconds beyond its grace after which `stop` no longer waits for a container's end.
_STOP = 30.0
#: Names of pulled images that are remembered.
_PULLED = 1000


class Cluster:
    """Implements backend.Backend."""

    def __init__(self, settings: Settings, metrics: Metrics, api: KubernetesApi | None = None) -> None:
        self._settings, self._tasks = settings, settings.tasks
        self._api = api or KubernetesApi(settings.kubernetes)
        self.containers: Containers[Container] = Containers()
        self._room = Room(self.containers)
        self._lock = threading.Lock()
        self._always_pull: Counter[str] = Counter()
        self._pulled: deque[str] = deque(maxlen=_PULLED)
        self._events = Events()
        self._pods = Pods(self._api, settings.tasks.namespace)
        self._removal = Removal(self._pods, self.containers)
        self._inputs = Inputs(self._api, self._pods, settings.tasks)
        waiting = Waiting(self._api, settings.tasks)
        self._creation = Creation(self._pods, waiting, self.containers, metrics)
        users = Users(settings.tasks)
        self._admission = Admission(self._pods, users, settings)
        self._replacement = Replacement(self._pods, self._admission, self._creation, users, metrics)
        self._watch = Watch(
            self._api, self._pods, settings, self.containers, self._replacement, self._removal, metrics
        )  # fmt: skip
        self._leases = Leases(self._api, settings)
        self._retrieval = Retrieval(self._api, settings.tasks)
        self._cleanup = Cleanup(
            self._pods, waiting, self._watch, self._leases, self._replacement, self._removal, settings,
            self.containers, metrics,
        )  # fmt: skip
        self._fence = Fence(self._api, settings.tasks, metrics)
        metrics.gauge("containers", "Containers by state.", lambda: self.containers.states(lambda c: c.state))
        metrics.counter("kubernetes_requests_total", "Requests to Kubernetes.", lambda: self._api.requests)

    # ---- life of the backend

    def run(self) -> None:
        """Start watching and collecting."""
        self._watch.loop.start()
        self._cleanup.loop.start()
        self._creation.loop.start()
        self._fence.start()

    def ready(self) -> str:
        """Empty when pods can be created and watched, and another gateway would delete what this one left."""
        return self._watch.ready() or self._leases.ready() or self.containers.unended()

    def alive(self) -> str:
        """Empty unless a thread hangs or has ended."""
        loops = (self._watch.loop, self._cleanup.loop, self._creation.loop)
        return next(filter(None, (loop.problem() for loop in loops)), "")

    def close(self) -> None:
        """Delete all pods, those that have ended too: nobody could see them any more."""
        self._watch.loop.closing = self._cleanup.loop.closing = True
        deadline = time.monotonic() + _CLOSE
        answered = self._creation.close(_CLOSE / 2)
        left = [c for c in self.containers.all() if c.started and not c.gone]
        for container in left:
            self._pods.delete(container, "the worker's pod ended", 10)
            while not container.end_due and not container.gone and time.monotonic() < deadline:
                time.sleep(0.1)
                self._pods.delete(container, "the worker's pod ended", 10)
        self._replacement.finish(max(deadline - time.monotonic(), 0.0))
        self._pods.deletions.finish(max(deadline - time.monotonic(), 0.0))
        # A pod may still come of a request that nobody has answered: another gateway is to see to it.
        if answered and all((c.uid or c.gone) and not c.replacing for c in left):
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

    def info(self) -> dict[str, Any]:
        """Answer for this gateway's own containers."""
        entries = [each.entry() for each in self.containers.shown()]
        version = self.version()
        return listing.info(
            entries, len(self._known_images()), ServerVersion=version["Version"], Architecture=version["Arch"]
        )

    def events(self, options: EventOptions, gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Give the events of this gateway's own containers."""
        return self._events.read(options, gone)

    def images(self, name: str) -> list[dict[str, Any]]:
        """Say that an image is there: the node pulls what it does not have, once the pod is on it."""
        names = [name] if name else sorted(self._known_images())
        return [
            {
                "Id": image_id(each),
                "RepoTags": [references.familiar(each)],
                "RepoDigests": [],
                "Created": 0,
                "Size": 0,
                "Labels": {},
            }
            for each in names
        ]

    def image(self, name: str) -> dict[str, Any]:
        """Describe an image that was used or pulled here, as far as it is known without its node."""
        for each in self._known_images():
            if listing.same_image(each, image_id(each), name):
                (found,) = self.images(each)
                return {
                    **found, "Created": "0001-01-01T00:00:00Z", "Os": "linux",
                    "Architecture": self.version()["Arch"], "Config": {},
                    "Comment": "only the node that runs a container knows more of its image",
                }  # fmt: skip
        raise ApiError(
            404, f"No such image: {name[:200]}; nodes pull images when a container starts", "not-found"
        )

    def _known_images(self) -> set[str]:
        used = (each.request.image for each in self.containers.shown())
        return {references.full(each) for each in (*used, *tuple(self._pulled)) if each}

    def pull(self, image: str, registry_auth: str) -> Iterator[Mapping[str, Any]]:
        """Take note that the next container of this image wants a fresh one."""
        cluster_manifest.check_image(image, self._tasks)
        name = references.full(image)
        with self._lock:
            if len(self._always_pull) < 10_000:
                self._always_pull[name] += 1
            if name not in self._pulled:
                self._pulled.append(name)
        status = (
            f"{image} was neither pulled nor looked for: nodes pull images when a container starts, and a"
            " name that no registry has fails there"
        )
        return iter(({"status": status},))

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
        with self._room:
            fresh = self._wants_fresh(request.image)
            way, built = self._admission.prepare(request, container_id, fresh)
            name, grace = built.manifest["metadata"]["name"], cluster_manifest.grace(request)
            container = Container(
                container_id, request, name, grace, built.manifest, built.size, way, fresh, built.retrieve,
                built.xcom_all, events=self._events, notes=built.notes,
            )  # fmt: skip
            self._room.add(container)
        container.tell("create")
        return container_id, built.notes

    def _wants_fresh(self, image: str) -> bool:
        """Tell whether the image was pulled before, once for each pull."""
        key = references.full(image)
        with self._lock:
            wanted = self._always_pull[key] > 0
            self._always_pull[key] -= wanted
            if not self._always_pull[key]:
                del self._always_pull[key]
        return wanted

    def start(self, container_id: str) -> bool:
        """Create the pod, now or once there is room for it; its image is pulled later."""
        container = self.containers.find(container_id)
        with container.changed:
            if container.started:
                return False
            if container.fate:
                raise ApiError(409, f"the container never ran: {container.fate}", "left")
            container.begun = time.monotonic()
        try:
            self._creation.begin(container)
        except ApiError as error:
            with container.changed:
                container.never_ran(error.message)
            # The pod may be there all the same, if only the answer was lost.
            self._pods.delete(container, error.message, 1)
            raise
        container.tell("start")
        return True

    def attach(self, container_id: str, options: AttachOptions, upgrade: Callable[[bool], Stream]) -> None:
        """Send the output from the beginning, and the client's input; its leaving ends the container."""
        container = self.containers.find(container_id)
        # As the daemon: a container without open input gets none.
        sends = options.stdin and options.stream and container.request.open_stdin
        # A daemon looks for the keys in the input of a terminal alone.
        if sends and container.request.tty and options.detach_keys:
            raise ApiError(501, "detachKeys: a pod gets every key of the input; leave it out", "endpoint")
        with self._inputs.slot() if sends else contextlib.nullcontext():
            if options.stdout or options.stderr:
                self._attach(container, options, upgrade, sends)
            else:
                self._send(container, upgrade, sends)

    def _send(self, container: Container, upgrade: Callable[[bool], Stream], sends: bool) -> None:
        """Send a client's input, and return at its end. As with the daemon, the container goes on."""
        stream = upgrade(container.request.tty)
        if sends:
            self._inputs.of(container, stream).run()
            self._removal.look_at(container)

    def _attach(
        self, container: Container, options: AttachOptions, upgrade: Callable[[bool], Stream], sends: bool
    ) -> None:
        sending: Input | None = None
        with container.changed:
            attachment = Attachment(container, container.changed)
            # As the daemon: without `logs`, only what is printed from now on.
            nothing = container.ended is not None and not options.logs
        stream: Stream | None = None

        def leave() -> None:
            """End the container if the last of its clients has left."""
            if attachment.leave() and not container.ended:
                log("client-gone", **container.names())
                self._pods.delete(container, "the task's process ended", 10)

        try:
            stream = upgrade(container.request.tty)
            stream.on_hangup(leave)
            if sends:
                sending = self._inputs.of(container, stream)
                sending.start()
            if not nothing:
                Output(self._api, self._tasks, container, stream).send(options.stream)
        except BaseException as error:
            # A client that left knows that it did. To one that is cut off this looks like the output's end.
            if stream and not stream.hung_up():
                container.lost_output(f"the connection to a client broke ({error!r})")
            leave()
            raise
        finally:
            if sending:
                sending.finish()
            attachment.leave()
            self._removal.look_at(container)

    def logs(self, container_id: str, options: LogOptions, begin: Callable[[bool], Stream]) -> None:
        """Send what was printed; both streams come as the one that is asked for."""
        container = self.containers.find(container_id)
        if container.gone:
            raise ApiError(
                500, "the output was deleted with the pod: read it before the container is stopped", "gone"
            )
        with container.changed:
            container.readers += 1
        try:
            stream = begin(container.request.tty)
            Logs(self._api, self._tasks, container, options, stream).run()
        finally:
            with container.changed:
                container.readers -= 1
            self._removal.look_at(container)

    def list_containers(self, options: ListOptions) -> list[dict[str, Any]]:
        """List this gateway's own containers."""
        return listing.select((each.entry() for each in self.containers.shown()), options)

    def wait(
        self, container_id: str, condition: str, gone: Callable[[], bool], begun: Callable[[], None]
    ) -> Exit:
        """Give the exit code of a container that ended by itself; all other ends are a 500 that says why."""
        container = self.containers.find(container_id)
        begun()
        with container.changed:
            while not self._over(container) or (condition == "removed" and not container.removed):
                container.changed.wait(timeout=5)
                if gone():
                    raise Disconnect("the client of wait left")
            ended = container.ended
        assert ended
        if ended.code is None:
            raise ApiError(500, ended.message, "infrastructure")
        if container.input_lost:
            raise ApiError(500, f"the container ended, but {container.input_lost}", "input-lost")
        if container.output_lost:
            raise ApiError(500, container.output_lost, "output-lost")
        if ended.code == 0 and container.retrieve:
            self._fetch(container)
        return Exit(ended.code, ended.message or cluster_remarks.memory(container))

    @staticmethod
    def _over(container: Container) -> bool:
        """Tell whether it has ended, and what became of its input is known."""
        return bool(container.ended and not container.inputs)

    def _fetch(self, container: Container) -> None:
        """Begin to read the file that the task retrieves, while an error can still say why it cannot be."""
        try:
            container.result = container.result or self._retrieval.open(container)
        except Disconnect as error:
            raise ApiError(500, f"retrieve_output: {error}", "output") from None
        except ApiError as error:
            if error.status != 404:
                raise

    def inspect(self, container_id: str) -> dict[str, Any]:
        """Describe a container."""
        return self.containers.find(container_id).describe()

    def stop(self, container_id: str, grace: int | None, gone: Callable[[], bool]) -> bool:
        """Delete the pod, and wait until its container has ended, which it also does if the client leaves."""
        container = self.containers.find(container_id)
        with container.changed:
            if container.ended or not container.started:
                return False
        seconds = container.grace if grace is None else grace
        self._end(container, STOPPED, seconds, gone)
        return True

    def kill(self, container_id: str, signal: str) -> None:
        """End a container: a pod gets SIGTERM and SIGKILL, and no other signal."""
        container = self.containers.find(container_id)
        with container.changed:
            if container.ended or not container.started:
                raise ApiError(409, f"container {container.id[:12]} is not running", "state")
        if signal not in ("KILL", "TERM", "INT", "QUIT", "HUP"):
            raise ApiError(
                501, f"a pod cannot be sent SIG{signal}; SIGTERM and SIGKILL end the container", "endpoint"
            )
        self._end(container, f"it was killed (SIG{signal})", 1 if signal == "KILL" else container.grace, bool)

    def _end(self, container: Container, why: str, grace: int, gone: Callable[[], bool]) -> None:
        self._pods.delete(container, why, grace)
        container.tell("kill")
        deadline = time.monotonic() + grace + _STOP
        with container.changed:
            while not container.ended:
                if time.monotonic() > deadline:
                    raise ApiError(500, "the container is being ended, and has not ended yet", "slow")
                container.changed.wait(timeout=1)
                if gone():
                    raise Disconnect("the client of stop left")

    def resize(self, container_id: str, height: int, width: int) -> None:
        """Set the size of a terminal, with which only those who send input to a pod are connected."""
        container = self.containers.find(container_id)
        with container.changed:
            if not (container.request.tty and container.inputs):
                raise ApiError(
                    501,
                    "the size of a pod's terminal can be set only with input attached (-it)",
                    "endpoint",
                )
            container.terminal = height, width
            container.wake_inputs()

    def remove(self, container_id: str, force: bool) -> None:
        """Forget a container and delete its pod."""
        self._removal.remove(self.containers.find(container_id), force)

    def archive(self, container_id: str, path: str) -> Archive:
        """Give the file that the task retrieves."""
        container = self.containers.find(container_id)
        if path != container.retrieve:
            raise Disconnect(
                f"{path[:200]!r} cannot be read from an ended container: the label {RETRIEVE} names"
                f" {container.retrieve or 'no file'}"
            )
        return (container.take_result() or self._retrieval.open(container)).archive
