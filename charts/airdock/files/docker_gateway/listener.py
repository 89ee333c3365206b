"""Accepting connections: one thread each, and never more than the process has file descriptors for."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from collections.abc import Callable

from .health import log
from .settings import MAX_INPUTS

#: File descriptors of this process that are no client's: the health port's connections, requests that end
#: containers, watches, idle connections, the interpreter's, and those of clients that send input.
_RESERVE = 192 + 2 * MAX_INPUTS
#: What a client's connection takes: itself, and one to the API server or the daemon.
_PER_CONNECTION = 2
_MAX_CONNECTIONS = 2048
#: Seconds without a connection that could be accepted after which only a restart helps.
_SILENT = 5.0


def max_connections() -> int:
    """Raise the limit of open files as far as needed and allowed; gives how many clients it is enough for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _RESERVE + _PER_CONNECTION * _MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(min(_MAX_CONNECTIONS, (soft - _RESERVE) // _PER_CONNECTION), 8)


class Listener:
    """Hands each connection to `handle` in a thread, at most `limit` at a time.

    Above it, the new one is closed; with `newest`, the oldest one, so that slow clients keep nobody out.
    """

    def __init__(
        self, sock: socket.socket, limit: int, name: str, handle: Callable[[socket.socket], None],
        newest: bool = False,
    ) -> None:  # fmt: skip
        self._socket, self._limit, self._name, self._handle, self._newest = sock, limit, name, handle, newest
        self._slots = threading.BoundedSemaphore(limit)
        # In the order of their coming.
        self._open: dict[socket.socket, None] = {}
        self._full = False
        self._problem, self._since = "", 0.0
        self.closing = False

    def problem(self) -> str:
        """Empty unless connections have not been accepted for some seconds."""
        return self._problem if self._problem and time.monotonic() - self._since > _SILENT else ""

    def serve(self) -> None:
        """Accept until `close`."""
        while not self.closing:
            try:
                sock, _ = self._socket.accept()
                self._problem = ""
            except Exception as error:
                if not self._problem and not self.closing:
                    self._problem, self._since = f"no connection can be accepted: {error}", time.monotonic()
                    log("accept-failed", error=repr(error))
                time.sleep(0.05)
                continue
            if self._slot():
                self._start(sock)
            else:
                sock.close()

    def close(self) -> None:
        """Stop accepting."""
        self.closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _slot(self) -> bool:
        """Take a slot for one more connection; False if it has to be closed."""
        if self._slots.acquire(blocking=False):
            self._full = False
            return True
        if not self._full:
            log("too-many-connections", port=self._name, limit=self._limit)
        self._full = True
        if not self._newest:
            return False
        with contextlib.suppress(OSError, StopIteration, RuntimeError):
            next(iter(self._open)).shutdown(socket.SHUT_RDWR)
        return self._slots.acquire(timeout=1.0)

    def _start(self, sock: socket.socket) -> None:
        self._open[sock] = None
        try:
            threading.Thread(target=self._run, args=(sock,), name=self._name, daemon=True).start()
        except Exception as error:
            log("connection-refused", error=repr(error))
            self._end(sock)

    def _run(self, sock: socket.socket) -> None:
        try:
            self._handle(sock)
        except Exception as error:
            log("internal-error", error=repr(error))
        finally:
            self._end(sock)

    def _end(self, sock: socket.socket) -> None:
        self._open.pop(sock, None)
        try:
            sock.close()
        finally:
            self._slots.release()
