"""The end of a round: what has to end has ended, and the next client is served."""

from __future__ import annotations

import threading
from typing import Any

from .deeds import Deeds, soon, until
from .promise import Made


class Round(Deeds):
    """Clients for some steps, and the end."""

    def finish(self) -> None:
        """Let all clients end, and hold what is left against the promise."""
        world = self.world
        if self.pick.random() < 0.02:
            self.note("the gateway ends")
            for made in self.made.values():
                made.touched = made.fated = True
            world.failing = lambda: False
            self.gateway.close()
            assert not world.alive(), "a container has stayed behind the gateway"
            for client in list(self.clients):
                self.drop(client)
            self.did("end of the gateway")
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
        self.ask_all()
        # The next one is served, whatever was before.
        self.whole()
        for made in self.made.values():
            made.touched = made.fated = True
            with self.client() as client:
                client.ask("DELETE", f"/containers/{made.id}?force=1")
                self.did("force")
        until(lambda: not world.alive(), "a removed container has stayed")
        world.tidy()
        until(lambda: not self.connections(), "a connection has stayed")

    def connections(self) -> list[threading.Thread]:
        """Give this gateway's connections. Those of one that has ended would end with its process."""
        return [t for t in threading.enumerate() if t.name == "connection" and t not in self.gateway.before]

    def ask_all(self) -> None:
        """Ask how each container has ended: there is an answer, and it is true."""
        for made in list(self.made.values()):
            if made.started and not self.alive(made):
                client = self.client()
                self.clients.append(client)
                self.send(client, "wait", made)
                self.read(client)
                self.drop(client)

    def whole(self) -> None:
        """Do what DockerOperator does, to the end; the first time, with what may happen to the container."""
        for attempt in range(5):
            with self.client() as client, self.client() as stream:
                if self.operator(client, stream, attempt) and attempt:
                    return
        raise AssertionError("nobody is served")

    def operator(self, client: Any, stream: Any, attempt: int) -> bool:
        """Run a container; False if it has ended too early."""
        world = self.world
        made = Made(client.create(), started=True, touched=self.unheard)
        self.made[made.id] = made
        self.did("create")
        stream.attach(made.id)
        self.did("attach")
        started = client.ask("POST", f"/containers/{made.id}/start")[0] == 204
        self.did("start")
        if not started:
            return False
        with world.lock:
            task = next((t for t in world.tasks.values() if t.alive and self.of(t) is made), None)
        if task is None:
            # It has ended since, for a reason that must be one.
            self.hold()
            return False
        for _ in range(self.pick.randrange(6)):
            with world.lock:
                if task.alive:
                    self.live(task, self.pick.random() * (0.5 if attempt else 1.0))
            if not attempt and self.pick.random() < 0.3:
                # So that what is printed next comes on the connection that the gateway opens again.
                soon(lambda: self.daemon or not task.alive or task.followers)
            if not attempt and self.pick.random() < 0.1:
                self.cut()
        with world.lock:
            world.run(task)
            world.exit(task, 0)
            self.did("exit")
        outputs = [stream.printed()]
        status, body = client.ask("POST", f"/containers/{made.id}/wait")
        self.note("whole", made.id[:6], status, body, *outputs)
        self.did("wait")
        if status == 200:
            self.told(made, body["StatusCode"], outputs)
        else:
            assert made.touched, (status, body)
        return True
