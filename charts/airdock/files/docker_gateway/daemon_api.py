"""Requests to the node's Docker daemon, on http.client over its unix socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from .api_versions import spoken_with
from .backend import ApiError
from .health import log

#: Seconds for a request that is no stream.
TIMEOUT = 50.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path
        self._plain: socket.socket | None = None

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self._plain = self.sock
        self.sock.connect(self._path)

    def cut(self) -> None:
        """End it, from any thread: a read that waits returns."""
        if self._plain:
            with contextlib.suppress(OSError):
                self._plain.shutdown(socket.SHUT_RDWR)


class DaemonApi:
    """A client of one daemon, safe to use from many threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._version = ""
        #: Takes out of an error's message what authors do not see.
        self.clean: Callable[[str], str] = str

    def open(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None,
        headers: Mapping[str, str] | None = None, timeout: float | None = TIMEOUT, versioned: bool = True,
    ) -> tuple[UnixConnection, http.client.HTTPResponse]:  # fmt: skip
        """Send a request; gives connection and answer, or raises ApiError for any answer but success."""
        connection = UnixConnection(self._path, timeout)
        fields = dict(headers or {})
        data = None
        if body is not None:
            data, fields["Content-Type"] = json.dumps(body).encode(), "application/json"
        target = (self._prefix() if versioned else "") + path + (f"?{urlencode(query)}" if query else "")
        try:
            connection.request(method, target, data, fields)
            response = connection.getresponse()
            if response.status < 300 or response.status == 304:
                return connection, response
            text = response.read(64 * 1024)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _silent(error) from None
        connection.close()
        try:
            message = str(json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            message = text.decode("utf-8", "replace").strip()
        message = self.clean(message) or f"the daemon answered {response.status}"
        raise ApiError(response.status, message, "daemon")

    def call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None,
        timeout: float | None = TIMEOUT, versioned: bool = True, raw: bool = False,
    ) -> Any:  # fmt: skip
        """Send a request and give its JSON answer; `raw` reads none."""
        return self.finish(*self.open(method, path, query, body, None, timeout, versioned), raw)

    def finish(
        self, connection: UnixConnection, response: http.client.HTTPResponse, raw: bool = False
    ) -> Any:
        """Read an answer that was opened to its end, and give its JSON."""
        try:
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(503, f"the node's Docker daemon broke off: {error}", "daemon") from None
        finally:
            connection.close()
        if response.status == 304:
            return {"status": 304}
        return json.loads(data) if data and not raw else {}

    def destroy(self, container_id: str) -> None:
        """Remove a container with its anonymous volumes, also if it runs."""
        self.call("DELETE", f"/containers/{container_id}", {"force": "1", "v": "1"})

    def _prefix(self) -> str:
        if not self._version:
            self._version = str(spoken_with(self.call("GET", "/version", versioned=False)["ApiVersion"]))
        return f"/v{self._version}"

    def hijack(self, target: str) -> socket.socket:
        """Open a raw stream; raises ApiError if the daemon does not switch."""
        prefix = self._prefix()
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(TIMEOUT)
            sock.connect(self._path)
            headers = "Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
            sock.sendall(f"POST {prefix}{target} HTTP/1.1\r\n{headers}".encode("ascii"))
            answer = b""
            # One byte at a time: what follows the head belongs to the stream.
            while not answer.endswith(b"\r\n\r\n"):
                byte = sock.recv(1)
                if not byte or len(answer) > 16 * 1024:
                    raise OSError("the connection ended")
                answer += byte
            status = int(answer.split(b" ", 2)[1])
            if status == 101:
                sock.settimeout(None)
                return sock
            length = re.search(rb"(?i)content-length: *(\d+)", answer)
            text = sock.recv(min(int(length[1]), 4096)) if length else b""
        except (OSError, ValueError) as error:
            sock.close()
            raise _silent(error) from None
        sock.close()
        message = text.decode("utf-8", "replace")[:500] or "not attached"
        raise ApiError(status if status >= 400 else 500, self.clean(message), "daemon")


def quietly(work: Callable[..., Any], *arguments: Any) -> None:
    """Do something that may fail: a failure is logged, and none if the thing does not exist."""
    try:
        work(*arguments)
    except ApiError as error:
        if error.status not in (404, 409):
            log("daemon-failed", error=error.message)


def _silent(error: Exception) -> ApiError:
    return ApiError(
        503, f"the node's Docker daemon does not answer: {error or type(error).__name__}", "daemon"
    )
