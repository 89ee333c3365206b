"""What a build prints: a line when a tool is begun and built, and one now and then, with the time left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scripts.tools.catalog import Tool

_HEARTBEAT_SECONDS = 30


class Progress:
    """The progress of building some tools. As a context manager, it prints a line every 30 s."""

    def __init__(self, tools: Sequence[Tool]):
        self._started = time.monotonic()
        self._weights = {tool.name: tool.weight for tool in tools}
        self._count, self._total = len(self._weights), sum(self._weights.values())
        #: What is being built, and since when.
        self._running: dict[str, float] = {}
        self._built = 0
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    @contextmanager
    def step(self, tool: Tool, title: str) -> Iterator[None]:
        """Print that a tool is being built and, when the block ends well, that it is."""
        begun = time.monotonic()
        self._running[tool.name] = begun
        self._say(f"building {title}")
        try:
            yield
        finally:
            del self._running[tool.name]
        self._built += 1
        self._weights.pop(tool.name, None)
        self._say(f"built {title} in {time.monotonic() - begun:.0f} s ({self._built} of {self._count})")

    def left(self) -> float | None:
        """Seconds that the rest will take if it goes on as until now; None before that can be told."""
        return None if not self._done() else (time.monotonic() - self._started) * self._open() / self._done()

    def _open(self) -> float:
        return sum(self._weights.values())

    def _done(self) -> float:
        return self._total - self._open()

    def _say(self, text: str) -> None:
        left = self.left()
        about = f", about {clock(left)} left" if left and self._weights else ""
        print(f"[{clock(time.monotonic() - self._started)}{about}] {text}", file=sys.stderr, flush=True)

    def _beat(self) -> None:
        while not self._ended.wait(_HEARTBEAT_SECONDS):
            if self._running:
                self._say(f"building {' and '.join(self._running)}")

    def __enter__(self) -> Progress:
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()


def clock(seconds: float) -> str:
    """Minutes and seconds, such as 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
