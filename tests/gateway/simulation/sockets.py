"""Unix stream sockets in memory, with what Linux does when one end is shut or closed.

A number of a closed socket is given to the next one. A socket that is closed while a thread is inside a call
on it stays open for its peer until that call returns.
"""

from __future__ import annotations

import errno
import heapq
import math
import os
import select
import socket
from collections import deque
from typing import Any

from .threads import SCHEDULER, Thread

#: Bytes that a socket's peer may send before it has to wait: usual, and small.
USUAL, SMALL = 200_000, 150

_free: list[int] = list(range(3, 100_000))
_listeners: dict[str, Socket] = {}
_open: dict[int, Socket] = {}


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Socket:
    """`socket.socket`: a stream, or a listener after `listen`."""

    def __init__(self, family: int = socket.AF_UNIX, kind: int = socket.SOCK_STREAM) -> None:
        self._number = heapq.heappop(_free)
        _open[self._number] = self
        self._timeout: float = math.inf
        self._path, self._backlog = "", None
        self._peer: Socket | None = None
        self._data = bytearray()
        self._capacity = USUAL
        #: Nothing more is received, or can be sent.
        self._no_more, self._mute = False, False
        self._reset = False
        self._closed = self._released = self._pending = False
        self._inside = 0
        self._waiting: list[Thread] = []
        self.epolls: list[Epoll] = []

    # ---- setting up

    def bind(self, path: str) -> None:
        self._path = path

    def listen(self, backlog: int = 0) -> None:
        self._backlog: deque[Socket] | None = deque()
        _listeners[self._path] = self

    def connect(self, path: str) -> None:
        SCHEDULER.point()
        listener = _listeners.get(path)
        if listener is None or listener._no_more or listener._backlog is None:
            raise _error(errno.ECONNREFUSED)
        other = Socket()
        _join(self, other)
        for each in (self, other):
            each._capacity = SMALL if SCHEDULER.random.random() < 0.2 else USUAL
        listener._backlog.append(other)
        listener._wake()

    def accept(self) -> tuple[Socket, str]:
        self._enter()
        try:
            while True:
                if self._backlog:
                    return self._backlog.popleft(), ""
                if self._no_more or self._backlog is None:
                    raise _error(errno.EINVAL)
                self._wait(math.inf)
        finally:
            self._exit()

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = math.inf if seconds is None else seconds

    def setsockopt(self, *_: Any) -> None: ...

    def fileno(self) -> int:
        return -1 if self._closed else self._number

    # ---- data

    def recv(self, size: int) -> bytes:
        self._enter()
        deadline = SCHEDULER.now + self._timeout
        try:
            while not self._data:
                if self._reset:
                    self._reset = False
                    raise _error(errno.ECONNRESET)
                if self._no_more:
                    return b""
                self._wait(deadline)
            data = bytes(self._data[:size])
            del self._data[:size]
            if self._peer:
                self._peer._wake()
            return data
        finally:
            self._exit()

    def sendall(self, data: bytes) -> None:
        self._enter()
        deadline = SCHEDULER.now + self._timeout
        try:
            data = bytes(data)
            while True:
                if self._mute or self._peer is None:
                    raise _error(errno.EPIPE)
                room = self._peer._capacity - len(self._peer._data)
                if room > 0:
                    self._peer._data += data[:room]
                    self._peer._wake()
                    data = data[room:]
                if not data:
                    return
                self._wait(deadline)
        finally:
            self._exit()

    def shutdown(self, how: int) -> None:
        if self._closed:
            raise _error(errno.EBADF)
        receive, send = how in (socket.SHUT_RD, socket.SHUT_RDWR), how in (socket.SHUT_WR, socket.SHUT_RDWR)
        self._shut(receive, send)
        if self._peer:
            self._peer._shut(send, receive)
        SCHEDULER.point()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            del _open[self._number]
            heapq.heappush(_free, self._number)
            if not self._inside:
                self._release()
            SCHEDULER.point()

    def _release(self) -> None:
        self._released = True
        for each in self.epolls:
            each.drop(self)
        for waiting in self._backlog or ():
            waiting._pending = True
            waiting.close()
        if peer := self._peer:
            peer._reset = peer._reset or self._pending or bool(self._data)
            peer._peer = self._peer = None
            peer._shut(True, True)
        self._no_more = True

    def _shut(self, receive: bool, send: bool) -> None:
        self._no_more, self._mute = self._no_more or receive, self._mute or send
        self._wake()

    # ---- waiting

    def _enter(self) -> None:
        SCHEDULER.point()
        if self._closed:
            raise _error(errno.EBADF)
        self._inside += 1

    def _exit(self) -> None:
        self._inside -= 1
        if self._closed and not self._inside and not self._released:
            self._release()

    def _wait(self, deadline: float) -> None:
        if self._timeout == 0:
            raise BlockingIOError(errno.EAGAIN, "would block")
        self._waiting.append(SCHEDULER.current)
        if not SCHEDULER.block(deadline):
            if SCHEDULER.current in self._waiting:
                self._waiting.remove(SCHEDULER.current)
            raise TimeoutError("timed out")

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                SCHEDULER.wake(each)
        for epoll in self.epolls:
            epoll.wake()

    def hung_up(self) -> int:
        """Give the events that are always reported."""
        return (select.EPOLLHUP if self._no_more and self._mute else 0) | (
            select.EPOLLERR if self._reset else 0
        )

    def readable(self) -> bool:
        return bool(self._data or self._no_more or self._reset or self._backlog)

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _join(one: Socket, other: Socket) -> None:
    one._peer, other._peer = other, one


