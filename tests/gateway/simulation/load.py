"""Imports the gateway, its stand-ins and whatever else is named on simulated threads, sockets and clock."""

from __future__ import annotations

import importlib
import os
import select
import socket
import sys
import threading
import time
from types import ModuleType
from typing import Any

from . import locks, sockets, threads

#: The time for those who wait for the test.
real_time = time.monotonic


def _like(module: ModuleType, **changed: Any) -> ModuleType:
    copy = ModuleType(module.__name__)
    copy.__dict__.update({**vars(module), **changed})
    return copy


def _modules() -> dict[str, ModuleType]:
    scheduler = threads.SCHEDULER
    names = ("Timer", "Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore")
    queue = importlib.import_module("queue")
    return {
        "threading": _like(
            threading, Thread=threads.Thread, **{name: getattr(locks, name) for name in names},
            enumerate=lambda: list(scheduler.threads), current_thread=lambda: scheduler.current,
        ),
        "time": _like(
            time, monotonic=threads.monotonic, sleep=threads.sleep,
            time=lambda: 1.7e9 + scheduler.now, time_ns=lambda: int((1.7e9 + scheduler.now) * 1e9),
        ),
        "socket": _like(socket, socket=sockets.Socket, socketpair=sockets.socketpair),
        "select": _like(select, poll=sockets.Poll, epoll=sockets.Epoll, select=sockets.readable),
        "queue": _like(queue, SimpleQueue=locks.SimpleQueue),
        # The same ids for the same seed.
        "os": _like(os, urandom=lambda size: scheduler.random.randbytes(size)),
    }  # fmt: skip


def load(*prefixes: str, entry: str) -> ModuleType:
    """Import `entry` anew, with all modules of these prefixes, on the simulation."""
    # Once as it is, so that what they need of the standard library is there, as it is.
    importlib.import_module(entry)
    for name in [name for name in sys.modules if name.startswith(prefixes)]:
        del sys.modules[name]
    simulated = _modules()
    real = {name: sys.modules[name] for name in simulated}
    sys.modules.update(simulated)
    try:
        return importlib.import_module(entry)
    finally:
        sys.modules.update(real)
