"""Containers that have not begun: what they wait for is in their logs, and has a limit."""

from __future__ import annotations

import time

from .cluster_api import ApiStatus, KubernetesApi
from .cluster_container import Container
from .cluster_judgement import MOUNTS, Trouble, trouble
from .settings import Tasks

#: Seconds after which a container's log says what it waits for: most begin before, and say nothing.
QUIET = 10.0
#: Lines about waiting in one log.
_LINES = 20


class Waiting:
    """Looks at one container at a time."""

    def __init__(self, api: KubernetesApi, tasks: Tasks) -> None:
        self._api, self._namespace = api, tasks.namespace
        self._limits = {
            "now": 0,
            "scheduleSeconds": tasks.schedule_timeout_seconds,
            "mountSeconds": tasks.mount_timeout_seconds,
            "pullSeconds": tasks.pull_timeout_seconds,
            "createSeconds": tasks.create_timeout_seconds,
        }

    def look_at(self, container: Container) -> str:
        """Note what a container waits for; gives why it has waited for too long, empty if it may go on."""
        found = container.delayed or (trouble(container.pod) if container.pod else None)
        if found and found.events:
            found = self._explained(container, found)
        now = time.monotonic()
        with container.changed:
            container.trouble = found.message if found and found.patience == "createSeconds" else ""
            if found is None:
                container.waits_for = ""
                return ""
            if container.waits_for != found.patience or not container.waits_since:
                container.waits_for, container.waits_since = found.patience, now
            limit = self._limits.get(found.patience)
            if limit is not None and now - container.waits_since >= limit:
                return found.message
            if now - container.begun >= QUIET:
                key = f"; the task fails after {limit} s (tasks.timeouts.{found.patience})" if limit else ""
                self._say(container, f"Waiting: {found.message}{key}")
        return ""

    def over(self, found: Trouble) -> str:
        """Say that something lasted for too long."""
        limit = self._limits[found.patience]
        return f"{found.message}; this lasted for more than {limit} s (tasks.timeouts.{found.patience})"

    def _say(self, container: Container, line: str) -> None:
        if line not in container.waiting and len(container.waiting) < _LINES:
            container.waiting.append(line)
            container.changed.notify_all()

    def _explained(self, container: Container, found: Trouble) -> Trouble:
        """Add the last event that says more, and its limit."""
        query = {"fieldSelector": f"involvedObject.uid={container.uid}", "limit": "100"}
        try:
            events = self._api.request("GET", f"/api/v1/namespaces/{self._namespace}/events", query)
        except ApiStatus:
            return found
        said = [each for each in events.get("items") or [] if each.get("reason") in found.events]
        if not said:
            return found
        last = max(said, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))
        patience = found.patience if last["reason"] in MOUNTS else "createSeconds"
        return Trouble(f"{found.message}: {last['reason']}: {last.get('message', '')}", patience)
