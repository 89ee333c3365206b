"""What both stand-ins share."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: Ends a queue of pieces: in good order, or as a connection that breaks.
END, BREAK = object(), object()


@dataclass
class Reply:
    """An answer: `body` is JSON, or bytes; or `pieces`, which come as time goes by."""

    status: int = 200
    body: Any = None
    pieces: Pieces | None = None


class Pieces:
    """A body that comes as the world lets it."""

    def __init__(self, ready: Any = ()) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for each in ready:
            self._queue.put(each)

    def put(self, piece: Any) -> None:
        self._queue.put(piece)

    def get(self) -> bytes:
        """Give the next piece, empty at the end. Raises ConnectionError if it breaks."""
        piece = self._queue.get()
        if piece is END or piece is BREAK:
            self._queue.put(piece)
            if piece is BREAK:
                raise ConnectionResetError("the stand-in broke the connection")
            return b""
        assert isinstance(piece, bytes)
        return piece

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.get, b"")


@dataclass
class Task:
    """A container or pod, whatever its stand-in calls it."""

    id: str
    spec: dict[str, Any]
    state: str = "created"
    code: int = 0
    #: Why it ended, if not by itself.
    killed: str = ""
    name: str = ""
    created: float = field(default_factory=time.time)
    input: bytes = b""
    input_ended: threading.Event = field(default_factory=threading.Event)
    output: list[bytes] = field(default_factory=list)
    #: Whether its node answers nothing that comes with its input.
    deaf: bool = False
    #: Sizes of its terminal that were set.
    sizes: list[dict[str, int]] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)
    followers: list[Pieces] = field(default_factory=list)
    waiters: list[Pieces] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return self.state in ("pending", "running")


class World:
    """`lock` guards everything; `requests` are all that were answered, as "METHOD path"."""

    #: Whether it is a Docker daemon.
    daemon = False
    #: The exit code of what ends on SIGTERM.
    term_code = 143

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.tasks: dict[str, Task] = {}
        self.requests: list[str] = []
        #: What has ended since somebody emptied this.
        self.ended: list[Task] = []
        #: Called before and after each request, without the lock: what takes time, what breaks it.
        self.pause: Callable[[], None] = lambda: None
        self.failing: Callable[[], bool] = lambda: False
        #: Whether a deleted pod whose container ran can still be read until `tidy`.
        self.lingering = False

    def travel(self) -> None:
        """Let a request or an answer take its way. Raises ConnectionError if it is lost."""
        self.pause()
        if self.failing():
            raise ConnectionResetError("the stand-in broke the connection")

    def slowly(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        """Answer a request as a network does. Raises ConnectionError."""
        self.travel()
        reply = self.handle(method, path, query, body)
        self.travel()
        return reply

    def alive(self) -> list[Task]:
        """Give what runs."""
        with self.lock:
            return [task for task in self.tasks.values() if task.alive]

    def run(self, task: Task) -> None:
        """Let what was started run."""

    def print(self, task: Task, data: bytes) -> None:
        """Let a task print."""
        raise NotImplementedError

    def exit(self, task: Task, code: int, killed: str = "") -> None:
        """Let a task end, by itself or by what `killed` says."""
        raise NotImplementedError

    def kill(self, task: Task) -> None:
        """End a task, as somebody does who is not the gateway."""
        raise NotImplementedError

    def cut(self, forget: bool = False) -> None:
        """Cut the connections on which the gateway hears how tasks fare.

        With `forget`, what it misses is not told later: an API server gives the present state, and a daemon
        has ended all outputs too.
        """
        raise NotImplementedError

    def tidy(self) -> None:
        """Remove what has ended and lingers."""

    def cut_logs(self, task: Task, orderly: bool) -> None:
        """End the connections on which the gateway reads a task's log; a daemon has none."""

    def handle(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        """Answer a request."""
        raise NotImplementedError
