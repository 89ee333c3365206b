"""What both stand-ins share."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
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
    sockets: list[socket.socket] = field(default_factory=list)
    followers: list[Pieces] = field(default_factory=list)
    waiters: list[Pieces] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return self.state in ("pending", "running")


class World:
    """`lock` guards everything; `requests` are all that were answered, as "METHOD path"."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.tasks: dict[str, Task] = {}
        self.requests: list[str] = []

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
        """Let a task end."""
        raise NotImplementedError

    def handle(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        """Answer a request."""
        raise NotImplementedError
