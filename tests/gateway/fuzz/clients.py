"""Sequences of requests of several clients that leave at any point, against a model of the promise.

    python -m tests.gateway.fuzz.clients PACKAGE BACKEND SEED STEPS [SECONDS]

A whole gateway runs in this process, with its threads and its socket; behind it stands a daemon or API server
that runs nothing. A step is one deed of a client (connect, send a request or a part of one, read an answer,
leave) or of the world (run, print, end, kill, cut a watch, a log or a request). After each step:

- nothing has ended a container whose clients stay (`Made.touched` says what may),
- no thread that the gateway cannot do without has ended, unless it says so,
- what a client was told is true: exit code 0 is the container's own, and all of its output came before it.

After each round, and after some steps, what has to end has ended. Some rounds end with the gateway's own end.

PACKAGE is the directory that holds `docker_gateway`. The seed decides the deeds; threads decide how they
interleave, and the model allows each order. Prints the number of steps from time to time; or the deeds of a
round that broke the promise, with exit code 1.
"""

from __future__ import annotations

import gc
import os
import random
import select
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Steps of a round, and clients in it.
ROUND, CLIENTS = 60, 8
#: Seconds until something counts as hanging, and between two lines about the number of steps.
PATIENCE, PROGRESS = float(os.environ.get("AIRDOCK_FUZZ_PATIENCE", "60")), 60.0
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


@dataclass
class Waiting:
    """A client that has sent a request and not read the answer."""

    verb: str
    made: Made
    #: The outputs that had been read when it was sent.
    outputs: list[bytes]


