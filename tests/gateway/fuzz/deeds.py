"""What clients do to a gateway, and what happens behind it, each at random."""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from .promise import ENDING, FAILED, REQUESTS, Made, Promise, Waiting

#: Clients of a round.
CLIENTS = 8


class Clock:
    """How long things may take: with simulated threads in seconds that nobody waits for."""

    #: Seconds until something counts as hanging; the longest pause between two looks; a second.
    patience, look, second = 600.0, 5.0, 1.0


class Deeds(Promise):
    """One gateway's clients and their containers."""

    def __init__(self, gateway: Any, pick: random.Random) -> None:
        super().__init__(gateway)
        self.pick = pick
        self.clients: list[Any] = []
        self.waiting: dict[Any, Waiting] = {}
        self.streams: dict[Any, Made] = {}
        #: Some requests to the world fail, before or after it has carried them out.
        self.failing = pick.random() < 0.15
        #: How often clients leave, in this round.
        leaves = pick.choice((0.5, 1.0, 3.0))
        self.choices: dict[Callable[[], object], float] = {
            self.connect: 6, self.create: 1, self.begin: 3, self.ask: 9, self.answer: 5, self.collect: 3,
            self.leave: leaves, self.half: leaves / 2, self.act: 10,
        }  # fmt: skip
        self.weights = list(accumulate(self.choices.values()))
        self.verbs = list(accumulate(each[2] for each in REQUESTS.values()))

    def step(self) -> None:
        self.pick.choices(list(self.choices), cum_weights=self.weights)[0]()
        self.hold()
        self.rest()

    def rest(self) -> None:
        """Let the gateway go on: often not, else until it has nothing to do, or for longer."""
        if self.pick.random() < 0.4:
            seconds = self.pick.choices((0.000001, 0.05, 1.0, 7.0, 80.0), (100, 8, 8, 4, 1))[0]
            if seconds > 1:
                self.note(f"{seconds} seconds later")
            time.sleep(seconds * Clock.second)

    # ---- deeds of clients

    def connect(self) -> None:
        if len(self.clients) < CLIENTS:
            self.clients.append(self.client())

    def client(self) -> Any:
        client = self.gateway.client()
        client.socket.settimeout(Clock.patience)
        return client

    def free(self) -> Any:
        found = [c for c in self.clients if c not in self.waiting and c not in self.streams]
        return self.pick.choice(found) if found else None

    def create(self, client: Any = None) -> Made | None:
        if not (client := client or self.free()):
            return None
        status, answer = client.ask("POST", "/containers/create", {"Image": "busybox:1.37"})
        assert status == 201 or (self.failing and status in FAILED), answer
        made = None
        if status == 201:
            made = self.made[answer["Id"]] = Made(answer["Id"], touched=self.failing or self.unheard)
            self.note("create", made.id[:6])
        self.did("create")
        return made

    def begin(self) -> None:
        """Do what DockerOperator does first: create, attach, start; not all answers are there by then."""
        found = [c for c in self.clients if c not in self.waiting and c not in self.streams]
        if len(found) > 1 and (made := self.create(found[0])):
            for client, verb, often in ((found[1], "attach", 0.8), (found[0], "start", 0.5)):
                self.send(client, verb, made)
                if self.pick.random() < often:
                    self.read(client)
            if found[0] in self.waiting and self.pick.random() < 0.8:
                # It leaves while it is started.
                self.rest()
                self.drop(found[1])

    def any(self) -> Made | None:
        """Choose a container: mostly one of the last two, so that they have several clients."""
        found = list(self.made.values())
        return self.pick.choice(found[-2:] if self.pick.random() < 0.8 else found) if found else None

    def ask(self) -> None:
        client, made = self.free(), self.any()
        if client and made:
            verb = self.pick.choices(list(REQUESTS), cum_weights=self.verbs)[0]
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
            made.touched = made.fated = made.ending = True
        self.waiting[client] = Waiting(verb, made, list(made.outputs))
        client.send(REQUESTS[verb][0], f"/containers/{made.id}{REQUESTS[verb][1]}")
        self.did(verb)

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

    def collect(self) -> None:
        """Let an attached client read: to the end if its container has ended, else what is there."""
        if not self.streams:
            return
        client, made = self.pick.choice(list(self.streams.items()))
        ended = made.started and not self.alive(made)
        if not ended and client.hear():
            return
        made.outputs.append(client.printed())
        self.note("output", made.id[:6])
        del self.streams[client]
        self.clients.remove(client)
        made.clients.discard(client)
        if self.alive(made):
            # Nobody would read what it prints from now on.
            assert made.touched, f"the output of {made.id[:6]} has ended before it has"
            self.leaves(made)
        client.close()

    def leave(self) -> None:
        if self.clients:
            client = self.pick.choice(self.clients)
            if client in self.streams and self.pick.random() < 0.3:
                # The docker program does so when it has no input: it stays attached.
                client.socket.shutdown(socket.SHUT_WR)
                self.did("half-close")
                return
            made = self.drop(client)
            # Whoever asks to be attached may be so already.
            asking = {each.made for each in self.waiting.values() if each.verb == "attach"}
            ends = made and (made.over or (made.left and made not in asking))
            if ends and self.pick.random() < 0.5:
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
            self.leaves(made, surely)
        client.close()
        self.did("leave")
        return made

    def leaves(self, made: Made, surely: bool = True) -> None:
        """Take note that a client has left a container; `surely` if it had been attached."""
        if not made.clients:
            # What the gateway knows to have ended by itself has done so, whoever leaves then.
            if not self.ended(made):
                made.touched = made.fated = True
            # One whose `attach` is under way may count, or not yet.
            if surely and not any(w.verb == "attach" and w.made is made for w in self.waiting.values()):
                made.left = True

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
        with self.world.lock:
            if self.pick.random() < 0.2:
                self.world.tidy()
            if self.pick.random() < 0.08:
                self.cut()
            elif alive := self.running():
                self.live(self.pick.choice(alive), self.pick.random())

    def running(self) -> list[Any]:
        """Give tasks that run, in the order of their making; mostly none that the gateway has to end."""
        order, all_ = list(self.made), self.pick.random() < 0.2
        found = [t for t in self.world.alive() if all_ or not (self.of(t).over or self.of(t).left)]
        own = [task for task in found if self.of(task).id in order]
        return sorted(own, key=lambda task: order.index(self.of(task).id))

    def cut(self) -> None:
        """Cut what the gateway hears of containers; of what happens then, it may never hear."""
        with self.world.lock:
            self.note("cut")
            self.world.cut()
            self.unheard = self.daemon
            for made in self.made.values():
                made.touched |= self.daemon
            if (alive := self.running()) and self.pick.random() < 0.5:
                self.live(self.pick.choice(alive), self.pick.random())
            if self.pick.random() < 0.5:
                self.note("forget")
                self.world.cut(True)
        self.did("cut")

    def live(self, task: Any, kind: float) -> None:
        """Let a container do something, or something happen to it."""
        made, world = self.of(task), self.world
        world.run(task)
        if kind < 0.62:
            # Some do not fit into a small connection: the gateway waits for a client that reads.
            more = b" and more" * 50 if self.pick.random() < 0.2 else b""
            made.printed.append(b"%d%s\n" % (len(made.printed), more))
            world.print(task, made.printed[-1])
            self.did("print")
        elif kind < 0.75:
            self.note("cut the log of", made.id[:6])
            world.cut_logs(task, self.pick.random() < 0.5)
            # A daemon has none.
            if not self.daemon:
                self.did("cut log")
        elif kind < 0.83:
            self.note("kill", made.id[:6])
            made.touched = True
            world.kill(task)
            self.did("killed")
        else:
            code = self.pick.choice((0, 0, 3))
            self.note("exit", made.id[:6], code)
            world.exit(task, code)
            self.did("exit")


def readable(client: Any) -> bool:
    return bool(select.select([client.socket], [], [], 0)[0])


def until(true: Callable[[], object], what: str | Callable[[], str]) -> None:
    """Wait for what must come to be."""
    end = time.monotonic() + Clock.patience
    delay = 0.0002
    while not true():
        if time.monotonic() > end:
            raise AssertionError(what if isinstance(what, str) else what())
        time.sleep(delay)
        delay = min(delay * 1.5, Clock.look)


def soon(true: Callable[[], object]) -> None:
    """Wait a little for what may never be."""
    end, delay = time.monotonic() + 0.3, 0.001
    while not true() and time.monotonic() < end:
        time.sleep(delay)
        delay *= 1.5
