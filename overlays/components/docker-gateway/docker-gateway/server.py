"""The unix socket: connections, routing, and answers.

Every error is JSON, as DockerOperator shows nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from .api_versions import API, ApiVersion
from .backend import ApiError, AttachOptions, Backend, Disconnect, Stream
from .fields import without_temporary
from .hangups import HANGUPS, hung_up
from .health import Metrics, log
from .labels import DAG, TASK
from .listener import Listener, max_connections
from .model import BadBody, mapping, parse_create, parse_json, string
from .wire import Closed, Connection, RawStream, Request, WireError

_PATH = re.compile(r"(?:/v(?P<major>[0-9]{1,2})\.(?P<minor>[0-9]{1,3}))?(?P<rest>/.*)\Z")
_CONTAINER = re.compile(r"/containers/(?P<id>[A-Za-z0-9][A-Za-z0-9_.-]{0,254})(?:/(?P<verb>[a-z]+))?\Z")
_SWARM = re.compile(r"/(?:swarm|services|tasks|nodes|secrets|configs)(?:/|\Z)")
Handler = Callable[[Connection, Request], None]


class Server:
    """Serves one backend on one socket."""

    def __init__(self, path: Path, backend: Backend, metrics: Metrics) -> None:
        self._backend, self._metrics = backend, metrics
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        # Owner and group from the start, not only after a chmod.
        mask = os.umask(0o117)
        try:
            sock.bind(str(path))
        finally:
            os.umask(mask)
        sock.listen(512)
        self._listener = Listener(sock, max_connections(), "connection", self._connection)
        # Creates and starts that are under way.
        self._under_way, self._ended = 0, threading.Condition()
        self._fixed: dict[tuple[str, str], Handler] = {
            ("GET", "/_ping"): self._ping,
            ("HEAD", "/_ping"): self._ping,
            ("GET", "/version"): lambda c, r: c.respond_json(200, self._backend.version()),
            ("GET", "/images/json"): self._images,
            ("POST", "/images/create"): self._pull,
            ("POST", "/auth"): self._login,
            ("POST", "/containers/create"): self._create,
        }

    def serve(self) -> None:
        """Accept connections until `close`."""
        self._listener.serve()

    def close(self) -> None:
        """Accept no connection and no container any more. Safe in a signal handler."""
        self._listener.close()

    def drain(self, seconds: float) -> None:
        """Wait for the creates and starts that were let in before `close`."""
        with self._ended:
            self._ended.wait_for(lambda: not self._under_way, seconds)

    def alive(self) -> str:
        """Empty unless only a restart can help, else why."""
        return HANGUPS.problem() or self._listener.problem() or self._backend.alive()

    def ready(self) -> str:
        """Empty when containers can be created, started, watched and ended, else why not."""
        return "the gateway is ending" if self._listener.closing else self.alive() or self._backend.ready()

    @contextlib.contextmanager
    def _let_in(self) -> Iterator[None]:
        """Refuse a create or start of a container that this gateway could not end with its task."""
        with self._ended:
            if self._listener.closing:
                raise ApiError(503, "the Docker gateway is ending with the worker's pod", "ending")
            if problem := self.alive():
                raise ApiError(503, f"the Docker gateway takes no containers: {problem}", "unwell")
            self._under_way += 1
        try:
            yield
        finally:
            with self._ended:
                self._under_way -= 1
                self._ended.notify_all()

    def _connection(self, sock: socket.socket) -> None:
        self._metrics.opened("connections")
        try:
            connection = Connection(sock)
            while self._request(connection):
                pass
        except (OSError, Closed):
            pass
        except Disconnect as reason:
            log("disconnect", reason=str(reason))
        finally:
            self._metrics.opened("connections", -1)
            HANGUPS.forget(sock)

    def _request(self, connection: Connection) -> bool:
        """Answer one request; False if the connection is to end."""
        try:
            request = connection.read()
        except WireError as error:
            self._metrics.refused("wire")
            connection.respond_json(error.status, {"message": error.message}, close=True)
            return False
        try:
            return self._route(connection, request)
        except ApiError as error:
            self._metrics.refused(error.reason)
            if error.status != 404:
                log(
                    "refused",
                    path=request.path[:200],
                    status=error.status,
                    reason=error.reason,
                    message=error.message,
                    dag=error.dag,
                    task=error.task,
                )
            connection.respond_json(error.status, {"message": error.message})
        except BadBody as error:
            self._metrics.refused("body")
            log("refused", path=request.path[:200], status=400, reason="body", message=str(error))
            connection.respond_json(400, {"message": str(error)})
        return request.headers.get("connection", "").lower() != "close"

    def _route(self, connection: Connection, request: Request) -> bool:
        match = _PATH.match(request.path)
        if not match:
            raise ApiError(404, "page not found", "endpoint")
        if match["major"]:
            _check_version(ApiVersion(int(match["major"]), int(match["minor"])))
        path = match["rest"]
        keep = request.headers.get("connection", "").lower() != "close"
        if handler := self._fixed.get((request.method, path)):
            handler(connection, request)
            return keep
        if _SWARM.match(path):
            raise ApiError(
                501,
                "Docker Swarm is not available here: use DockerOperator instead of DockerSwarmOperator",
                "endpoint",
            )
        container = _CONTAINER.match(path)
        if container:
            return self._container(connection, request, container["id"], container["verb"] or "") and keep
        return self._unknown(request, path)

    def _unknown(self, request: Request, path: str) -> bool:
        raise ApiError(
            501,
            f"{request.method} {path[:200]} is not part of the Docker API that this gateway speaks:"
            " it serves what Airflow's DockerOperator uses",
            "endpoint",
        )

    def _ping(self, connection: Connection, request: Request) -> None:
        connection.respond(
            200, b"OK", {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-cache"}
        )

    def _images(self, connection: Connection, request: Request) -> None:
        filters = mapping(parse_json(request.query.get("filters", "{}").encode()), "filters")
        references = filters.get("reference") or []
        if isinstance(references, dict):  # the older form: {"reference": {"name": true}}
            references = list(references)
        names = [string(each, "filters.reference") for each in references] or [
            request.query.get("filter", "")
        ]
        if not names[0]:
            raise ApiError(
                501, "images are listed by name only: give `filters` with one reference", "endpoint"
            )
        connection.respond_json(200, self._backend.images(names[0]))

    def _pull(self, connection: Connection, request: Request) -> None:
        name, tag = request.query.get("fromImage", ""), request.query.get("tag", "")
        if not name or "fromSrc" in request.query:
            raise ApiError(501, "images are pulled by name only: give `fromImage`", "endpoint")
        image = name if not tag else f"{name}@{tag}" if tag.startswith("sha256:") else f"{name}:{tag}"
        connection.respond_lines(self._backend.pull(image, request.headers.get("x-registry-auth", "")))

    def _login(self, connection: Connection, request: Request) -> None:
        body = mapping(parse_json(request.body), "the body")
        fields = {key: string(value, key) for key, value in body.items() if value is not None}
        self._backend.login(fields.get("serveraddress", ""), fields)
        connection.respond_json(200, {"Status": "Login Succeeded", "IdentityToken": ""})

    def _create(self, connection: Connection, request: Request) -> None:
        unknown = request.query.keys() - {"name", "platform"}
        if unknown:
            raise ApiError(400, f"the query's {min(unknown)[:80]!r} is not known", "body")
        create = parse_create(request.body, request.query.get("name", ""), request.query.get("platform", ""))
        try:
            with self._let_in():
                container, warnings = self._backend.create(create)
        except ApiError as error:
            error.dag, error.task = create.labels.get(DAG), create.labels.get(TASK)
            error.message = without_temporary(error.message, create)
            raise
        connection.respond_json(201, {"Id": container, "Warnings": warnings})

    def _container(self, connection: Connection, request: Request, container: str, verb: str) -> bool:
        backend, method = self._backend, request.method
        if (method, verb) == ("POST", "attach"):
            return self._attach(connection, request, container)
        if (method, verb) == ("POST", "start"):
            with self._let_in():
                first = backend.start(container)
            connection.respond(204 if first else 304)
        elif (method, verb) == ("POST", "wait"):
            condition = request.query.get("condition", "") or "not-running"
            if condition not in ("not-running", "next-exit", "removed"):
                raise ApiError(400, f"the condition {condition[:40]!r} is not known", "body")
            ended = backend.wait(container, condition, lambda: hung_up(connection.socket))
            # Not Docker's Error, which the docker program takes for a failure of its own. DockerOperator
            # shows every key of the answer in its exception.
            reason = {"Reason": ended.reason} if ended.reason else {}
            connection.respond_json(200, {"StatusCode": ended.code, **reason})
        elif (method, verb) == ("POST", "stop"):
            grace = request.query.get("t", "")
            if grace and not re.fullmatch(r"-?[0-9]{1,6}", grace):
                raise ApiError(400, "the query's t is not a number of seconds", "body")
            connection.respond(204 if backend.stop(container, max(int(grace), 0) if grace else None) else 304)
        elif (method, verb) == ("GET", "json"):
            connection.respond_json(200, backend.inspect(container))
        elif (method, verb) == ("GET", "archive"):
            archive = backend.archive(container, request.query.get("path", ""))
            headers = {
                "Content-Type": "application/x-tar",
                "X-Docker-Container-Path-Stat": archive.stat(),
            }
            connection.respond_chunks(archive.tar, headers)
        elif (method, verb) == ("DELETE", ""):
            backend.remove(container, request.flag("force"))
            connection.respond(204)
        else:
            return self._unknown(request, request.path)
        return True

    def _attach(self, connection: Connection, request: Request, container: str) -> bool:
        if request.query.keys() - {"logs", "stream", "stdin", "stdout", "stderr", "detachKeys"}:
            raise ApiError(400, "the query of attach holds a name that is not known", "body")
        if request.flag("stdin"):
            raise ApiError(501, "a task has no one at its standard input: attach without stdin", "endpoint")
        if not (request.flag("stdout") and request.flag("stderr")):
            raise ApiError(501, "output and errors come in one stream here: attach to both", "endpoint")
        upgraded = request.headers.get("upgrade", "").lower() == "tcp"
        entered = False

        def upgrade(tty: bool) -> Stream:
            nonlocal entered
            entered = True
            self._metrics.opened("streams")
            stream: RawStream = connection.upgrade(tty, upgraded)
            return stream

        try:
            self._backend.attach(
                container, AttachOptions(request.flag("logs"), request.flag("stream")), upgrade
            )
        except ApiError:
            if not entered:
                raise
        finally:
            if entered:
                self._metrics.opened("streams", -1)
        return False


def _check_version(version: ApiVersion) -> None:
    """Refuse a version of the API in the daemon's words."""
    if version > API.newest:
        message = f"client version {version} is too new. Maximum supported API version is {API.newest}"
    elif version < API.oldest:
        message = (
            f"client version {version} is too old. Minimum supported API version is {API.oldest}, please"
            " upgrade your client to a newer version"
        )
    else:
        return
    raise ApiError(400, message, "version")
