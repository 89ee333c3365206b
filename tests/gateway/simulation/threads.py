"""Threads of which one runs at a time, in the order that a seed decides, and a clock that nobody waits for.

A thread may give way wherever it takes a lock, wakes somebody, looks at the clock or uses a socket; in a
traced run, at each line of the traced files. The clock goes on when all threads wait.
"""

from __future__ import annotations

import _thread
import heapq
import math
import os
import random
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

try:
    import greenlet

    if os.environ.get("AIRDOCK_FUZZ_GREENLETS") == "0":
        greenlet = None  # type: ignore[assignment]
except ImportError:
    greenlet = None  # type: ignore[assignment]


class Hang(Exception):
    """All threads wait, and nothing will ever wake one."""


class SystemCarrier:
    """A thread of the operating system: it runs simulated ones, one after the other."""

    def __init__(self, main: bool = False) -> None:
        self._gate = _thread.allocate_lock()
        self._gate.acquire()
        self.job: Thread | None = None
        self.ident = _thread.get_ident() if main else _thread.start_new_thread(self._begin, ())

    def _begin(self) -> None:
        self._gate.acquire()
        self._run()

    def _run(self) -> None:
        while True:
            assert self.job
            job, self.job = self.job, None
            job._work()
            SCHEDULER.leave(self, job)

    def resume(self, other: Any) -> None:
        """Let the other one go on, and wait."""
        other._gate.release()
        self._gate.acquire()

    def frame(self) -> Any:
        """Give what it does now."""
        return sys._current_frames().get(self.ident)


class GreenCarrier(SystemCarrier):
    """The same without the operating system, which is several times faster."""

    def __init__(self, main: bool = False) -> None:
        self.job = None
        self._green = greenlet.getcurrent() if main else greenlet.greenlet(self._run)
        self.ident = id(self._green)

    def resume(self, other: Any) -> None:
        other._green.switch()

    def frame(self) -> Any:
        return self._green.gr_frame


Carrier = GreenCarrier if greenlet else SystemCarrier


