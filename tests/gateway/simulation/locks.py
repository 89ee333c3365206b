"""What threads wait for: locks, conditions, events, queues."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from .threads import SCHEDULER, Thread


class Timer(Thread):
    """`threading.Timer`."""

    def __init__(self, interval: float, function: Callable[[], object]) -> None:
        super().__init__(target=function, name="timer")
        self._interval, self._cancelled = interval, Event()

    def cancel(self) -> None:
        self._cancelled.set()

    def run(self) -> None:
        if not self._cancelled.wait(self._interval):
            super().run()


class Semaphore:
    """`threading.Semaphore`; also a lock, which is one of 1."""

    def __init__(self, value: int = 1) -> None:
        self._value = value
        self._waiting: deque[Thread] = deque()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        SCHEDULER.point()
        if not self._value:
            if not blocking:
                return False
            deadline = SCHEDULER.now + timeout if timeout is not None and timeout >= 0 else math.inf
            while not self._value:
                self._waiting.append(SCHEDULER.current)
                if not SCHEDULER.block(deadline):
                    if SCHEDULER.current in self._waiting:
                        self._waiting.remove(SCHEDULER.current)
                    if not self._value:
                        return False
        self._value -= 1
        return True

    def release(self) -> None:
        self._value += 1
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        # Those whose time was up have gone.
        while self._waiting:
            thread = self._waiting.popleft()
            if thread.waiting:
                SCHEDULER.wake(thread)
                return

    def locked(self) -> bool:
        return not self._value

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Lock(Semaphore):
    """`threading.Lock`."""

    def release(self) -> None:
        if self._value:
            raise RuntimeError("release unlocked lock")
        super().release()


class BoundedSemaphore(Semaphore):
    """`threading.BoundedSemaphore`."""

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._most = value

    def release(self) -> None:
        if self._value >= self._most:
            raise ValueError("Semaphore released too many times")
        super().release()


class RLock(Semaphore):
    """`threading.RLock`."""

    def __init__(self) -> None:
        super().__init__()
        self._owner: Thread | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if self._owner is not SCHEDULER.current:
            if not super().acquire(blocking, timeout):
                return False
            self._owner = SCHEDULER.current
        self._depth += 1
        return True

    def release(self) -> None:
        if self._owner is not SCHEDULER.current:
            raise RuntimeError("cannot release un-acquired lock")
        self._depth -= 1
        if not self._depth:
            self._owner = None
            super().release()


class Condition(RLock):
    """`threading.Condition` with a lock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._sleeping: list[Thread] = []

    def wait(self, timeout: float | None = None) -> bool:
        me = SCHEDULER.current
        if self._owner is not me:
            raise RuntimeError("cannot wait on un-acquired lock")
        depth, self._depth, self._owner = self._depth, 0, None
        Semaphore.release(self)
        self._sleeping.append(me)
        told = SCHEDULER.block(SCHEDULER.now + timeout if timeout is not None else math.inf)
        if not told and me in self._sleeping:
            self._sleeping.remove(me)
        Semaphore.acquire(self)
        self._owner, self._depth = me, depth
        return told

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        deadline = SCHEDULER.now + timeout if timeout is not None else math.inf
        while not (result := predicate()):
            if SCHEDULER.now >= deadline:
                break
            self.wait(deadline - SCHEDULER.now if deadline < math.inf else None)
        return result

    def notify(self, n: int = 1) -> None:
        if self._owner is not SCHEDULER.current:
            raise RuntimeError("cannot notify on un-acquired lock")
        woken, self._sleeping = self._sleeping[:n], self._sleeping[n:]
        for each in woken:
            SCHEDULER.wake(each)

    def notify_all(self) -> None:
        self.notify(len(self._sleeping))


class Event:
    """`threading.Event`."""

    def __init__(self) -> None:
        self._set = False
        self._waiting: list[Thread] = []

    def is_set(self) -> bool:
        SCHEDULER.point()
        return self._set

    def set(self) -> None:
        self._set = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            SCHEDULER.wake(each)
        SCHEDULER.point()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        SCHEDULER.point()
        if self._set:
            return True
        self._waiting.append(SCHEDULER.current)
        if SCHEDULER.block(SCHEDULER.now + timeout if timeout is not None else math.inf):
            return True
        if SCHEDULER.current in self._waiting:
            self._waiting.remove(SCHEDULER.current)
        return self._set


class SimpleQueue:
    """`queue.SimpleQueue`."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._ready = Semaphore(0)

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._ready.release()

    def get(self) -> Any:
        self._ready.acquire()
        return self._items.popleft()
