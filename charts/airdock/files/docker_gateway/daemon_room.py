"""How many containers of a gateway there may be at a time, on a daemon that sets no limit."""

from __future__ import annotations

import time

from .backend import Refusal
from .containers import Containers, Places
from .daemon_api import DaemonApi, quietly
from .daemon_container import Container
from .daemon_limits import Limits

#: Seconds for which an ended container is kept whatever happens: its task still reads its result.
KEPT = 30.0


class Room(Places):
    """A place for one more container, while it is created. Raises Refusal on entry if there is none."""

    def __init__(self, api: DaemonApi, containers: Containers[Container], limits: Limits, most: int) -> None:
        super().__init__()
        self._api, self._containers, self._limits, self._most = api, containers, limits, most

    def __enter__(self) -> None:
        """Take the place; the oldest containers that have ended make room."""
        with self._lock:
            known = self._containers.all()
            excess = len(known) + self._taken + 1 - self._most if self._most else 0
            leave = [each for each in known if each.ended_at and not each.attached]
            leave = [each for each in leave if time.monotonic() - each.ended_at > KEPT]
            if excess > len(leave):
                raise Refusal(
                    "containers",
                    f"this worker has {len(known)} containers that run or wait for their start,"
                    f" {self._limits.said('containers')}",
                )
            leave = sorted(leave, key=lambda each: each.ended_at)[: max(excess, 0)]
            for each in leave:
                self._containers.forget(each)
            self._taken += 1
        for each in leave:
            quietly(self._api.destroy, each.id)
