"""What time brings to the daemon backend: whether the daemon answers, and what is collected."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path

from .backend import ApiError
from .containers import Containers
from .daemon_api import DaemonApi, quietly
from .daemon_container import Container
from .daemon_leases import Leases
from .daemon_names import Names, read_labels
from .health import log
from .labels import IMAGE, OWNER
from .loops import Loop
from .settings import Settings

#: Seconds between two looks.
TICK = 5.0


class Cleanup:
    """Looks at the daemon every few seconds, and removes what has ended."""

    def __init__(self, api: DaemonApi, settings: Settings, containers: Containers[Container]) -> None:
        self._api, self._owner, self._containers = api, settings.owner, containers
        self._socket, self._ttl = Path(settings.daemon.socket), settings.daemon.ttl_seconds
        self._leases = Leases(api, settings.owner, settings.daemon.lease_seconds)
        self._names = Names(settings.owner)
        #: Empty while the daemon answers, else why not.
        self.problem = "the daemon has not answered yet"
        self._problem_since = time.monotonic()
        self._adopted = False
        self.loop = Loop("collect", self._step, lambda: TICK)

    def _step(self) -> None:
        try:
            self._api.call("GET", "/_ping", raw=True, timeout=10.0)
            if not self._adopted:
                self._adopt()
                self._adopted = True
            self.problem = ""
            self._collect(time.monotonic())
        except ApiError as error:
            if not self.problem:
                self._problem_since = time.monotonic()
            self.problem = error.message

    def alive(self) -> str:
        """Tell of a daemon that has been unavailable for a minute.

        A daemon that was restarted has a new socket; the mount in this container still shows the old one, and
        only a restart of the container brings the new one.
        """
        if not self.problem or self.loop.problem():
            return self.loop.problem()
        try:
            # Mounted here, a socket that the daemon has deleted is still there, without a name elsewhere.
            stale = self._socket.stat().st_nlink == 0
        except OSError:
            stale = False
        if stale:
            return "the Docker daemon has created a new socket, and this container still has the old one"
        return self.problem if time.monotonic() - self._problem_since > 60 else ""

    def remove_all(self, seconds: float) -> None:
        """Remove all containers, some at a time, and say that this gateway has ended."""
        left, deadline = self._containers.all(), time.monotonic() + seconds

        def work() -> None:
            with contextlib.suppress(IndexError):
                while time.monotonic() < deadline:
                    quietly(self._api.destroy, left.pop().id)

        threads = [threading.Thread(target=work, name="remove", daemon=True) for _ in range(32)]
        for each in threads[: len(left)]:
            each.start()
        for each in threads:
            if each.ident:
                each.join(max(deadline - time.monotonic(), 0.0))
        self._leases.release()

    def _adopt(self) -> None:
        """End what ran before this process was restarted: its output went nowhere."""
        filters = json.dumps({"label": [f"{OWNER}={self._owner}"]})
        for each in self._api.call("GET", "/containers/json", {"all": "1", "filters": filters}):
            name = (each.get("Names") or ["/"])[0][1:]
            labels = each.get("Labels") or {}
            container = Container(
                each["Id"],
                self._names.read(name),
                read_labels(labels, {}),
                image=labels.get(IMAGE, ""),
                adopted=True,
            )
            container.ended_at = time.monotonic()
            if self._containers.add(container):
                log("adopted", **container.names())
                container.end(self._api, 10, "the Docker gateway was restarted")

    def _collect(self, now: float) -> None:
        for each in self._containers.all():
            self.loop.beat()
            if each.fate and now >= each.end_due:
                each.end(self._api, 1, each.fate)
            # One that was never started is collected too.
            since = each.ended_at or (each.created if not each.begun else now)
            if now - since > self._ttl and not each.attached:
                quietly(self._api.destroy, each.id)
                self._containers.forget(each)
        self._leases.tick(now)
