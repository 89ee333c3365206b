"""The gateway's own threads: those that repeat a step, which liveness watches; those that end containers."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from .health import log

#: Seconds between two tries of a step that fails: the first and the longest.
_RETRY, _LONGEST_RETRY = 0.2, 5.0
#: Containers that are ended at a time; the others wait for the next look at the containers.
_ENDINGS = 64


class Loop:
    """A thread that repeats a step until `closing`. An exception costs one round, not the thread."""

    def __init__(
        self, name: str, step: Callable[[], object], pause: Callable[[], float] = float,
        silence: float = 600.0, failing: float = float("inf"),
    ) -> None:  # fmt: skip
        """Prepare the thread.

        `pause` gives the seconds between two steps. Only a restart helps once a step has taken `silence`
        seconds, or all steps have failed for `failing` seconds.
        """
        self._name, self._step, self._pause, self._silence = name, step, pause, silence
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failing, self._failed = failing, 0.0
        self._beat, self._delay = 0.0, _RETRY
        self.closing = False

    def start(self) -> None:
        """Begin, unless it has begun. Raises RuntimeError if there is no thread for it; try again then."""
        if self._beat:
            return
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
        if self._failed and time.monotonic() - self._failed > self._failing:
            return f"each step of the thread {self._name} fails"
        silent = time.monotonic() - self._beat
        return f"the thread {self._name} has been silent for {silent:.0f} s" if silent > self._silence else ""

    def _run(self) -> None:
        while not self.closing:
            self._beat = time.monotonic()
            try:
                self._step()
                self._delay, self._failed = _RETRY, 0.0
                time.sleep(self._pause())
            except Exception as error:
                self._failed = self._failed or time.monotonic()
                log("thread-failed", thread=self._name, error=repr(error))
                time.sleep(self._delay)
                self._delay = min(self._delay * 2, _LONGEST_RETRY)


class Ending(Protocol):
    """A container that may have to be ended."""

    #: Monotonic time at which it is ended again.
    end_due: float
    #: Why it could not be ended, if so.
    end_error: str

    @property
    def id(self) -> str:
        """The id that `create` gave."""

    def names(self) -> dict[str, Any]:
        """Give what a line of the log says about it."""


class Endings:
    """Ends containers in threads, some at a time."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(_ENDINGS)

    def end(self, container: Ending, seconds: float, work: Callable[[], bool]) -> None:
        """Run `work` in a thread. What fails is due again at once, what does not in `seconds`.

        If `work` gives True it is never due again, unless somebody ended the container another time since.
        Without a thread it is due at 0. Whoever looks at the containers sees to what is due.
        """
        container.end_due = 0.0
        if not self._slots.acquire(blocking=False):
            return
        container.end_due = due = time.monotonic() + seconds

        def run() -> None:
            error = "its thread ended"
            try:
                if work() and container.end_due == due:
                    container.end_due = math.inf
                error = ""
            except Exception as failure:
                error = str(failure) or type(failure).__name__
            finally:
                if error:
                    container.end_due = time.monotonic()
                _note(container, error)
                self._slots.release()

        thread = threading.Thread(target=run, name="end", daemon=True)
        try:
            thread.start()
        except Exception as failure:
            _note(container, str(failure))
        finally:
            if not thread.ident:
                container.end_due = 0.0
                self._slots.release()

    def finish(self, seconds: float) -> None:
        """Wait for what is under way; nothing can begin afterwards."""
        deadline = time.monotonic() + seconds
        for _ in range(_ENDINGS):
            self._slots.acquire(timeout=max(deadline - time.monotonic(), 0.0))


def _note(container: Ending, error: str) -> None:
    container.end_error = error and f"the container {container.id[:12]} cannot be ended: {error}"
    if error:
        log("end-failed", error=error, **container.names())