class Round:
    """One gateway's clients for some steps."""

    def __init__(self, gateway: Any, pick: random.Random) -> None:
        self.gateway, self.world, self.pick = gateway, gateway.world, pick
        self.clients: list[Any] = []
        self.waiting: dict[Any, Waiting] = {}
        self.streams: dict[Any, Made] = {}
        self.made: dict[str, Made] = {}
        self.deeds: list[str] = []
        #: Some requests to the world fail, before or after it has carried them out.
        self.failing = pick.random() < 0.15
        self.daemon = gateway.world.daemon
        #: The gateway does not hear the daemon's events since they were cut: what starts now may be lost.
        self.unheard = False

    # ---- deeds of clients

    def step(self) -> None:
        self.pick.choices(
            (self.connect, self.create, self.ask, self.answer, self.collect, self.leave, self.half, self.act),
            (6, 2, 12, 5, 2, 3, 2, 8),
        )[0]()
        self.hold()

    def note(self, *words: object) -> None:
        self.deeds.append(" ".join(map(str, words)))

    def connect(self) -> None:
        if len(self.clients) < CLIENTS:
            client = self.gateway.client()
            client.socket.settimeout(PATIENCE)
            self.clients.append(client)

    def free(self) -> Any:
        found = [c for c in self.clients if c not in self.waiting and c not in self.streams]
        return self.pick.choice(found) if found else None

    def create(self) -> None:
        if client := self.free():
            status, answer = client.ask("POST", "/containers/create", {"Image": "busybox:1.37"})
            assert status == 201 or (self.failing and status in FAILED), answer
            if status == 201:
                made = self.made[answer["Id"]] = Made(answer["Id"], touched=self.failing or self.unheard)
                self.note("create", made.id[:6])

    def any(self) -> Made | None:
        """Choose a container: mostly one of the last two, so that they have several clients."""
        found = list(self.made.values())
        return self.pick.choice(found[-2:] if self.pick.random() < 0.8 else found) if found else None

    def ask(self) -> None:
        client, made = self.free(), self.any()
        if client and made:
            verb = self.pick.choices(list(REQUESTS), [each[2] for each in REQUESTS.values()])[0]
            self.send(client, verb, made)
            kind = self.pick.random()
            if kind < 0.2 and made.clients:
                # Somebody leaves while the request is under way.
                self.drop(next(c for c in self.clients if c in made.clients))
            elif kind < 0.85 and verb != "wait":
                self.read(client)

    def send(self, client: Any, verb: str, made: Made) -> None:
        self.note(verb, made.id[:6])
        if verb in ENDING:
            made.touched = made.fated = True
        self.waiting[client] = Waiting(verb, made, list(made.outputs))
        client.send(REQUESTS[verb][0], f"/containers/{made.id}{REQUESTS[verb][1]}")

    def answer(self) -> None:
        ready = [c for c, w in self.waiting.items() if w.verb != "wait" or readable(c)]
        if ready:
            self.read(self.pick.choice(ready))

    def read(self, client: Any) -> None:
        waiting = self.waiting.pop(client)
        verb, made = waiting.verb, waiting.made
        status, body = client.answer()
        self.note("->", verb, made.id[:6], status)
        allowed = FAILED if self.failing or (self.daemon and made.touched) else set()
        assert status in REQUESTS[verb][3] | allowed, (verb, status, body)
        if not made.touched:
            assert status < 400, (verb, status, body)
        if verb == "attach" and status < 400:
            self.streams[client], made.left = made, False
            made.clients.add(client)
        elif verb == "start" and status == 204:
            made.started = True
        elif verb in ENDING and status == 204:
            made.over = True
        elif verb == "wait" and status == 200:
            self.told(made, body["StatusCode"], waiting.outputs)

    def told(self, made: Made, code: int, outputs: list[bytes]) -> None:
        """Judge what `wait` says. A daemon gives the code of a container that the gateway has stopped."""
        self.fetch()
        own = code == made.code and not made.killed
        assert own or (self.daemon and (made.killed == "gateway" or made.fated)), (code, made)
        if own and not code:
            assert all(each == b"".join(made.printed) for each in outputs), made

    def collect(self) -> None:
        """Read an attached client's output to its end, if its container has ended."""
        alive = [self.of(task) for task in self.world.alive()]
        if found := [c for c, made in self.streams.items() if made.started and made not in alive]:
            client = self.pick.choice(found)
            made = self.streams.pop(client)
            made.outputs.append(client.output())
            self.note("output", made.id[:6])
            self.clients.remove(client)
            made.clients.discard(client)
            client.close()

    def leave(self) -> None:
        if self.clients:
            client = self.pick.choice(self.clients)
            if client in self.streams and self.pick.random() < 0.3:
                # The docker program does so when it has no input: it stays attached.
                client.socket.shutdown(socket.SHUT_WR)
                return
            made = self.drop(client)
            if made and (made.over or made.left) and self.pick.random() < 0.5:
                until(lambda: not self.alive(made), f"{made.id[:6]} has stayed")

    def drop(self, client: Any) -> Made | None:
        """Let a client leave; gives the container that it was attached to, if so."""
        self.clients.remove(client)
        waiting, made = self.waiting.pop(client, None), self.streams.pop(client, None)
        self.note("leave", waiting.verb if waiting else "", made.id[:6] if made else "")
        if waiting and waiting.verb == "attach":
            # It attaches, and has left by then; or fails to.
            made = waiting.made
            surely = bool(made.attached) or not self.failing
        else:
            surely = made is not None
        if made and surely:
            made.attached = True
        if made:
            made.clients.discard(client)
            if not made.clients:
                made.touched = made.fated = True
                # One whose `attach` is under way may count, or not yet.
                if surely and not any(w.verb == "attach" and w.made is made for w in self.waiting.values()):
                    made.left = True
        client.close()
        return made

    def half(self) -> None:
        """Send a request, all of it or its beginning, and leave."""
        client, made = self.free(), self.any()
        if not client or not made:
            return
        verb = self.pick.choice([*REQUESTS, "create"])
        if whole := self.pick.random() < 0.5 and verb != "create":
            self.send(client, verb, made)
        else:
            path = f"/containers/{made.id}{REQUESTS[verb][1]}" if verb != "create" else "/containers/create"
            text = f"POST /v1.47{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n" + "{" * 29
            client.socket.sendall(text[: self.pick.randrange(1, len(text))].encode())
        self.note("half", verb, whole)
        self.drop(client)

    # ---- deeds of the world

    def act(self) -> None:
        world = self.world
        with world.lock:
            alive = sorted(world.alive(), key=lambda task: list(self.made).index(self.of(task).id))
            if self.pick.random() < 0.2:
                world.tidy()
            if self.pick.random() < 0.04:
                self.cut()
            elif alive:
                self.live(self.pick.choice(alive), self.pick.random())

    def cut(self) -> None:
        self.note("cut")
        self.world.cut(self.pick.random() < 0.5)
        self.unheard = self.daemon
        for made in self.made.values():
            made.touched |= self.daemon

    def live(self, task: Any, kind: float) -> None:
        """Let a container do something, or something happen to it."""
        made, world = self.of(task), self.world
        world.run(task)
        if kind < 0.5:
            made.printed.append(b"%d\n" % len(made.printed))
            world.print(task, made.printed[-1])
        elif kind < 0.65:
            self.note("cut the log of", made.id[:6])
            world.cut_logs(task, self.pick.random() < 0.5)
        elif kind < 0.75:
            self.note("kill", made.id[:6])
            made.touched = True
            world.kill(task)
        else:
            code = self.pick.choice((0, 0, 3))
            self.note("exit", made.id[:6], code)
            world.exit(task, code)

    def of(self, task: Any) -> Made:
        """Give the model of a task: a daemon's has the id, a pod has it in an annotation."""
        annotations = task.spec.get("metadata", {}).get("annotations", {})
        return self.made[annotations.get("airdock.dev/container-id", task.id)]

    # ---- the promise

    def alive(self, made: Made) -> bool:
        return any(self.of(task) is made for task in self.world.alive())

    def fetch(self) -> None:
        """Learn how containers have ended."""
        with self.world.lock:
            ended, self.world.ended = self.world.ended, []
        for task in ended:
            made = self.of(task)
            made.killed, made.code = task.killed, None if task.killed else task.code

    def hold(self) -> None:
        """Hold what must be true at any time against the promise."""
        self.fetch()
        self.unheard = self.unheard and not self.world.listeners
        for made in self.made.values():
            assert made.touched or not made.killed, f"{made.id[:6]} was ended: {made.killed}"
        dead = [each for each in self.gateway.loops if each._beat and not each._thread.is_alive()]
        assert not dead or self.gateway.server.ready(), f"{dead[0]._name} has ended, and nobody says so"

    def finish(self) -> None:
        """Let all clients end, and hold what is left against the promise."""
        world = self.world
        if self.pick.random() < 0.02:
            self.note("the gateway ends")
            world.failing = lambda: False
            self.gateway.close()
            assert not world.alive(), "a container has stayed behind the gateway"
            for client in list(self.clients):
                self.drop(client)
            return
        for client in [c for c in self.clients if c not in self.waiting or self.waiting[c].verb != "wait"]:
            self.drop(client)
        world.failing = lambda: False
        for client, waiting in list(self.waiting.items()):
            # What was started ends with its last client, and who waits for it is told.
            if waiting.made.left and waiting.made.started:
                self.read(client)
            self.drop(client)
        over = lambda: [t for t in world.alive() if self.of(t).over or self.of(t).left]  # noqa: E731
        until(lambda: not over(), "a container has stayed")
        until(lambda: not self.gateway.server.ready(), self.gateway.server.ready)
        # The next one is served, whatever was before.
        self.whole()
        for made in self.made.values():
            with self.gateway.client() as client:
                client.ask("DELETE", f"/containers/{made.id}?force=1")
        until(lambda: not world.alive(), "a removed container has stayed")
        world.tidy()
        until(lambda: "connection" not in {t.name for t in threading.enumerate()}, "a connection has stayed")

    def whole(self) -> None:
        """Do what DockerOperator does, to the end; the first time, with what may happen to the container."""
        world = self.world
        for attempt in range(5):
            with self.gateway.client() as client, self.gateway.client() as stream:
                made = Made(client.create(), started=True, touched=self.unheard)
                self.made[made.id] = made
                stream.attach(made.id)
                if client.ask("POST", f"/containers/{made.id}/start")[0] != 204:
                    continue
                with world.lock:
                    task = next((t for t in world.tasks.values() if t.alive and self.of(t) is made), None)
                if task is None:
                    # It has ended since, for a reason that must be one.
                    self.hold()
                    continue
                for _ in range(self.pick.randrange(6)):
                    with world.lock:
                        if task.alive:
                            self.live(task, self.pick.random() * (0.5 if attempt else 1.0))
                    if not attempt and self.pick.random() < 0.3:
                        # So that what is printed next comes on the connection that the gateway opens again.
                        soon(lambda task=task: self.daemon or not task.alive or task.followers)
                    if not attempt and self.pick.random() < 0.1:
                        self.cut()
                with world.lock:
                    world.run(task)
                    world.exit(task, 0)
                outputs = [stream.output()]
                status, body = client.ask("POST", f"/containers/{made.id}/wait")
                self.note("whole", made.id[:6], status, body, *outputs)
                self.hold()
                if status == 200:
                    self.told(made, body["StatusCode"], outputs)
                else:
                    assert made.touched, (status, body)
                if attempt:
                    return
        raise AssertionError("nobody is served")


