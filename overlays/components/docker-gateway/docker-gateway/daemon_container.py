"""What the gateway knows of a container on the node's daemon."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .backend import ApiError
from .daemon_api import DaemonApi
from .health import log
from .labels import DAG, TASK


@dataclass
class Container:
    """A container that this gateway created, or found with its own label."""

    id: str
    name: str
    labels: Mapping[str, str]
    tty: bool = False
    begun: float = 0.0
    ended_at: float = 0.0
    auto_remove: bool = False
    adopted: bool = False
    attached: int = 0
    #: Why this gateway ended it, if it did.
    fate: str = ""
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
        """Stop it in the background."""
        self.fate = self.fate or why

        def work() -> None:
            try:
                api.call("POST", f"/containers/{self.id}/stop", {"t": str(grace)}, timeout=grace + 30.0)
            except ApiError as error:
                if error.status != 404:
                    log("stop-failed", error=error.message, **self.names())

        threading.Thread(target=work, name="stop", daemon=True).start()
