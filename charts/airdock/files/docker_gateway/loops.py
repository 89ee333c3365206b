"""The threads that the gateway cannot do without: each repeats one step, and liveness watches it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .health import log

#: Seconds between two tries of a step that fails: the first and the longest.
_RETRY, _LONGEST_RETRY = 0.2, 5.0


class Loop:
    """A thread that repeats a step until `closing`. An exception costs one round, not the thread."""

    def __init__(
        self, name: str, step: Callable[[], object], pause: Callable[[], float] = float,
        silence: float = 600.0,
    ) -> None:  # fmt: skip
        """`pause` gives the seconds between two steps; `silence` is how long one may take."""
        self._name, self._step, self._pause, self._silence = name, step, pause, silence
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._beat, self._delay = 0.0, _RETRY
        self.closing = False

    def start(self) -> None:
        """Begin."""
        # In this order: with a beat, a thread that is not alive has ended.
        self._thread.start()
        self.beat()

    def beat(self) -> None:
        """Say that a long step gets on."""
        self._beat, self._delay = time.monotonic(), _RETRY

    def problem(self) -> str:
        """Empty while the thread does its work, or was not started yet."""
        if self.closing or not self._beat:
            return ""
        if not self._thread.is_alive():
            return f"the thread {self._name} has ended"
        silent = time.monotonic() - self._beat
        return f"the thread {self._name} has been silent for {silent:.0f} s" if silent > self._silence else ""

    def _run(self) -> None:
        while not self.closing:
            self._beat = time.monotonic()
            try:
                self._step()
                self._delay = _RETRY
                time.sleep(self._pause())
            except Exception as error:
                log("thread-failed", thread=self._name, error=repr(error))
                time.sleep(self._delay)
                self._delay = min(self._delay * 2, _LONGEST_RETRY)
