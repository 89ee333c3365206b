"""Closed connections of clients, noticed by one thread for all streams."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

from .health import log
from .loops import Loop


class Hangups:
    """Calls back once when a client has closed both directions of its connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoll: select.epoll | None = None
        self._watched: dict[int, tuple[socket.socket, Callable[[], None]]] = {}
        self._loop = Loop("hangups", self._step, failing=10.0)

    def problem(self) -> str:
        """Empty while they are noticed."""
        return self._loop.problem()

    def watch(self, sock: socket.socket, callback: Callable[[], None]) -> None:
        """Call `callback` once when the peer has closed both directions of `sock`.

        Raises OSError, and RuntimeError if there is no thread to notice it.
        """
        with self._lock:
            if self._epoll is None:
                self._epoll = select.epoll()
            self._loop.start()
            self._watched[sock.fileno()] = sock, callback
            # No event is asked for: hangup and error are always reported, a half-closed peer is neither.
            self._epoll.register(sock.fileno(), 0)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching; must be called before `sock` is closed, as its number is used again."""
        with self._lock:
            if self._watched.pop(sock.fileno(), None) and self._epoll:
                self._epoll.unregister(sock.fileno())

    def _step(self) -> None:
        assert self._epoll
        # An end to the wait, so that a thread that hangs is told from one with nothing to do.
        for number, _ in self._epoll.poll(60.0):
            with self._lock:
                sock, callback = self._watched.get(number, (None, None))
                # The event may be that of another socket, which had the same number a moment ago.
                if sock is None or callback is None or not hung_up(sock):
                    continue
                del self._watched[number]
                with contextlib.suppress(OSError):
                    self._epoll.unregister(number)
            try:
                callback()
            except Exception as error:
                log("hangup-failed", error=repr(error))


HANGUPS = Hangups()


def hung_up(sock: socket.socket, within: float = 0.0) -> bool:
    """Tell whether the peer has closed both directions, or does so within some seconds."""
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(within * 1000))
