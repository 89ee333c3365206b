"""A Docker daemon that records: containers do nothing but what the test says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
import threading
from typing import Any

from .world import BREAK, END, Pieces, Reply, Task, World

_CONTAINER = re.compile(r"/containers/(?P<id>[0-9a-f]{64})(?:/(?P<verb>[a-z]+))?\Z")

IMAGE: dict[str, Any] = {
    "Id": "sha256:" + "1" * 64,
    "Created": 0,
    "Size": 1,
    "Os": "linux",
    "Architecture": "amd64",
}
MOUNTS = [{"Type": "bind", "Source": "/srv/secret", "Destination": "/d"}]


def frame(data: bytes) -> bytes:
    return struct.pack(">BxxxL", 1, len(data)) + data


class DaemonWorld(World):
    """`handle` answers all but `attach`, which is a socket from the beginning."""

    daemon = True

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[Pieces] = []
        #: The newest version of the API that it speaks, and those that it was asked in.
        self.api_version, self.versions = "1.47", set[str]()
        self.volumes: dict[str, dict[str, Any]] = {}

    def handle(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        _, version, path = re.split(r"\A(?:/v(1\.\d+))?(?=/)", path)
        with self.lock:
            self.versions |= {version} if version else set()
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
            task = Task(os.urandom(32).hex(), body, name=query.get("name", ""))
            self.tasks[task.id] = task
            return Reply(201, {"Id": task.id, "Warnings": []})
        if path == "/containers/json":
            label = json.loads(query["filters"])["label"][0]
            key, _, value = label.partition("=")
            found = [t for t in self.tasks.values() if key in t.spec["Labels"]]
            found = [t for t in found if not value or t.spec["Labels"][key] == value]
            return Reply(body=list(map(self._listed, found)))
        if path == "/volumes/create":
            self.volumes[body["Name"]] = {**body, "CreatedAt": os.urandom(4).hex()}
            return Reply(201, self.volumes[body["Name"]])
        if path == "/volumes":
            return Reply(body={"Volumes": list(self.volumes.values())})
        if path.startswith("/volumes/"):
            self.volumes.pop(path.rpartition("/")[2], None)
            return Reply(204)
        if path.startswith("/images/") and path.endswith("/json") and path != "/images/json":
            if "nosuch" in path:
                return Reply(404, {"message": f"No such image: {path[8:-5]}"})
            return Reply(
                body={
                    **IMAGE,
                    "Created": "2026-01-01T00:00:00Z",
                    "RepoTags": ["busybox:1.37", "other-team/secret:1"],
                    "Config": {},
                }
            )
        if path == "/images/create":
            if "nosuch" in query["fromImage"]:
                return Reply(404, {"message": "pull access denied for nosuchimage"})
            return Reply(body={"status": "Pull complete"})
        if path == "/images/json":
            names = json.loads(query["filters"])["reference"]
            return Reply(body=[{**IMAGE, "RepoTags": [*names, "other-team/secret:1"]}])
        answers = {
            "/version": {"ApiVersion": self.api_version},
            "/info": {"Containers": 99, "ServerVersion": "29.0"},
        }
        return Reply(body=answers.get(path, {}))

    def _listed(self, task: Task) -> dict[str, Any]:
        status = {"created": "Created", "running": "Up 1 second"}.get(
            task.state, f"Exited ({task.code}) 1 second ago"
        )
        return {
            "Id": task.id, "Names": ["/" + (task.name or task.id[:9])], "Labels": task.spec["Labels"],
            "Image": task.spec["Image"], "ImageID": IMAGE["Id"], "Created": task.created,
            "Command": " ".join(task.spec.get("Cmd") or ()), "State": task.state, "Status": status,
            "Mounts": MOUNTS,
        }  # fmt: skip

    def _logs(self, task: Task, query: dict[str, str]) -> Reply:
        lines = [f"2026-01-01T00:00:{n:02}.000000001Z ".encode() * (query["timestamps"] == "1") + line
                 for n, line in enumerate(task.output)]  # fmt: skip
        if query["tail"] != "all":
            lines = lines[len(lines) - int(query["tail"]) :]
        pieces = Pieces([frame(line) for line in lines])
        if query["follow"] == "1" and task.state == "running":
            task.followers.append(pieces)
        else:
            pieces.put(END)
        return Reply(pieces=pieces)

    def _container(self, method: str, verb: str, task: Task, query: dict[str, str]) -> Reply:
        if verb == "start":
            if task.state != "created":
                return Reply(304)
            task.state = "running"
            self._event(task, "start")
            return Reply(204)
        if verb == "logs":
            return self._logs(task, query)
        if verb == "resize":
            return Reply(200, {})
        if verb == "kill":
            if not task.alive:
                return Reply(409, {"message": f"container {task.name or task.id} is not running"})
            self._event(task, "kill")
            if query["signal"] in ("SIGKILL", "SIGTERM", "SIGINT"):
                self.exit(task, 137, "gateway")
            return Reply(204)
        if verb == "stop":
            if not task.alive:
                return Reply(304)
            self._event(task, "kill")
            self.exit(task, self.term_code, "gateway")
            return Reply(204)
        if verb == "wait":
            if task.state == "exited":
                return Reply(body={"StatusCode": task.code})
            task.waiters.append(pieces := Pieces())
            return Reply(pieces=pieces)
        if verb == "json":
            name = task.name or "festive_curie"
            state = {"Status": task.state, "Running": task.alive, "ExitCode": task.code, "Pid": 4711,
                     "OOMKilled": task.killed == "OOMKilled"}  # fmt: skip
            return Reply(body={
                "Id": task.id, "Name": f"/{name}", "State": state, "Image": IMAGE["Id"],
                "Config": {"Tty": False, **{k: v for k, v in task.spec.items() if k != "HostConfig"}},
                "HostConfig": {**task.spec["HostConfig"], "CgroupParent": "/kubepods/secret"},
                "LogPath": "/var/lib/docker/secret",
                "Mounts": MOUNTS,
            })  # fmt: skip
        if verb == "archive":
            return Reply(404, {"message": "Could not find the file"})
        if method == "DELETE":
            if task.alive:
                if query.get("force") != "1":
                    words = "container is running: stop the container before removing or force remove"
                    return Reply(409, {"message": f"cannot remove container: {words}"})
                self._event(task, "kill")
                self.exit(task, 137, "gateway")
            self._remove(task)
            for waiter in task.waiters:
                waiter.put(BREAK)
            return Reply(204)
        return Reply(501, {"message": f"{method} {verb}"})

    def _remove(self, task: Task) -> None:
        self.tasks.pop(task.id, None)
        self._event(task, "destroy")

    def attach(self, container: str, sock: socket.socket) -> bool:
        """Send the output to a socket; False if there is no such container."""
        with self.lock:
            task = self.tasks.get(container)
            if task is None:
                return False
            with contextlib.suppress(OSError):
                sock.sendall(b"".join(map(frame, task.output)))
            if task.state == "exited":
                sock.close()
            else:
                task.sockets.append(sock)
                if task.spec.get("OpenStdin"):
                    threading.Thread(target=self._hear, args=(task, sock), daemon=True).start()
            return True

    def _hear(self, task: Task, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while task.state != "exited" and (data := sock.recv(65536)):
                task.input += data
        task.input_ended.set()

    def _event(self, task: Task, action: str) -> None:
        said = {"exitCode": str(task.code)} if action == "die" else {}
        for each in self.listeners:
            each.put(
                json.dumps({"Action": action, "Actor": {"ID": task.id, "Attributes": said}}).encode() + b"\n"
            )

    def print(self, task: Task, data: bytes) -> None:
        with self.lock:
            if task.state != "running":
                return
            task.output.append(data)
            for each in task.followers:
                each.put(frame(data))
            for sock in task.sockets:
                with contextlib.suppress(OSError):
                    sock.sendall(frame(data))

    def exit(self, task: Task, code: int, killed: str = "") -> None:
        with self.lock:
            if task.state != "running":
                return
            task.state, task.code, task.killed = "exited", code, killed
            self.ended.append(task)
            if task.spec.get("OpenStdin"):
                # As dockerd: the output ends, nobody reads the input, and the connection stays.
                for sock in task.sockets:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_WR)
            else:
                self._end_output(task)
            self._event(task, "die")
            for each in task.followers:
                each.put(END)
            for waiter in task.waiters:
                waiter.put(json.dumps({"StatusCode": code}).encode())
                waiter.put(END)
            if task.spec.get("HostConfig", {}).get("AutoRemove"):
                self._remove(task)

    def kill(self, task: Task) -> None:
        with self.lock:
            self._event(task, "kill")
            self.exit(task, self.term_code, "others")

    def _end_output(self, task: Task) -> None:
        for sock in task.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        task.sockets.clear()

    def cut(self, forget: bool = False) -> None:
        with self.lock:
            if forget:
                for task in self.tasks.values():
                    self._end_output(task)
            for each in self.listeners:
                each.put(BREAK)
            self.listeners.clear()
