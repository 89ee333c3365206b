"""Backend `daemon`: the node's Docker daemon, of which a client sees only the containers that it created.

Nothing of a request is passed on: after the policy, a new one is written from the model's fields. Containers
carry the owner's label; what a crash leaves is swept by that label.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import daemon_images, daemon_inspect, daemon_output, listing
from .api_versions import API, spoken_with
from .backend import (
    ApiError,
    Archive,
    AttachOptions,
    Disconnect,
    EventOptions,
    Exit,
    ListOptions,
    LogOptions,
    Stream,
)
from .containers import Containers
from .daemon_api import DaemonApi
from .daemon_body import BodyWriter
from .daemon_cgroup import CgroupParent
from .daemon_cleanup import TICK, Cleanup
from .daemon_container import Container
from .daemon_names import Names
from .daemon_room import Room
from .daemon_storage import Storage
from .daemon_watch import Watch
from .events import Events
from .health import Metrics, log
from .labels import DAG, OWNER
from .listing import Entry
from .model import BadBody, Create
from .references import registry_of
from .settings import Settings

#: Seconds beyond its grace after which `stop` no longer waits for a container's end.
_STOP = 30.0


class Daemon:
    """Implements backend.Backend."""

    def __init__(self, settings: Settings, metrics: Metrics, api: DaemonApi | None = None) -> None:
        self._metrics = metrics
        self._api = api or DaemonApi(settings.daemon.socket)
        self.containers: Containers[Container] = Containers()
        parent = CgroupParent(self._api, settings.daemon.cgroup_parent)
        self._body = BodyWriter(settings, parent, parent.auto)
        self._memory_key = f"{self._body.values}.limits.memory"
        self._images = daemon_images.Images(settings.daemon, self._body.values)
        self._names, self._owner = Names(settings.owner), settings.owner
        self._api.clean = self._names.without
        self._events = Events()
        self._room = Room(self._api, self.containers, self._body.limits, settings.daemon.containers)
        self.watch = Watch(self._api, settings.owner, self.containers)
        self._cleanup = Cleanup(self._api, settings, self.containers)
        self._storage = Storage(self._api, settings, self.containers)
        metrics.gauge("containers", "Containers by state.", lambda: self.containers.states(lambda c: c.state))

    # ---- life of the backend

    def run(self) -> None:
        """Find what a former life left, and start collecting and listening."""
        self._cleanup.loop.start()
        self.watch.loop.start()
        self._storage.loop.start()

    def ready(self) -> str:
        """Empty when the daemon answers."""
        return self._cleanup.problem or self.containers.unended()

    def alive(self) -> str:
        """Empty unless the daemon has been unavailable for long."""
        return self.watch.loop.problem() or self._storage.loop.problem() or self._cleanup.alive()

    def close(self) -> None:
        """Remove all containers: nobody could see them any more."""
        for loop in (self._cleanup.loop, self.watch.loop, self._storage.loop):
            loop.closing = True
        self._cleanup.remove_all(20.0)

    # ---- what Docker's clients ask

    def version(self) -> dict[str, Any]:
        """Answer with the daemon's version, and an API that both sides speak."""
        found = self._api.call("GET", "/version", versioned=False)
        keep = {key: found[key] for key in ("Version", "Os", "Arch", "KernelVersion") if key in found}
        return {
            "Platform": {"Name": "Airdock Docker gateway"},
            **keep,
            "GitCommit": "",
            "GoVersion": "",
            "ApiVersion": str(spoken_with(found.get("ApiVersion", str(API.advertised)))),
            "MinAPIVersion": str(API.oldest),
        }

    def info(self) -> dict[str, Any]:
        """Answer for this gateway's own containers, with what any container can read of its node."""
        found = self._api.call("GET", "/info")
        keys = ("ServerVersion", "Architecture", "NCPU", "MemTotal", "KernelVersion", "CgroupDriver",
                "CgroupVersion")  # fmt: skip
        known = {key: found[key] for key in keys if key in found}
        return listing.info(self._entries(), len(self.images("")), **known)

    def events(self, options: EventOptions, gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Give the events of this gateway's own containers."""
        return self._events.read(options, gone)

    def images(self, name: str) -> list[dict[str, Any]]:
        """List one image, or those that were used here."""
        return self._images.listed(self._api, name)

    def image(self, name: str) -> dict[str, Any]:
        """Describe an image."""
        own = {each.image_id for each in self.containers.all()}
        return self._images.describe(self._api, name, own)

    def pull(self, image: str, registry_auth: str) -> Iterator[Mapping[str, Any]]:
        """Pull one image, with credentials of known fields."""
        known = self._images.check_pull(image)
        self._images.use(image)
        told = self._images.trusts(known.registry)
        return self._timed(daemon_images.pull(self._api, known, registry_auth, told))

    def _timed(self, messages: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        begun = time.monotonic()
        yield from messages
        self._metrics.phase_seconds("pull", time.monotonic() - begun)

    def login(self, registry: str, body: Mapping[str, str]) -> None:
        """Take credentials for a registry that the values name; they are tried when something is pulled.

        The daemon would fetch what the server says, from the node's network, and tell what it got.
        """
        unknown = body.keys() - daemon_images.AUTH
        if unknown:
            raise BadBody(f"{min(unknown)[:80]!r} is not a field that this gateway knows; remove it")
        self._images.check_registry("docker_conn_id", registry_of(registry))

    def create(self, request: Create) -> tuple[str, list[str]]:
        """Create a container from known fields."""
        checked = self._body.check(request)
        name = self._images.check(request.image)
        query = {"name": self._names.written(request.name)} if request.name else {}
        with self._room:
            image = daemon_images.look(self._api, name)
            body = self._body.write(checked, image)
            try:
                answer = self._api.call("POST", "/containers/create", query, body)
            except ApiError as error:
                raise self._body.explained(error) from None
            container = Container(
                answer["Id"], request.name, request.labels, request.tty, request.image, image.labels,
                image.id, auto_remove=request.host.auto_remove, memory=request.host.memory,
                events=self._events,
            )  # fmt: skip
            self.containers.add(container)
        self._images.use(request.image)
        container.tell("create")
        return container.id, list(answer.get("Warnings") or [])

    def start(self, container_id: str) -> bool:
        """Start it, once its end can be heard of."""
        container = self.containers.find(container_id)
        if not self.watch.listening.wait(TICK):
            problem = self._cleanup.problem or "the node's Docker daemon does not report its events"
            raise ApiError(503, problem, "daemon")
        if container.fate and not container.begun:
            raise ApiError(409, f"the container never ran: {container.fate}", "left")
        first = not container.begun
        begun = container.begun = container.begun or time.monotonic()
        try:
            started = bool(self._api.call("POST", f"/containers/{container.id}/start") != {"status": 304})
        except ApiError as error:
            if first and error.status != 503:
                container.begun = 0.0
            raise
        if container.fate:  # the client left in the meantime
            container.end(self._api, 1, container.fate)
        if first:
            self._metrics.start_seconds(time.monotonic() - begun)
        return started

    def attach(self, container_id: str, options: AttachOptions, upgrade: Callable[[bool], Stream]) -> None:
        """Pass the output on until the container ends."""
        container = self.containers.find(container_id)
        daemon_output.attach(self._api, container, options, upgrade, self._memory_key)

    def logs(self, container_id: str, options: LogOptions, begin: Callable[[bool], Stream]) -> None:
        """Pass on what was printed."""
        daemon_output.logs(self._api, self.containers.find(container_id), options, begin)

    def list_containers(self, options: ListOptions) -> list[dict[str, Any]]:
        """List this gateway's own containers."""
        return listing.select(self._entries(), options)

    def _entries(self) -> list[Entry]:
        """Give what the daemon says of the containers that are known here; the filter is our own label."""
        filters = json.dumps({"label": [f"{OWNER}={self._owner}"]})
        found = self._api.call("GET", "/containers/json", {"all": "1", "filters": filters})
        known = {each.id: each for each in self.containers.shown()}
        return [
            daemon_inspect.entry(each, known[each["Id"]], self._names)
            for each in found
            if each.get("Id") in known
        ]

    def wait(
        self, container_id: str, condition: str, gone: Callable[[], bool], begun: Callable[[], None]
    ) -> Exit:
        """Wait with the daemon, which may take any time."""
        container = self.containers.find(container_id)
        if container.adopted:
            raise ApiError(500, "the Docker gateway was restarted while the container ran", "infrastructure")
        code, reason = None, ""
        try:
            opened = self._api.open(
                "POST", f"/containers/{container.id}/wait", {"condition": condition}, timeout=None
            )
            begun()
            answer = self._api.finish(*opened)
            code = int(answer["StatusCode"])
            reason = (answer.get("Error") or {}).get("Message", "") or self.watch.why_lost(container)
        except ApiError as error:
            if error.status == 404:
                raise
            reason = f"the Docker daemon does not report how the container ended: {error.message}"
        container.ended_at = time.monotonic()
        if not container.reported:
            container.reported = True
            seconds = round(container.ended_at - (container.begun or container.ended_at), 3)
            outcome = "infrastructure" if reason else "failure" if code else "success"
            self._metrics.ended(outcome, container.labels.get(DAG))
            self._metrics.phase_seconds("run", seconds)
            log("container-ended", exit_code=None if reason else code, error=reason or None, seconds=seconds,
                **container.names())  # fmt: skip
        if reason or code is None:
            raise ApiError(500, self._names.without(reason), "infrastructure")
        return Exit(code, daemon_output.memory(self._api, container, self._memory_key) if code else "")

    def inspect(self, container_id: str) -> dict[str, Any]:
        """Describe it, without what tells about the node."""
        container = self.containers.find(container_id)
        found = self._api.call("GET", f"/containers/{container.id}/json")
        return daemon_inspect.describe(found, container, self._names)

    def stop(self, container_id: str, grace: int | None, gone: Callable[[], bool]) -> bool:
        """Stop it, and wait until it has ended, which it also does if the client leaves."""
        container = self.containers.find(container_id)
        if container.died.is_set() or not container.begun:
            return False
        seconds = self._body.limits.stop_seconds(grace)
        seconds = 10 if seconds is None else seconds
        container.end(self._api, seconds, "it was stopped")
        deadline = time.monotonic() + seconds + _STOP
        while not (math.isinf(container.end_due) or container.died.wait(0.2)):
            if time.monotonic() > deadline:
                raise ApiError(500, "the container is being ended, and has not ended yet", "slow")
            if gone():
                raise Disconnect("the client of stop left")
        return True

    def kill(self, container_id: str, signal: str) -> None:
        """Send it a signal. Its end is then its own, as it is on a plain daemon."""
        container = self.containers.find(container_id)
        with container.lock:
            container.kills += 1
        try:
            self._api.call("POST", f"/containers/{container.id}/kill", {"signal": f"SIG{signal}"})
        except ApiError:
            with container.lock:
                container.kills -= 1
            raise

    def resize(self, container_id: str, height: int, width: int) -> None:
        """Set the size of its terminal."""
        container = self.containers.find(container_id)
        query = {"h": str(height), "w": str(width)}
        self._api.call("POST", f"/containers/{container.id}/resize", query, raw=True)

    def remove(self, container_id: str, force: bool) -> None:
        """Remove it with its anonymous volumes."""
        container = self.containers.find(container_id)
        if force:
            container.fate = container.fate or "it was removed"
        self._api.call("DELETE", f"/containers/{container.id}", {"force": str(int(force)), "v": "1"})
        # For those who wait for it: only the containers that are known here are told how they ended.
        if container.begun:
            container.died.wait(2)
        if self.containers.forget(container):
            container.tell("destroy")

    def archive(self, container_id: str, path: str) -> Archive:
        """Pass on a file of the container as it comes."""
        return daemon_output.archive(self._api, self.containers.find(container_id), path)