def readable(client: Any) -> bool:
    return bool(select.select([client.socket], [], [], 0)[0])


def until(true: Callable[[], object], what: str | Callable[[], str]) -> None:
    end = time.monotonic() + PATIENCE
    delay = 0.0002
    while not true():
        if time.monotonic() > end:
            raise AssertionError(what if isinstance(what, str) else what())
        time.sleep(delay)
        delay = min(delay * 1.5, 0.02)


def stacks() -> Iterator[str]:
    """Say what each connection does."""
    for thread in threading.enumerate():
        if thread.name == "connection" and (frame := sys._current_frames().get(thread.ident or 0)):
            where = [f"{each.name}:{each.lineno}" for each in traceback.extract_stack(frame)]
            yield "connection in " + " ".join(where[3:])


def soon(true: Callable[[], object]) -> None:
    """Wait a little for what may never be."""
    end = time.monotonic() + 0.3
    while not true() and time.monotonic() < end:
        time.sleep(0.001)


def prepare(package: str) -> None:
    """Load the package, without its log, and with short times."""
    sys.path.insert(0, package)
    from docker_gateway import cluster_cleanup, cluster_output, daemon_cleanup, daemon_watch, loops, server

    import tests.gateway.stand_ins.gateway  # noqa: F401

    assert Path(package).resolve() in Path(str(server.__file__)).resolve().parents, "another package"
    cluster_cleanup._TICK = daemon_cleanup.TICK = loops._RETRY = daemon_watch.PAUSE = 0.005
    cluster_output.LATE_OUTPUT, cluster_output.END_AGREES = 0.001, 0.05
    for name, module in list(sys.modules.items()):
        if name.startswith("docker_gateway.") and hasattr(module, "log"):
            module.log = lambda *_, **__: None  # type: ignore[attr-defined]


