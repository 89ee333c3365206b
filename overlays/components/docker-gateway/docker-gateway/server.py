"""The unix socket: connections, routing, and answers.

Every error is JSON, as DockerOperator shows nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from . import events, listing, not_served, queries
from .api_versions import API, ApiVersion
from .backend import ApiError, Backend, Disconnect, Stream
from .fields import without_temporary
from .hangups import HANGUPS, hung_up
from .health import Metrics, log
from .labels import DAG, TASK
from .listener import Listener, max_connections
from .model import BadBody, mapping, parse_create, parse_json, string
from .wire import ChunkedStream, Closed, Connection, Request, Streams, WireError

_PATH = re.compile(r"(?:/v(?P<major>[0-9]{1,2})\.(?P<minor>[0-9]{1,3}))?(?P<rest>/.*)\Z")
_CONTAINER = re.compile(r"/containers/(?P<id>[A-Za-z0-9][A-Za-z0-9_.-]{0,254})(?:/(?P<verb>[a-z]+))?\Z")
_IMAGE = re.compile(r"/images/(?P<name>[A-Za-z0-9][A-Za-z0-9._:/@%+-]{0,511})/json\Z")
#: The docker program waits for the head of an answer before it goes on.
_PROGRAM = "Docker-Client/"
#: The exit code of the docker program when a container did not end by itself.
_NO_CODE = 125
#: False ends the connection.
Handler = Callable[[Connection, Request], "bool | None"]
#: The same with a container's id or name.
OfContainer = Callable[[Connection, Request, str], "bool | None"]


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
            ("GET", "/info"): lambda c, r: c.respond_json(200, self._backend.info()),
            ("GET", "/events"): self._events,
            ("GET", "/containers/json"): self._list,
            ("GET", "/images/json"): self._images,
            ("POST", "/images/create"): self._pull,
            ("POST", "/auth"): self._login,
            ("POST", "/containers/create"): self._create,
        }
        self._of_containers: dict[tuple[str, str], OfContainer] = {
            ("POST", "attach"): self._attach,
            ("POST", "start"): self._start,
            ("POST", "wait"): self._wait,
            ("POST", "stop"): self._stop,
            ("POST", "kill"): self._kill,
            ("POST", "resize"): self._resize,
            ("GET", "logs"): self._logs,
            ("GET", "json"): self._inspect,
            ("GET", "archive"): self._archive,
            ("DELETE", ""): self._remove,
        }

    def serve(self) -> None:
        """Accept connections until `close`."""
        self._listener.serve()

    def close(self) -> None:
        """Accept no connection and no container any more."""
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
            connection = Connection(sock, admit=self._admit)
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
        except ApiError as error:  # of _admit
            self._refused(error, "")
            connection.respond_json(error.status, {"message": error.message}, close=connection.unread)
            if connection.unread:
                connection.drain()
            return not connection.unread
        try:
            return self._route(connection, request)
        except ApiError as error:
            self._refused(error, request.path)
            connection.respond_json(error.status, {"message": error.message})
        except BadBody as error:
            self._metrics.refused("body")
            log("refused", path=request.path[:200], status=400, reason="body", message=str(error))
            connection.respond_json(400, {"message": str(error)})
        return request.headers.get("connection", "").lower() != "close"

    def _refused(self, error: ApiError, path: str) -> None:
        self._metrics.refused(error.reason)
        if error.status != 404:
            log(
                "refused",
                path=path[:200] or None,
                status=error.status,
                reason=error.reason,
                message=error.message,
                dag=error.dag,
                task=error.task,
            )

    def _admit(self, method: str, path: str) -> None:
        """Refuse what is not served before anything else of the request is read."""
        match = _PATH.match(path)
        if not match:
            raise ApiError(404, "page not found", "endpoint")
        if match["major"]:
            _check_version(ApiVersion(int(match["major"]), int(match["minor"])))
        if self._handler(method, match["rest"]) is None:
            raise not_served.refusal(method, match["rest"])

    def _handler(self, method: str, path: str) -> Handler | None:
        """Give what serves a request; the path has no version."""
        if handler := self._fixed.get((method, path)):
            return handler
        if (image := _IMAGE.match(path)) and method == "GET":
            name = unquote(image["name"])
            return lambda connection, request: connection.respond_json(200, self._backend.image(name))
        match = _CONTAINER.match(path)
        of_one = self._of_containers.get((method, match["verb"] or "")) if match else None
        if match is None or of_one is None:
            return None
        container = match["id"]
        return lambda connection, request: of_one(connection, request, container)

    def _route(self, connection: Connection, request: Request) -> bool:
        """Serve a request; False if the connection is to end."""
        match = _PATH.match(request.path)
        handler = self._handler(request.method, match["rest"]) if match else None
        if match is None or handler is None:
            raise not_served.refusal(request.method, request.path)
        keep = handler(connection, request) is not False
        return keep and request.headers.get("connection", "").lower() != "close"

    def _ping(self, connection: Connection, request: Request) -> None:
        connection.respond(
            200, b"OK", {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-cache"}
        )

    def _images(self, connection: Connection, request: Request) -> None:
        queries.check_names(request, ("filters", "filter", "all", "only_ids", "digests", "manifests"))
        names = queries.filters(request, ("reference",)).get("reference") or (
            request.query.get("filter", ""),
        )
        connection.respond_json(200, self._backend.images(names[0]))

    def _list(self, connection: Connection, request: Request) -> None:
        options = queries.list_options(request, listing.FILTERS)
        connection.respond_json(200, self._backend.list_containers(options))

    def _events(self, connection: Connection, request: Request) -> bool:
        options = queries.event_options(request, events.FILTERS)
        connection.respond_lines(self._backend.events(options, lambda: hung_up(connection.socket)))
        return False

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

    # ---- one container

    def _start(self, connection: Connection, request: Request, container: str) -> None:
        with self._let_in():
            first = self._backend.start(container)
        connection.respond(204 if first else 304)

    def _wait(self, connection: Connection, request: Request, container: str) -> bool:
        """Answer when the container has ended.

        DockerOperator must get an error's status, which is not known before. Who names an end to come, and
        the docker program, start the container only when the head of the answer is there: they get the reason
        in the answer.
        """
        condition = request.query.get("condition", "") or "not-running"
        if condition not in ("not-running", "next-exit", "removed"):
            raise ApiError(400, f"the condition {condition[:40]!r} is not known", "body")
        early = condition != "not-running" or request.headers.get("user-agent", "").startswith(_PROGRAM)
        begun = False

        def begin() -> None:
            nonlocal begun
            begun = early
            if early:
                connection.begin({"Content-Type": "application/json"})

        try:
            ended = self._backend.wait(container, condition, lambda: hung_up(connection.socket), begin)
            # Not Docker's Error, which the docker program takes for a failure of its own. DockerOperator
            # shows every key of the answer in its exception.
            answer: dict[str, Any] = {"StatusCode": ended.code}
            answer |= {"Reason": ended.reason} if ended.reason else {}
        except ApiError as error:
            if not begun:
                raise
            self._refused(error, request.path)
            answer = {"StatusCode": _NO_CODE, "Error": {"Message": error.message}}
        if begun:
            connection.chunk(json.dumps(answer).encode() + b"\n")
            connection.chunk(b"")
        else:
            connection.respond_json(200, answer)
        return True

    def _stop(self, connection: Connection, request: Request, container: str) -> None:
        grace = queries.seconds(request, "t")
        stopped = self._backend.stop(container, grace, lambda: hung_up(connection.socket))
        connection.respond(204 if stopped else 304)

    def _kill(self, connection: Connection, request: Request, container: str) -> None:
        queries.check_names(request, ("signal",))
        self._backend.kill(container, queries.signal_name(request))
        connection.respond(204)

    def _resize(self, connection: Connection, request: Request, container: str) -> None:
        height, width = request.query.get("h", ""), request.query.get("w", "")
        if not (re.fullmatch(r"[0-9]{1,4}", height) and re.fullmatch(r"[0-9]{1,4}", width)):
            raise ApiError(400, "the query's h and w are not numbers of characters", "body")
        self._backend.resize(container, int(height), int(width))
        connection.respond(200)

    def _inspect(self, connection: Connection, request: Request, container: str) -> None:
        connection.respond_json(200, self._backend.inspect(container))

    def _archive(self, connection: Connection, request: Request, container: str) -> None:
        archive = self._backend.archive(container, request.query.get("path", ""))
        headers = {
            "Content-Type": "application/x-tar",
            "X-Docker-Container-Path-Stat": archive.stat(),
        }
        connection.respond_chunks(archive.tar, headers)

    def _remove(self, connection: Connection, request: Request, container: str) -> None:
        self._backend.remove(container, request.flag("force"))
        connection.respond(204)

    def _logs(self, connection: Connection, request: Request, container: str) -> bool:
        options = queries.log_options(request)
        stream: ChunkedStream | None = None

        def begin(tty: bool) -> Stream:
            nonlocal stream
            stream = connection.stream(tty, Streams(options.stdout, options.stderr))
            return stream

        try:
            self._backend.logs(container, options, begin)
        except ApiError as error:
            if stream is None:
                raise
            # An end without the last chunk, as an error is all that is left to say.
            raise Disconnect(error.message) from None
        if stream:
            stream.end()
        return False

    def _attach(self, connection: Connection, request: Request, container: str) -> bool:
        options = queries.attach_options(request)
        upgraded = request.headers.get("upgrade", "").lower() == "tcp"
        entered = False

        def upgrade(tty: bool) -> Stream:
            nonlocal entered
            entered = True
            self._metrics.opened("streams")
            return connection.upgrade(tty, upgraded, Streams(options.stdout, options.stderr))

        try:
            self._backend.attach(container, options, upgrade)
        except ApiError:
            if not entered:
                raise
        finally:
            if entered:
                self._metrics.opened("streams", -1)
        if options.stdin:
            # A connection that is closed with unread input is reset, and the client fails.
            connection.drain()
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
