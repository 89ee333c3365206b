"""The ends of containers, as the daemon's events tell them.

A daemon that goes down ends its containers in good order, and answers with their exit codes, 0 for those that
exit 0 on SIGTERM. Its events show the difference: it says `kill` before `die`.
"""

from __future__ import annotations

import http.client
import json
import threading
import time

from .backend import ApiError
from .containers import Containers
from .daemon_api import DaemonApi
from .daemon_container import Container
from .labels import OWNER
from .loops import Loop

_EVENTS = ["start", "kill", "oom", "stop", "die", "destroy"]
#: Seconds until the events are asked for again.
PAUSE = 0.5


class Watch:
    """Listens to the events of this gateway's containers, for as long as the daemon lives."""

    def __init__(self, api: DaemonApi, owner: str, containers: Containers[Container]) -> None:
        self._api, self._owner, self._containers = api, owner, containers
        #: Set while events are heard.
        self.listening = threading.Event()
        # A daemon is silent while nothing happens, and its end ends the connection.
        self.loop = Loop("listen", self._step, lambda: PAUSE, silence=float("inf"))

    def _step(self) -> None:
        """Listen for as long as the daemon lets it."""
        filters = json.dumps({"label": [f"{OWNER}={self._owner}"], "event": _EVENTS})
        try:
            query = {"since": str(int(time.time()) - 1), "filters": filters}
            connection, response = self._api.open("GET", "/events", query, timeout=None)
            try:
                self.listening.set()
                for line in iter(response.readline, b""):
                    self._hear(line)
            finally:
                self.listening.clear()
                connection.close()
        except (ApiError, OSError, ValueError, http.client.HTTPException):
            pass
        finally:
            if not self.loop.closing:
                self._lose_all("the node's Docker daemon became unavailable while the container ran")

    def why_lost(self, container: Container) -> str:
        """Tell why an exit code is not the container's own; empty if it is."""
        if not container.died.wait(10):
            return "the Docker daemon did not report the end of the container"
        return container.lost

    def _hear(self, line: bytes) -> None:
        event = json.loads(line)
        actor, action = event.get("Actor") or {}, str(event.get("Action"))
        container = self._containers.get(actor.get("ID", ""))
        if container is None:
            return
        if action != "destroy" or self._containers.forget(container):
            attributes = actor.get("Attributes") or {}
            more = {key: str(attributes[key]) for key in ("exitCode", "signal") if key in attributes}
            container.tell(action, **more)
        if container.died.is_set():
            return
        if action == "die":
            container.ended_at = container.ended_at or time.monotonic()
            container.died.set()
        elif action != "kill":
            return
        elif container.kills:
            container.kills -= 1
        elif not container.fate:
            container.lost = (
                "something else than this task stopped the container, or the node's Docker daemon stopped"
            )

    def _lose_all(self, why: str) -> None:
        for container in self._containers.all():
            if not container.begun or container.died.is_set():
                continue
            container.lost, container.ended_at = why, time.monotonic()
            container.died.set()
            # A daemon with live-restore would let it run on, with nobody to read its output.
            container.end(self._api, 10, why)