@contextmanager
def serving(backend: str, world: Any = None) -> Iterator[Any]:
    """Give a gateway that is ready, and knows its `loops`."""
    from docker_gateway.loops import Loop

    from tests.gateway.stand_ins.gateway import running

    before = {id(each) for each in gc.get_objects() if isinstance(each, Loop) and each._name != "hangups"}
    with (
        tempfile.TemporaryDirectory() as directory,
        running(backend, Path(directory), direct=True, world=world) as gateway,
    ):
        gateway.loops = [o for o in gc.get_objects() if isinstance(o, Loop) and id(o) not in before]  # type: ignore[attr-defined]
        until(lambda: not gateway.server.ready(), gateway.server.ready)
        yield gateway
    gateway.world.cut()


def main(package: str, backend: str, seed: str, steps: str, seconds: str = "inf") -> int:
    """Run rounds until all steps are done, or the time is up."""
    prepare(package)
    begin, done, number, world, said = time.monotonic(), 0, int(seed), None, time.monotonic()
    while done < int(steps) and time.monotonic() - begin < float(seconds):
        with serving(backend, world) as gateway:
            world = gateway.world
            while done < int(steps) and time.monotonic() - begin < float(seconds) and not gateway.closed:
                each = Round(gateway, random.Random(number))
                chance = random.Random(number)
                world.pause = lambda: time.sleep(random.random() * 0.002) if random.random() < 0.05 else None
                world.failing = lambda r=each, c=chance: r.failing and c.random() < 0.03
                world.term_code, world.lingering = each.pick.choice((0, 143)), each.pick.random() < 0.5
                world.ended = []
                try:
                    for _ in range(ROUND):
                        each.step()
                    each.finish()
                except (AssertionError, OSError) as error:
                    print(
                        f"seed {number}: {type(error).__name__} {error}", *each.deeds, *stacks(), sep="\n  "
                    )
                    return 1
                done += ROUND
                number += 1
                if time.monotonic() - said > PROGRESS:
                    said = time.monotonic()
                    print(f"{backend}: {done} steps in {said - begin:.0f} s, nothing found", flush=True)
    rate = done / (time.monotonic() - begin)
    print(f"{backend}: {done} steps, {rate:.0f}/s, nothing found; next seed {number}", flush=True)
    return 0


if __name__ == "__main__":
    result = main(*sys.argv[1:])
    sys.stdout.flush()
    # Connections of a round that failed are still open.
    os._exit(result)
