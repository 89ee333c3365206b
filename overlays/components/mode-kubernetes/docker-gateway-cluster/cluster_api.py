"""The few requests to the Kubernetes API that the gateway makes, on http.client.

10 MiB against the 60 of a client library.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from .cluster_websocket import WebSocket, accepted, request_headers
from .health import log
from .settings import Kubernetes

Object = dict[str, Any]
#: Seconds for a request that is no stream.
TIMEOUT = 10.0
_IDLE_CONNECTIONS = 8
_READ = 64 * 1024
#: Answers after which a request is sent again.
RETRIED = {429, 500, 502, 503, 504}


class ApiStatus(Exception):
    """The API server's answer other than success; `code` 0 when there was none."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message or reason)
        self.code, self.reason, self.message = code, reason, message or reason


class Stream:
    """A body that comes as the server sends it.

    A log comes in a chunk and a TLS record for each line. So this reads what is there at once, and takes the
    chunks apart itself: http.client's reader costs several times as much per line.
    """

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection, self._response = connection, response
        # The response takes the socket from the connection when the server says "close".
        self._socket: socket.socket | None = connection.sock
        self._file = response.fp
        self._chunks = Chunks() if response.chunked else None

    def read(self) -> bytes:
        """Give what is there, at least a byte; empty at an orderly end.

        Raises OSError or HTTPException at any other.
        """
        if self._chunks is None:
            return self._response.read1(_READ)
        out = b""
        while not self._chunks.ended and len(out) < _READ and (not out or self._more()):
            data = self._file.read1(_READ)
            if not data:
                if out:
                    break
                raise http.client.IncompleteRead(b"")
            out += self._chunks.feed(data)
        return out

    def _more(self) -> bool:
        """Tell whether there is something to read now."""
        sock = self._socket
        if sock is None:
            return False
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """End it, from any thread: a read that waits returns."""
        try:
            if self._socket:
                self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def release(self) -> None:
        """Free the connection, from the thread that reads."""
        self._response.close()
        self._connection.close()


class Chunks:
    """Takes a chunked body apart (RFC 9112, 7.1)."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0  # bytes of the current chunk, its line end included
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes, give the content among them. Raises HTTPException for what is no chunk."""
        data = self._rest + data
        out: list[bytes] = []
        place, size = 0, len(data)
        while place < size and not self.ended:
            if self._left > 2:
                piece = data[place : place + self._left - 2]
                out.append(piece)
                place += len(piece)
                self._left -= len(piece)
            elif self._left:
                skipped = min(self._left, size - place)
                place += skipped
                self._left -= skipped
            else:
                end = data.find(b"\r\n", place)
                if end < 0:
                    break
                try:
                    length = int(data[place:end].split(b";")[0], 16)
                except ValueError:
                    raise http.client.HTTPException("a chunk has no size") from None
                place = end + 2
                self._left = length + 2
                self.ended = length == 0
        self._rest = data[place:]
        if len(self._rest) > 1024:
            raise http.client.HTTPException("a chunk has no size")
        return b"".join(out)