def socketpair() -> tuple[Socket, Socket]:
    one, other = Socket(), Socket()
    _join(one, other)
    return one, other


class Poll:
    """`select.poll`, of which a hangup is noticed at the end of its wait."""

    def __init__(self) -> None:
        self._sockets: list[Socket] = []

    def register(self, sock: Socket, _: int) -> None:
        if sock._closed:
            raise ValueError("file descriptor cannot be a negative integer (-1)")
        self._sockets.append(sock)

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        SCHEDULER.point()
        if timeout > 0 and not any(each.hung_up() for each in self._sockets):
            SCHEDULER.block(SCHEDULER.now + timeout / 1000)
        return [(each._number, each.hung_up()) for each in self._sockets if each.hung_up()]


class Epoll:
    """`select.epoll` for sockets that are watched for no event: those that are always reported."""

    def __init__(self) -> None:
        self._watched: dict[tuple[int, Socket], None] = {}
        self._waiting: list[Thread] = []

    def register(self, number: int, mask: int) -> None:
        assert mask == 0
        sock = self._of(number)
        if (number, sock) in self._watched:
            raise _error(errno.EEXIST)
        self._watched[number, sock] = None
        sock.epolls.append(self)
        if sock.hung_up():
            self.wake()
        SCHEDULER.point()

    def unregister(self, number: int) -> None:
        sock = self._of(number)
        if (number, sock) not in self._watched:
            raise _error(errno.ENOENT)
        del self._watched[number, sock]
        sock.epolls.remove(self)

    def _of(self, number: int) -> Socket:
        if number not in _open:
            raise _error(errno.EBADF)
        return _open[number]

    def drop(self, sock: Socket) -> None:
        self._watched.pop((sock._number, sock), None)

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            SCHEDULER.wake(each)

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        SCHEDULER.point()
        deadline = SCHEDULER.now + timeout
        while True:
            if found := [(number, sock.hung_up()) for number, sock in self._watched if sock.hung_up()]:
                return found
            self._waiting.append(SCHEDULER.current)
            if not SCHEDULER.block(deadline):
                if SCHEDULER.current in self._waiting:
                    self._waiting.remove(SCHEDULER.current)
                return []


def readable(read: list[Socket], write: list[Socket], error: list[Socket], timeout: float) -> Any:
    """`select.select`, which does not wait here."""
    assert timeout == 0
    SCHEDULER.point()
    return [each for each in read if each.readable()], [], []