class Scheduler:
    """Who runs, who can, who waits until when."""

    def __init__(self) -> None:
        self.random = random.Random(0)
        #: Seconds; any number, but not 0, which means "never" to many.
        self.now = 1_000_000.0
        #: Directories of files at whose lines threads give way too.
        self.traced = ""
        #: The mean number of points at which a thread may give way until it does.
        self.mean = 5.0
        #: Whether threads have ranks: one of a low rank hardly runs while others can.
        self.ranked = False
        self._left = 0
        self._ready: list[Thread] = []
        self._timers: list[tuple[float, int, Thread, int]] = []
        self._count = 0
        self._idle: list[SystemCarrier] = []
        self.threads: dict[Thread, None] = {}
        self.current: Thread = None  # type: ignore[assignment]

    def point(self) -> None:
        """Let others run, from time to time."""
        self._left -= 1
        if self._left < 0:
            self._left = int(self.random.expovariate(1 / self.mean))
            if self._ready:
                self.yield_()

    def yield_(self) -> None:
        """Let others run, if one is chosen."""
        self._ready.append(self.current)
        self._switch(self.current)

    def block(self, deadline: float = math.inf) -> bool:
        """Wait until somebody wakes this thread, True, or until the deadline, False."""
        me = self.current
        me.waits += 1
        me.waiting = True
        if deadline < math.inf:
            self._count += 1
            heapq.heappush(self._timers, (deadline, self._count, me, me.waits))
        self._switch(me)
        return me.woken

    def wake(self, thread: Thread) -> None:
        if thread.waiting:
            thread.waiting, thread.woken = False, True
            self._ready.append(thread)

    def begin(self, thread: Thread) -> None:
        thread.carrier = self._idle.pop() if self._idle else Carrier()
        thread.carrier.job = thread
        thread.ident = thread.carrier.ident
        thread.rank = self.random.random()
        self.threads[thread] = None
        self._ready.append(thread)
        self.point()

    def leave(self, carrier: SystemCarrier, thread: Thread) -> None:
        del self.threads[thread]
        self._idle.append(carrier)
        self.current = self._next()
        carrier.resume(self.current.carrier)

    def _switch(self, me: Thread) -> None:
        chosen = self._next()
        if chosen is not me:
            self.current = chosen
            me.carrier.resume(chosen.carrier)
        if me.hangs:
            me.hangs = False
            raise Hang("all threads wait, and nothing will wake one")

    def _next(self) -> Thread:
        ready = self._ready
        while not ready:
            self._advance()
        last = ready.pop()
        if not ready:
            return last
        if self.ranked and self.random.random() < 0.9:
            at = max(range(len(ready)), key=lambda number: ready[number].rank)
            if last.rank >= ready[at].rank:
                return last
        elif (at := int(self.random.random() * (len(ready) + 1))) == len(ready):
            return last
        chosen, ready[at] = ready[at], last
        return chosen

    def _advance(self) -> None:
        while self._timers:
            deadline, _, thread, waits = heapq.heappop(self._timers)
            if thread.waiting and thread.waits == waits:
                self.now = max(self.now, deadline)
                thread.waiting = thread.woken = False
                self._ready.append(thread)
                return
        MAIN.hangs, MAIN.waiting = True, False
        self._ready.append(MAIN)

    def trace(self, frame: Any, event: str, _: Any) -> Any:
        if self.traced and frame.f_code.co_filename.startswith(self.traced):
            return self._line
        return None

    def _line(self, frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            self.point()
        return self._line


class Thread:
    """`threading.Thread`."""

    def __init__(
        self, group: None = None, target: Callable[..., object] | None = None, name: str = "thread",
        args: Any = (), kwargs: Any = None, *, daemon: bool | None = None,
    ) -> None:  # fmt: skip
        self.target, self.name, self.daemon = target, name, daemon
        self._args, self._kwargs = args, kwargs or {}
        self.carrier: Any = None
        #: Which wait this is, and whether it still waits; whether the last one ended by being woken.
        self.waits, self.waiting, self.woken, self.hangs = 0, False, False, False
        self.rank, self.ident = 0.0, 0
        self._over = False
        self._joining: list[Thread] = []

    def start(self) -> None:
        if self.ident:
            raise RuntimeError("threads can only be started once")
        SCHEDULER.begin(self)

    def run(self) -> None:
        if self.target:
            self.target(*self._args, **self._kwargs)

    def _work(self) -> None:
        sys.settrace(SCHEDULER.trace if SCHEDULER.traced else None)
        try:
            self.run()
        except BaseException as error:
            # As a thread of a process: nobody else is to fail of it.
            UNCAUGHT.append(f"{self.name}: {error!r}")
        self._over = True
        for each in self._joining:
            SCHEDULER.wake(each)

    def is_alive(self) -> bool:
        return bool(self.ident) and not self._over

    def join(self, timeout: float | None = None) -> None:
        deadline = SCHEDULER.now + (math.inf if timeout is None else timeout)
        while self.is_alive():
            self._joining.append(SCHEDULER.current)
            if not SCHEDULER.block(deadline):
                if SCHEDULER.current in self._joining:
                    self._joining.remove(SCHEDULER.current)
                return


def monotonic() -> float:
    SCHEDULER.point()
    return SCHEDULER.now


def sleep(seconds: float) -> None:
    if seconds > 0:
        SCHEDULER.block(SCHEDULER.now + seconds)
    else:
        SCHEDULER.point()


#: How threads ended that an exception has ended.
UNCAUGHT: deque[str] = deque(maxlen=20)
SCHEDULER = Scheduler()
#: The thread that loaded this module: the test's.
MAIN = Thread(name="MainThread")
MAIN.carrier = Carrier(main=True)
MAIN.ident = MAIN.carrier.ident
SCHEDULER.threads[MAIN] = None
SCHEDULER.current = MAIN