class KubernetesApi:
    """A client for one API server and one token, safe to use from many threads."""

    def __init__(self, settings: Kubernetes) -> None:
        server = settings.server
        if not server:
            host, port = (
                os.environ.get("KUBERNETES_SERVICE_HOST", ""),
                os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
            )
            server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self._address = urlsplit(server)
        self._token_file = Path(settings.token_file)
        self._ca_file = settings.ca_file
        self._context: ssl.SSLContext | None = None
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._lock = threading.Lock()
        #: Requests by verb and resource, for the metrics.
        self.requests: Counter[str] = Counter()

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        patience: float = 0.0,
    ) -> Object:
        """Send one request, again for up to `patience` seconds while the server is away. Raises ApiStatus.

        A request that is sent again must mean the same when it was carried out the first time.
        """
        deadline = time.monotonic() + patience
        delay = 0.1
        while True:
            try:
                return self._once(method, path, query, body)
            except ApiStatus as status:
                # Another pod used the quota at the same time.
                quota = method == "POST" and status.code == 409 and status.reason == "Conflict"
                retried = not status.code or status.code in RETRIED or quota
                if not retried or time.monotonic() + delay > deadline:
                    raise
            time.sleep(delay * (0.7 + os.urandom(1)[0] / 425))
            delay = min(delay * 2, 3.0)

    def _once(self, method: str, path: str, query: Mapping[str, str] | None, body: Any) -> Object:
        connection, fresh = self._connection(), False
        while True:
            try:
                response = self._send(connection, method, path, query, body)
                data = response.read()
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # The server may close an idle connection at any time; a fresh one decides.
                if fresh or not isinstance(
                    error, http.client.RemoteDisconnected | ConnectionError | ssl.SSLEOFError
                ):
                    raise ApiStatus(0, "Unreachable", f"the Kubernetes API did not answer: {error}") from None
                connection, fresh = self._connect(TIMEOUT), True
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                if len(self._idle) < _IDLE_CONNECTIONS:
                    self._idle.append(connection)
                    connection = None  # type: ignore[assignment]
            if connection is not None:
                connection.close()
        return _object(response.status, data)

    def stream(self, path: str, query: Mapping[str, str], timeout: float | None) -> Stream:
        """Open a streamed answer; `timeout` seconds for each read, None for ever. Raises ApiStatus."""
        connection = self._connect(TIMEOUT)
        try:
            response = self._send(connection, "GET", path, query, None)
            if response.status != 200:
                data = response.read(64 * 1024)
                connection.close()
                _object(response.status, data)
                raise ApiStatus(response.status, "Unexpected", "no stream")
            stream = Stream(connection, response)
            if stream._socket:
                stream._socket.settimeout(timeout)
            return stream
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ApiStatus(0, "Unreachable", f"the Kubernetes API did not answer: {error}") from None

    def websocket(self, path: str, query: Mapping[str, str], protocol: str) -> WebSocket:
        """Open a WebSocket. Raises ApiStatus; its reason is "Lost" if the server may have opened it."""
        connection = self._connect(TIMEOUT)
        reason, headers = "Unreachable", request_headers(protocol)
        try:
            _open(connection)
            reason = "Lost"
            response = self._send(connection, "GET", path, query, None, headers)
            sock = connection.sock
            if response.status != 101 or sock is None:
                data = response.read(64 * 1024)
                _object(response.status, data)
                raise ApiStatus(response.status, "Unexpected", "the server opens no WebSocket")
            same = response.headers.get("Sec-WebSocket-Accept") == accepted(headers["Sec-WebSocket-Key"])
            if not same or response.headers.get("Sec-WebSocket-Protocol") != protocol:
                raise ApiStatus(0, "Lost", f"the server does not speak {protocol}")
            sock.setblocking(False)
            begun = b""
            with contextlib.suppress(OSError):  # nothing came yet
                begun = response.fp.peek() or b""
            return WebSocket(sock, begun)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ApiStatus(0, reason, f"the Kubernetes API did not answer: {error}") from None
        except ApiStatus:
            connection.close()
            raise

    def watch(self, path: str, selector: str, version: str, seconds: int = 240) -> Iterator[Object]:
        """Yield watch events from `version` on, until the server ends it.

        Raises ApiStatus, code 410 to list anew.
        """
        query = {
            "watch": "1",
            "labelSelector": selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        # Bookmarks come every minute: a connection that is silent for longer is dead.
        stream = self.stream(path, query, timeout=100.0)
        buffer = b""
        try:
            while True:
                try:
                    data = stream.read()
                except (OSError, http.client.HTTPException) as error:
                    raise ApiStatus(0, "Unreachable", f"the watch broke: {error}") from None
                if not data:
                    return
                *lines, buffer = (buffer + data).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise ApiStatus(
                            status.get("code", 0), status.get("reason", ""), status.get("message", "")
                        )
                    yield event
        finally:
            stream.release()

    def _connection(self) -> http.client.HTTPConnection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._connect(TIMEOUT)

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._ca_file)
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        more: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        _open(connection)
        # The kubelet replaces the token's file before it expires, so it is read each time.
        headers = {"Accept": "application/json", "User-Agent": "airdock-docker-gateway", **(more or {})}
        try:
            headers["Authorization"] = f"Bearer {self._token_file.read_text().strip()}"
        except OSError as error:
            raise ApiStatus(401, "NoToken", f"the service account's token cannot be read: {error}") from None
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = f"application/{'merge-patch+' if method == 'PATCH' else ''}json"
        kind = (
            path.rstrip("/").rpartition("/")[2]
            if path.endswith(("/log", "/attach"))
            else path.split("/namespaces/")[-1].split("/")[1:2]
        )
        self.requests[f"{method} {kind if isinstance(kind, str) else ''.join(kind)}"] += 1
        connection.request(method, path + (f"?{urlencode(query)}" if query else ""), data, headers)
        return connection.getresponse()


def _open(connection: http.client.HTTPConnection) -> None:
    """Connect, if it is not done yet. Raises HTTPException."""
    if connection.sock is not None:
        return
    try:
        connection.connect()
    except OSError as error:
        raise http.client.HTTPException(str(error)) from None
    sock: Any = connection.sock
    # A server that is gone without a word is noticed after a minute.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def pods_path(namespace: str, name: str = "", sub: str = "") -> str:
    """Give the path of a namespace's pods, of one pod, or of one of its subresources."""
    return "/".join(filter(None, (f"/api/v1/namespaces/{quote(namespace)}/pods", quote(name), sub)))


@contextlib.contextmanager
def logged(what: str) -> Iterator[None]:
    """Log an error, whatever it is, in the place of raising it."""
    try:
        yield
    except Exception as error:
        log(f"{what}-failed", error=str(error) if isinstance(error, ApiStatus) else repr(error))


def _object(status: int, data: bytes) -> Object:
    try:
        value = json.loads(data)
    except ValueError:
        value = {"message": data[:500].decode("utf-8", "replace").strip()}
    if not isinstance(value, dict):
        value = {}
    if status >= 300:
        raise ApiStatus(status, value.get("reason", ""), value.get("message", "") or f"HTTP status {status}")
    return value
