"""A Docker daemon that records: containers do nothing but what the test says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
from typing import Any

from .world import BREAK, END, Pieces, Reply, Task, World

_CONTAINER = re.compile(r"/containers/(?P<id>[0-9a-f]{64})(?:/(?P<verb>[a-z]+))?\Z")


def frame(data: bytes) -> bytes:
    return struct.pack(">BxxxL", 1, len(data)) + data


class DaemonWorld(World):
    """`handle` answers all but `attach`, which is a socket from the beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[Pieces] = []
        self.volumes: dict[str, dict[str, Any]] = {}

    def handle(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        path = re.sub(r"\A/v1\.\d+", "", path)
        with self.lock:
            if len(self.requests) < 10_000:
                self.requests.append(f"{method} {path}")
            if match := _CONTAINER.match(path):
                task = self.tasks.get(match["id"])
                if task is None:
                    return Reply(404, {"message": f"No such container: {match['id']}"})
                return self._container(method, match["verb"] or "", task, query)
            return self._other(method, path, query, body)

    def _other(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        if path == "/events":
            self.listeners.append(pieces := Pieces())
            return Reply(pieces=pieces)
        if path == "/containers/create":
            task = Task(os.urandom(32).hex(), body)
            self.tasks[task.id] = task
            return Reply(201, {"Id": task.id, "Warnings": []})
        if path == "/containers/json":
            label = json.loads(query["filters"])["label"][0]
            key, _, value = label.partition("=")
            found = [t for t in self.tasks.values() if key in t.spec["Labels"]]
            found = [t for t in found if not value or t.spec["Labels"][key] == value]
            return Reply(
                body=[{"Id": t.id, "Names": ["/" + t.id[:9]], "Labels": t.spec["Labels"]} for t in found]
            )
        if path == "/volumes/create":
            self.volumes[body["Name"]] = {**body, "CreatedAt": os.urandom(4).hex()}
            return Reply(201, self.volumes[body["Name"]])
        if path == "/volumes":
            return Reply(body={"Volumes": list(self.volumes.values())})
        if path.startswith("/volumes/"):
            self.volumes.pop(path.rpartition("/")[2], None)
            return Reply(204)
        if path.startswith("/images/") and path.endswith("/json") and path != "/images/json":
            return Reply(body={"Id": "sha256:" + "1" * 64, "Config": {}})
        answers = {"/version": {"ApiVersion": "1.47"}, "/info": {}, "/images/json": []}
        return Reply(body=answers.get(path, {}))

    def _container(self, method: str, verb: str, task: Task, query: dict[str, str]) -> Reply:
        if verb == "start":
            if task.state != "created":
                return Reply(304)
            task.state = "running"
            return Reply(204)
        if verb == "stop":
            if not task.alive:
                return Reply(304)
            self._event(task, "kill")
            self.exit(task, 143, "stopped")
            return Reply(204)
        if verb == "wait":
            if task.state == "exited":
                return Reply(body={"StatusCode": task.code})
            task.waiters.append(pieces := Pieces())
            return Reply(pieces=pieces)
        if verb == "json":
            state = {"Status": task.state, "ExitCode": task.code, "OOMKilled": task.killed == "OOMKilled"}
            host = {"Memory": task.spec["HostConfig"]["Memory"]}
            return Reply(body={"Id": task.id, "State": state, "Config": {"Tty": False}, "HostConfig": host})
        if verb == "archive":
            return Reply(404, {"message": "Could not find the file"})
        if method == "DELETE":
            if task.alive:
                if query.get("force") != "1":
                    return Reply(409, {"message": "container is running: stop it, or force"})
                self._event(task, "kill")
                self.exit(task, 137, "removed")
            del self.tasks[task.id]
            for waiter in task.waiters:
                waiter.put(BREAK)
            return Reply(204)
        return Reply(501, {"message": f"{method} {verb}"})

    def attach(self, container: str, sock: socket.socket) -> bool:
        """Send the output to a socket from now on; False if there is no such container."""
        with self.lock:
            task = self.tasks.get(container)
            if task is None:
                return False
            if task.state == "exited":
                sock.close()
            else:
                task.sockets.append(sock)
            return True

    def _event(self, task: Task, action: str) -> None:
        for each in self.listeners:
            each.put(json.dumps({"Action": action, "Actor": {"ID": task.id}}).encode() + b"\n")

    def print(self, task: Task, data: bytes) -> None:
        with self.lock:
            if task.state != "running":
                return
            task.output.append(data)
            for sock in task.sockets:
                with contextlib.suppress(OSError):
                    sock.sendall(frame(data))

    def exit(self, task: Task, code: int, killed: str = "") -> None:
        with self.lock:
            if task.state != "running":
                return
            task.state, task.code, task.killed = "exited", code, killed
            for sock in task.sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            task.sockets.clear()
            self._event(task, "die")
            for waiter in task.waiters:
                waiter.put(json.dumps({"StatusCode": code}).encode())
                waiter.put(END)

    def break_events(self) -> None:
        """Cut the connection that the gateway hears events on."""
        with self.lock:
            for each in self.listeners:
                each.put(BREAK)
            self.listeners.clear()
