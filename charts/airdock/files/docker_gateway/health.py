"""Prometheus metrics, and the structured log."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0, 14400.0)
#: DAGs with series of their own.
_DAGS = 200
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
        self._ended: Counter[tuple[str, str]] = Counter()
        self._dags: set[str] = set()
        self._delayed: Counter[str] = Counter()
        self._start = _Histogram()
        self._phases: defaultdict[str, _Histogram] = defaultdict(_Histogram)
        self._open: Counter[str] = Counter()
        self._callbacks: list[tuple[str, str, str, str, Callable[[], Mapping[str, float]]]] = []

    def refused(self, reason: str) -> None:
        """Count a refusal by its field."""
        with self._lock:
            if len(self._refused) < 500 or reason in self._refused:
                self._refused[reason] += 1

    def ended(self, outcome: str, dag: str | None = None) -> None:
        """Count an end: success, failure or infrastructure. The first DAGs have series of their own."""
        with self._lock:
            dag = dag or ""
            if len(self._dags) < _DAGS:
                self._dags.add(dag)
            self._ended[outcome, dag if dag in self._dags else "(other)"] += 1

    def delayed(self, reason: str) -> None:
        """Count a container that cannot be created at once: quota, api, or behind others."""
        with self._lock:
            self._delayed[reason] += 1

    def start_seconds(self, seconds: float) -> None:
        """Count the time from `start` to the running container."""
        with self._lock:
            self._start.add(seconds)

    def phase_seconds(self, phase: str, seconds: float) -> None:
        """Count the time of a part of a container's life: create, schedule, pull or run."""
        with self._lock:
            self._phases[phase].add(seconds)

    def opened(self, kind: str, change: int = 1) -> None:
        """Count open connections and streams."""
        with self._lock:
            self._open[kind] += change

    def gauge(
        self, name: str, text: str, read: Callable[[], Mapping[str, float]], label: str = "state"
    ) -> None:
        """Add a gauge, read when asked for: numbers by the values of its label."""
        self._callbacks.append((name, text, "gauge", label, read))

    def counter(self, name: str, text: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Add a counter by label `request`, read when asked for."""
        self._callbacks.append((name, text, "counter", "request", read))

    def text(self) -> str:
        """Give everything in the exposition format."""
        with self._lock:
            lines = [
                *_family("refusals_total", "Refused requests.", "counter", ("reason",), self._refused),
                *_family("ended_total", "Ended containers.", "counter", ("outcome", "dag_id"), self._ended),
                *_family(
                    "delays_total", "Containers that could not be created at once.", "counter", ("reason",),
                    self._delayed,
                ),
                *_family("open", "Open connections and streams.", "gauge", ("kind",), self._open),
                *_head("start_seconds", "Seconds from start to the running container.", "histogram"),
                *self._start.lines("start_seconds"),
                *_head("phase_seconds", "Seconds of each part of a container's life.", "histogram"),
            ]  # fmt: skip
            for phase, histogram in sorted(self._phases.items()):
                lines += histogram.lines("phase_seconds", f'phase="{phase}"')
        for metric, text, kind, label, read in self._callbacks:
            lines += _family(metric, text, kind, (label,), dict(read()))
        return "\n".join(lines) + "\n"


class _Histogram:
    def __init__(self) -> None:
        self._buckets: Counter[float] = Counter()
        self._count, self._sum = 0, 0.0

    def add(self, seconds: float) -> None:
        self._count += 1
        self._sum += seconds
        for bucket in _BUCKETS:
            self._buckets[bucket] += seconds <= bucket

    def lines(self, name: str, label: str = "") -> Iterator[str]:
        name = f"airdock_gateway_{name}"
        before, alone = (f"{label},", f"{{{label}}}") if label else ("", "")
        for bucket in _BUCKETS:
            yield f'{name}_bucket{{{before}le="{bucket}"}} {self._buckets[bucket]}'
        yield f'{name}_bucket{{{before}le="+Inf"}} {self._count}'
        yield f"{name}_sum{alone} {self._sum}"
        yield f"{name}_count{alone} {self._count}"


def _head(name: str, text: str, kind: str) -> list[str]:
    return [f"# HELP airdock_gateway_{name} {text}", f"# TYPE airdock_gateway_{name} {kind}"]


def _family(
    name: str, text: str, kind: str, labels: tuple[str, ...], values: Mapping[Any, float]
) -> Iterator[str]:
    yield from _head(name, text, kind)
    for key, value in sorted(values.items()):
        keys = key if isinstance(key, tuple) else (key,)
        pairs = ",".join(f'{label}="{_escaped(each)}"' for label, each in zip(labels, keys, strict=True))
        yield f"airdock_gateway_{name}{{{pairs}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
