"""How many containers of a gateway there may be at a time, on a cluster: each takes memory of the gateway."""

from __future__ import annotations

from .backend import Refusal
from .cluster_container import Container
from .containers import Containers, Places

#: Containers that have not ended. tests/gateway/test_memory.py shows that they fit into the gateway's memory.
MAX_CONTAINERS = 500
#: Bytes of their pods as JSON, which stay in memory until they end.
MAX_BYTES = 32 * 1024 * 1024
_WAY_OUT = "wait until some have ended, or run the task on another worker"


class Room(Places):
    """A place for one more container, while it is created. Raises Refusal on entry if there is none."""

    def __init__(self, containers: Containers[Container]) -> None:
        super().__init__()
        self._containers = containers

    def __enter__(self) -> None:
        """Take the place."""
        with self._lock:
            found = sum(each.ended is None for each in self._containers.all()) + self._taken
            if found >= MAX_CONTAINERS:
                raise Refusal(
                    "containers",
                    f"this worker has {found} containers that run or wait for their start, and"
                    f" {MAX_CONTAINERS} is the maximum; {_WAY_OUT}",
                )
            self._taken += 1

    def add(self, container: Container) -> None:
        """Keep a container. Raises Refusal if the pods of all are too large."""
        with self._lock:
            found = container.size + sum(each.size for each in self._containers.all() if each.manifest)
            if found > MAX_BYTES:
                raise Refusal(
                    "environment",
                    f"the pods of this worker that run or wait for their start would have {found} bytes with"
                    f" their commands and environments, and {MAX_BYTES} is the maximum; {_WAY_OUT}",
                )
            self._containers.add(container)
