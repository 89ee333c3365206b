"""What the gateway knows of a container on the node's daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .backend import ApiError
from .daemon_api import DaemonApi
from .events import Events
from .labels import DAG, TASK
from .loops import Endings

_stops = Endings()


@dataclass
class Container:
    """A container that this gateway created, or found with its own label."""

    id: str
    name: str
    labels: Mapping[str, str]
    tty: bool = False
    #: As the author named it.
    image: str = ""
    image_labels: Mapping[str, str] = field(default_factory=dict)
    image_id: str = ""
    created: float = field(default_factory=time.monotonic)
    begun: float = 0.0
    ended_at: float = 0.0
    auto_remove: bool = False
    #: The author's mem_limit in bytes, 0 for the default.
    memory: int = 0
    adopted: bool = False
    attached: int = 0
    #: Signals of clients that the daemon has not told of yet.
    kills: int = 0
    #: Its end was counted and logged.
    reported: bool = False
    #: Why this gateway ended it, if it did.
    fate: str = ""
    #: Monotonic time at which it is stopped again; infinite once it is stopped.
    end_due: float = 0.0
    #: Why it could not be stopped, if so.
    end_error: str = ""
    #: Why its exit code is not its own, if so.
    lost: str = ""
    died: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    events: Events = field(default_factory=Events)

    @property
    def state(self) -> str:
        """The state that the metrics count."""
        return "exited" if self.ended_at else "running" if self.begun else "created"

    def tell(self, action: str, **more: str) -> None:
        """Add an event, with names and labels as the author knows them."""
        labels = {**self.image_labels, **self.labels}
        self.events.add(action, self.id, self.name, self.image, labels, **more)

    def names(self) -> dict[str, Any]:
        """Give what a line of the log says about it."""
        return {
            "container": self.id[:12],
            "dag": self.labels.get(DAG),
            "task": self.labels.get(TASK),
        }

    def end(self, api: DaemonApi, grace: int, why: str) -> None:
        """Stop it in the background."""
        self.fate = self.fate or why
        _stops.end(self, grace + 60.0, lambda: self._stop(api, grace))

    def _stop(self, api: DaemonApi, grace: int) -> bool:
        try:
            api.call("POST", f"/containers/{self.id}/stop", {"t": str(grace)}, timeout=grace + 30.0)
        except ApiError as error:
            if error.status != 404:
                raise
        return True
