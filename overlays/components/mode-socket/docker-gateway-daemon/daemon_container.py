"""What the gateway knows of a container on the node's daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .backend import ApiError
from .daemon_api import DaemonApi
from .health import log
from .labels import DAG, TASK

#: Stops under way at a time; the others wait for the next look at the containers.
_stops = threading.BoundedSemaphore(64)


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
    created: float = field(default_factory=time.monotonic)
    begun: float = 0.0
    ended_at: float = 0.0
    auto_remove: bool = False
    adopted: bool = False
    attached: int = 0
    #: Why this gateway ended it, if it did.
    fate: str = ""
    #: Monotonic time at which it is stopped again, unless `stopped`.
    stop_due: float = 0.0
    stopped: bool = False
    #: Why its exit code is not its own, if so.
    lost: str = ""
    died: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def state(self) -> str:
        """The state that the metrics count."""
        return "exited" if self.ended_at else "running" if self.begun else "created"

    def names(self) -> dict[str, Any]:
        """Give what a line of the log says about it."""
        return {
            "container": self.id[:12],
            "dag": self.labels.get(DAG),
            "task": self.labels.get(TASK),
        }

    def end(self, api: DaemonApi, grace: int, why: str) -> None:
        """Stop it in the background; what fails is tried again at `stop_due`."""
        self.fate = self.fate or why
        self.stopped, self.stop_due = False, time.monotonic() + grace + 60.0

        def work() -> None:
            try:
                api.call("POST", f"/containers/{self.id}/stop", {"t": str(grace)}, timeout=grace + 30.0)
                self.stopped = True
            except ApiError as error:
                self.stopped = error.status == 404
                if not self.stopped:
                    log("stop-failed", error=error.message, **self.names())
            finally:
                if not self.stopped:
                    self.stop_due = time.monotonic()
                _stops.release()

        if not _stops.acquire(blocking=False):
            self.stop_due = 0.0
            return
        thread = threading.Thread(target=work, name="stop", daemon=True)
        try:
            thread.start()
        except Exception as error:
            log("stop-failed", error=repr(error), **self.names())
        finally:
            if not thread.ident:
                self.stop_due = 0.0
                _stops.release()
