"""The model of the promise: what clients and the world did to each container, and what must hold then."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

#: What a client may do with a container, how often, and the statuses that may be the answer.
REQUESTS: dict[str, tuple[str, str, int, set[int]]] = {
    "start": ("POST", "/start", 12, {204, 304, 404, 409, 500}),
    "inspect": ("GET", "/json", 1, {200, 404}),
    "stop": ("POST", "/stop?t=1", 1, {204, 304, 404}),
    "kill": ("POST", "/kill", 1, {204, 404, 409}),
    "remove": ("DELETE", "", 1, {204, 404, 409}),
    "force": ("DELETE", "?force=1", 1, {204, 404}),
    "wait": ("POST", "/wait", 8, {200, 404, 500}),
    "attach": ("POST", "/attach?stream=1&stdout=1&stderr=1&logs=1", 14, {101, 200, 404}),
}
ENDING = ("stop", "kill", "remove", "force")
#: Of a round with requests that fail.
FAILED = {500, 503}


@dataclass(eq=False)
class Made:
    """The model of a container: what its clients did, and what it did itself."""

    id: str
    #: Clients that are attached.
    clients: set[Any] = field(default_factory=set)
    #: Some were.
    attached: bool = False
    #: Something has happened that may end it: its clients left, it was stopped, removed, killed.
    touched: bool = False
    #: The gateway may want to end it: what then ends it at a daemon is no matter.
    fated: bool = False
    #: A client asked for its end: `wait` may give a code that is not its own, of a pod never 0.
    ending: bool = False
    #: It was stopped or removed; or its clients have left, and none has come since.
    over: bool = False
    left: bool = False
    started: bool = False
    printed: list[bytes] = field(default_factory=list)
    #: Outputs that clients have read to the end.
    outputs: list[bytes] = field(default_factory=list)
    #: It ended by itself, with this code; or something else did it.
    code: int | None = None
    killed: str = ""
    #: Codes of its pods that ended by themselves: one whose creation was sent twice may have two pods.
    codes: set[int] = field(default_factory=set)


@dataclass
class Waiting:
    """A client that has sent a request and not read the answer."""

    verb: str
    made: Made
    #: The outputs that had been read when it was sent.
    outputs: list[bytes]


class Promise:
    """What was made behind one gateway, and what must hold after each step."""

    def __init__(self, gateway: Any) -> None:
        self.gateway, self.world = gateway, gateway.world
        self.daemon = gateway.world.daemon
        self.made: dict[str, Made] = {}
        #: Steps by kind: each was carried out and judged.
        self.steps: Counter[str] = Counter()
        self.deeds: list[str] = []
        #: The gateway does not hear the daemon's events since they were cut: what starts now may be lost.
        self.unheard = False

    def note(self, *words: object) -> None:
        self.deeds.append(" ".join(map(str, words)))

    def did(self, kind: str) -> None:
        """Count a step that was carried out, and judge."""
        self.steps[kind] += 1
        self.hold()

    def of(self, task: Any) -> Made:
        """Give the model of a task: a daemon's has the id, a pod has it in an annotation.

        One of an earlier round, whose creation was under way at its end, has to end.
        """
        annotations = task.spec.get("metadata", {}).get("annotations", {})
        found = annotations.get("airdock.dev/container-id", task.id)
        return self.made.get(found) or Made(found, touched=True, fated=True, ending=True, over=True)

    def alive(self, made: Made) -> bool:
        return any(self.of(task) is made for task in self.world.alive())

    def ended(self, made: Made) -> bool:
        """Tell whether the gateway knows that it has ended."""
        container = self.gateway.backend.containers.get(made.id)
        return container is not None and container.state == "exited"

    def fetch(self) -> None:
        """Learn how containers have ended."""
        with self.world.lock:
            ended, self.world.ended = self.world.ended, []
        for task in ended:
            made = self.of(task)
            made.killed, made.code = task.killed, None if task.killed else task.code
            if made.code is not None and not self.daemon:
                made.codes.add(made.code)

    def hold(self) -> None:
        """Hold what must be true at any time against the promise."""
        self.fetch()
        self.unheard = self.unheard and not self.world.listeners
        for made in self.made.values():
            assert made.touched or not made.killed, f"{made.id[:6]} was ended: {made.killed}"
        dead = [each for each in self.gateway.loops if each._beat and not each._thread.is_alive()]
        assert not dead or self.gateway.server.ready(), f"{dead[0]._name} has ended, and nobody says so"

    def told(self, made: Made, code: int, outputs: list[bytes]) -> None:
        """Judge what `wait` says. A daemon gives the code of a container that the gateway has stopped."""
        self.fetch()
        own = (code == made.code and not made.killed) or code in made.codes
        stopped = (made.killed == "gateway" or made.fated) if self.daemon else code and made.ending
        assert own or stopped, (code, made)
        if own and not code:
            assert all(each == b"".join(made.printed) for each in outputs), made
