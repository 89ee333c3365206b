"""A Docker daemon that runs nothing: it keeps what it is sent, and answers as dockerd does to the gateway.

tests/e2e/gateway_daemon asks the real one.
"""

from __future__ import annotations

import http.server
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from docker_gateway.daemon import Daemon
from docker_gateway.health import Metrics
from docker_gateway.settings import Daemon as Rules
from docker_gateway.settings import Settings

IMAGE_ID = "sha256:" + "1" * 64


class RecordingDaemon:
    """Images by the name that they are asked by; containers by id; every request that was not a look."""

    def __init__(self) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self.containers: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.sizes: dict[str, int] = {}
        self.volumes: dict[str, int] = {}
        #: (method, path) -> (status, body) of an answer that is not the usual one.
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.headers: list[dict[str, str]] = []

    def image(self, name: str, **config: Any) -> None:
        """Add an image."""
        self.images[name] = {
            "Id": IMAGE_ID, "Os": "linux", "Architecture": "amd64", "Variant": "", "Config": config,
        }  # fmt: skip

    def asked(self, method: str, path: str) -> list[tuple[dict[str, str], Any]]:
        """Give the queries and bodies of requests whose path begins with `path`."""
        return [(q, b) for m, p, q, b in self.requests if m == method and p.startswith(path)]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Answer one request; a list is sent as lines."""
        self.requests.append((method, path, query, body))
        if given := self.answers.get((method, path)):
            return given
        if path == "/version":
            return 200, {"ApiVersion": "1.47"}
        if match := re.fullmatch(r"/images/(.+)/json", path):
            if image := self.images.get(match[1]):
                return 200, image
            return 404, {"message": f"No such image: {match[1]}"}
        if path == "/images/create":
            return 200, [{"status": "Pulling"}]
        if path == "/containers/create":
            return self._create(query.get("name", ""), body)
        if path == "/containers/json":
            return 200, list(map(self._listed, self.containers))
        if path == "/system/df":
            sizes = [{"Name": name, "UsageData": {"Size": size}} for name, size in self.volumes.items()]
            return 200, {"Volumes": sizes}
        if match := re.fullmatch(r"/containers/([0-9a-f]{64})(?:/(json|start|stop))?", path):
            if method == "DELETE":
                self.containers.pop(match[1], None)
            if match[2] == "json":
                return 200, self.containers[match[1]]
            return 204, None
        return 200, {}

    def _create(self, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        if any(each["Name"] == f"/{name}" for each in self.containers.values() if name):
            return 409, {
                "message": f'Conflict. The container name "/{name}" is already in use by container "x".'
            }
        number = f"{len(self.requests):064x}"
        image = next(each for each in self.images.values() if each["Id"] == body["Image"])
        # As dockerd merges an image into a container.
        labels = {**(image["Config"].get("Labels") or {}), **body.get("Labels", {})}
        config = {key: value for key, value in body.items() if key != "HostConfig"} | {"Labels": labels}
        self.containers[number] = {
            "Id": number, "Name": f"/{name or 'festive_curie'}", "Config": config,
            "HostConfig": body["HostConfig"], "State": {},
        }  # fmt: skip
        return 201, {"Id": number, "Warnings": []}

    def _listed(self, number: str) -> dict[str, Any]:
        found = self.containers[number]
        return {
            "Id": number, "Names": [found["Name"]], "Labels": found["Config"]["Labels"],
            "SizeRw": self.sizes.get(number, 0),
            "Mounts": [{"Type": "volume", "Name": name} for name in self.volumes],
        }  # fmt: skip


@contextmanager
def recording(path: Path, **rules: Any) -> Iterator[tuple[RecordingDaemon, Daemon]]:
    """Serve a recording daemon on a socket; gives it and a backend in front of it, whose threads rest."""
    daemon = RecordingDaemon()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            target = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            daemon.headers.append(dict(self.headers))
            where = re.sub(r"^/v1\.\d+", "", unquote(target.path))
            status, answer = daemon.answer(self.command, where, dict(parse_qsl(target.query)), body)
            lines = [answer] if not isinstance(answer, list) or where.endswith("/json") else answer
            data = b"" if answer is None else b"".join(json.dumps(each).encode() + b"\n" for each in lines)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = handle_any

        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *args: Any) -> None: ...

    server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    known = {"cgroup_parent": "none", **rules, "socket": str(path)}
    settings = Settings(backend="daemon", owner="0f1e2d3c-4b5a", worker_group="g", daemon=Rules(**known))
    try:
        yield daemon, Daemon(settings, Metrics())
    finally:
        server.shutdown()
        server.server_close()
