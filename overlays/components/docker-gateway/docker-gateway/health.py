"""Prometheus metrics, and the structured log."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_lock = threading.Lock()


def log(event: str, **fields: Any) -> None:
    """Write one JSON line to stderr; fields that are None stay away."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event}
    line |= {key: value for key, value in fields.items() if value is not None}
    # What is logged has happened: nobody is to fail of it.
    with _lock, contextlib.suppress(OSError, ValueError):
        print(json.dumps(line), file=sys.stderr, flush=True)


class Metrics:
    """Counts what happens, and writes it in Prometheus' text format."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._started: Counter[float] = Counter()
        self._start_count, self._start_sum = 0, 0.0
        self._open: Counter[str] = Counter()
        self._callbacks: list[tuple[str, str, str, Callable[[], Mapping[str, float]]]] = []

    def refused(self, reason: str) -> None:
        """Count a refusal by its field."""
        with self._lock:
            if len(self._refused) < 500 or reason in self._refused:
                self._refused[reason] += 1

    def ended(self, outcome: str) -> None:
        """Count an end: success, failure or infrastructure."""
        with self._lock:
            self._ended[outcome] += 1

    def start_seconds(self, seconds: float) -> None:
        """Count the time from `start` to the running container."""
        with self._lock:
            self._start_count += 1
            self._start_sum += seconds
            for bucket in _BUCKETS:
                self._started[bucket] += seconds <= bucket

    def opened(self, kind: str, change: int = 1) -> None:
        """Count open connections and streams."""
        with self._lock:
            self._open[kind] += change

    def gauge(self, name: str, text: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Add a gauge by label `state`, read when asked for."""
        self._callbacks.append((name, text, "gauge", read))

    def counter(self, name: str, text: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Add a counter by label `request`, read when asked for."""
        self._callbacks.append((name, text, "counter", read))

    def text(self) -> str:
        """Give everything in the exposition format."""
        with self._lock:
            lines = _family(
                "refusals_total", "Refused requests by field.", "counter", "reason", self._refused
            )
            lines += _family("ended_total", "Ended containers by outcome.", "counter", "outcome", self._ended)
            lines += _family("open", "Open connections and streams.", "gauge", "kind", self._open)
            name = "airdock_gateway_start_seconds"
            lines += [
                f"# HELP {name} Seconds from start to the running container.",
                f"# TYPE {name} histogram",
            ]
            lines += [f'{name}_bucket{{le="{bucket}"}} {self._started[bucket]}' for bucket in _BUCKETS]
            lines += [
                f'{name}_bucket{{le="+Inf"}} {self._start_count}',
                f"{name}_sum {self._start_sum}",
                f"{name}_count {self._start_count}",
            ]
        for metric, text, kind, read in self._callbacks:
            lines += _family(metric, text, kind, "state" if kind == "gauge" else "request", dict(read()))
        return "\n".join(lines) + "\n"


def _family(name: str, text: str, kind: str, label: str, values: Mapping[str, float]) -> list[str]:
    name = f"airdock_gateway_{name}"
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for key, value in sorted(values.items()):
        escaped = key.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        lines.append(f'{name}{{{label}="{escaped}"}} {value}')
    return lines
