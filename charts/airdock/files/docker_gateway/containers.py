"""The containers that a backend knows, by id, name or unique prefix."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from .backend import ApiError


class Named(Protocol):
    """What a container is found by."""

    @property
    def id(self) -> str:
        """The id that `create` gave."""

    @property
    def name(self) -> str:
        """The name that the client gave; may be empty."""

    @property
    def end_error(self) -> str:
        """Why it could not be ended, if so."""


#: Containers that were removed, and are remembered as such.
_REMEMBERED = 1000
C = TypeVar("C", bound=Named)


class Containers(Generic[C]):
    """A backend's containers, safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, C] = {}
        self._hidden: set[str] = set()
        #: The last ones that were forgotten.
        self._forgotten: deque[str] = deque(maxlen=_REMEMBERED)

    def add(self, container: C) -> bool:
        """Add a container; False if its id is known."""
        with self._lock:
            return self._by_id.setdefault(container.id, container) is container

    def forget(self, container: C) -> bool:
        """Remove a container; False if it is not there."""
        with self._lock:
            found = self._by_id.pop(container.id, None) is not None
            if found:
                self._forgotten.append(container.id)
            self._hidden.discard(container.id)
            return found

    def knew(self, container_id: str) -> bool:
        """Tell whether a container was forgotten not long ago."""
        with self._lock:
            return container_id in self._forgotten

    def hide(self, container: C) -> None:
        """Let no client find a container that is to be forgotten once it is gone."""
        with self._lock:
            if container.id in self._by_id:
                self._hidden.add(container.id)

    def all(self) -> list[C]:
        """Give all of them, as they are now, hidden ones too."""
        with self._lock:
            return list(self._by_id.values())

    def shown(self) -> list[C]:
        """Give those that clients find."""
        return [each for each in self.all() if not self.hidden(each)]

    def hidden(self, container: C) -> bool:
        """Tell whether no client finds it."""
        return container.id in self._hidden

    def get(self, container_id: str) -> C | None:
        """Give one by its whole id."""
        with self._lock:
            return self._by_id.get(container_id)

    def find(self, wanted: str) -> C:
        """Give one by id, else by name, else by unique prefix, as the daemon does. Raises ApiError."""
        found = self.get(wanted)
        if found and not self.hidden(found):
            return found
        shown = self.shown() if wanted else []
        matches = [c for c in shown if c.name == wanted] or [c for c in shown if c.id.startswith(wanted)]
        if len(matches) > 1:
            message = f"{len(matches)} containers have the name or prefix {wanted[:80]}: use the whole id"
            raise ApiError(400, message, "ambiguous")
        if not matches:
            raise ApiError(404, f"No such container: {wanted[:80]}", "not-found")
        return matches[0]

    def unended(self) -> str:
        """Empty unless one could not be ended, else why."""
        return next((c.end_error for c in self.all() if c.end_error), "")

    def states(self, state: Callable[[C], str]) -> dict[str, float]:
        """Count them by state, for the metrics."""
        return dict(Counter(map(state, self.all())))


class Places:
    """Places for containers that are being created. A backend's `__enter__` takes one, with `_lock` held."""

    def __init__(self) -> None:
        self._lock, self._taken = threading.Lock(), 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the place back: the container is known now, or there is none."""
        with self._lock:
            self._taken -= 1


class Attachable(Protocol):
    """What clients attach to."""

    #: How many do.
    attached: int


class Attachment:
    """A client that reads a container's output; `lock` guards the number of those that do."""

    def __init__(self, container: Attachable, lock: AbstractContextManager[bool]) -> None:
        self._container, self._lock, self.left = container, lock, False
        with lock:
            container.attached += 1

    def leave(self) -> bool:
        """Note once that the client has left; True if it was the last one."""
        with self._lock:
            if self.left:
                return False
            self.left = True
            self._container.attached -= 1
            return not self._container.attached
