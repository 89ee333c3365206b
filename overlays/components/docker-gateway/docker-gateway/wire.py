"""HTTP/1.1 on a raw socket, strictly, and Docker's raw streams.

A client of the gateway runs code of DAG authors, so that nothing here is lenient: two parsers that disagree
on where a message ends are how filters are bypassed. Sources: RFC 9112 (framing), the Docker Engine API,
"Attach" (frames).
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from .api_versions import API
from .hangups import HANGUPS, hung_up
from .remarks import lines

#: Bytes of request line and headers together.
MAX_HEAD = 32 * 1024
MAX_HEADERS = 64
#: Bytes of a body. A pod that is larger than etcd's 1.5 MiB cannot exist.
MAX_BODY = 2 * 1024 * 1024
#: Bodies above this size are read a few at a time, so that many clients cannot make the process large.
_LARGE_BODY = 64 * 1024
_large_bodies = threading.BoundedSemaphore(8)
#: Seconds from a request's first byte to its last one.
REQUEST_TIMEOUT = 60.0
#: Bytes of output in one frame, which goes out in one send. The kernel queues that in one piece, so that a
#: reader that yields what one recv gives (docker-py) never sees half a frame, and no half character.
MAX_FRAME = 16 * 1024
#: Kinds of frames.
STDOUT, STDERR = 1, 2

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(rb"[\t\x20-\x7e]*\Z")
_TARGET = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?\Z")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}\Z")
_LENGTH = re.compile(r"(0|[1-9][0-9]{0,11})\Z")

#: Headers whose values are lists, which may be given in several lines (RFC 9110, 5.3).
_LISTS = {"accept"}

REASONS = {
    101: "UPGRADED", 200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified", 400: "Bad Request",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict",
    413: "Content Too Large", 417: "Expectation Failed", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}  # fmt: skip


class WireError(Exception):
    """The bytes are no request that this server understands; the connection ends after the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Closed(Exception):
    """The client closed the connection between two requests."""


@dataclass(frozen=True)
class Request:
    """One request: `headers` with lower-case names, `query` without repeated keys, `body` whole."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def flag(self, name: str) -> bool:
        """Read a boolean of the query as the daemon does: all but these words, in any case, is true."""
        return self.query.get(name, "").strip().lower() not in {"", "0", "no", "false", "none"}


@dataclass(frozen=True)
class Streams:
    """Which of a container's streams a client reads."""

    stdout: bool = True
    stderr: bool = True


BOTH = Streams()


class Connection:
    """A client's connection: requests one after the other, or a raw stream after `upgrade`."""

    def __init__(
        self, sock: socket.socket, idle: float | None = None, request: float = REQUEST_TIMEOUT,
        max_body: int = MAX_BODY, admit: Callable[[str, str], None] = lambda method, path: None,
    ) -> None:  # fmt: skip
        """`idle` are the seconds to wait for a request's first byte and to send in, None for ever.

        `admit(method, path)` raises for a request whose query and body nobody needs to read.
        """
        self.socket, self._admit = sock, admit
        #: Bytes of the last request may still come, so that there can be no other one.
        self.unread = False
        self._idle, self._request, self._max_body = idle, request, max_body
        self._buffer = bytearray()
        self._method = ""

    def read(self) -> Request:
        """Read the next request, waiting for its first byte as long as it takes.

        Raises Closed, WireError, OSError when the connection breaks, or what `admit` raises.
        """
        if not self._buffer:
            self.socket.settimeout(self._idle)
            self._receive()
        deadline = time.monotonic() + self._request
        head = self._until(b"\r\n\r\n", MAX_HEAD, deadline)
        line, *lines = head.split(b"\r\n")
        self._method, target = _request_line(line)
        headers = _headers(lines)
        path, text = _target(target)
        length = headers.get("content-length", "0")
        self.unread = bool(self._buffer) or length != "0" or "transfer-encoding" in headers
        self._admit(self._method, path)
        query = _query(text)
        body = self._body(headers, deadline)
        self.unread = False
        if self._buffer:
            raise WireError(
                400, "a second request arrived before the first was answered: pipelining is not supported"
            )
        self.socket.settimeout(self._idle)
        return Request(self._method, path, query, headers, body)

    def _receive(self, deadline: float | None = None) -> None:
        if deadline is not None:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self.socket.recv(64 * 1024)
        except TimeoutError:
            raise WireError(408, f"the request was not complete within {self._request:.0f} seconds") from None
        if not data:
            if self._buffer:
                raise WireError(400, "the connection ended inside a request")
            raise Closed
        self._buffer += data

    def _until(self, mark: bytes, limit: int, deadline: float) -> bytes:
        start = 0
        while (end := self._buffer.find(mark, start)) < 0:
            if len(self._buffer) > limit:
                raise WireError(431, f"the request line and headers are longer than {limit} bytes")
            start = max(0, len(self._buffer) - len(mark))
            self._receive(deadline)
        if end > limit:
            raise WireError(431, f"the request line and headers are longer than {limit} bytes")
        return self._take(end, len(mark))

    def _take(self, count: int, drop: int = 0) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[: count + drop]
        return taken

    def _exactly(self, count: int, deadline: float) -> bytes:
        while len(self._buffer) < count:
            self._receive(deadline)
        return self._take(count)

    def _body(self, headers: Mapping[str, str], deadline: float) -> bytes:
        length, encoding = headers.get("content-length"), headers.get("transfer-encoding")
        if length is not None and encoding is not None:
            raise WireError(400, "Content-Length and Transfer-Encoding contradict each other")
        if "expect" in headers:
            raise WireError(417, "the Expect header is not supported")
        if encoding is not None and encoding.lower() != "chunked":
            raise WireError(501, f"Transfer-Encoding {encoding!r} is not supported")
        if length is not None and not _LENGTH.match(length):
            raise WireError(400, "Content-Length is not a number")
        size = int(length or 0)
        if size > self._max_body or (encoding and not self._max_body):
            raise WireError(413, f"the body is longer than {self._max_body} bytes")
        if self._method in ("GET", "HEAD") and (size or encoding):
            raise WireError(400, f"a {self._method} request has no body")
        if not encoding and size <= _LARGE_BODY:
            return self._exactly(size, deadline)
        with _large_bodies:
            return self._chunks(deadline) if encoding else self._exactly(size, deadline)

    def _chunks(self, deadline: float) -> bytes:
        body = bytearray()
        while True:
            size_line = self._until(b"\r\n", 16, deadline)
            if not _CHUNK_SIZE.match(size_line):
                raise WireError(400, "a chunk's size is not a hexadecimal number")
            size = int(size_line, 16)
            if len(body) + size > self._max_body:
                raise WireError(413, f"the body is longer than {self._max_body} bytes")
            body += self._exactly(size, deadline)
            if self._exactly(2, deadline) != b"\r\n":
                raise WireError(400, "a chunk is longer than its size, or trailers follow the last one")
            if not size:
                return bytes(body)

    def respond(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, close: bool = False
    ) -> None:
        """Send a whole answer; its body stays away where HTTP wants none."""
        fields = dict(headers or {})
        bodiless = status in (204, 304)
        if not bodiless:
            fields["Content-Length"] = str(len(body))
        if close:
            fields["Connection"] = "close"
        head = _head(status, fields)
        self.socket.sendall(head if bodiless or self._method == "HEAD" else head + body)

    def respond_json(self, status: int, value: Any, close: bool = False, **headers: str) -> None:
        """Send a JSON answer. Keywords are further headers, with `_` for `-`."""
        fields = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        self.respond(status, json.dumps(value).encode() + b"\n", fields, close)

    def respond_lines(self, values: Iterable[Any]) -> None:
        """Send JSON values as they come, one chunk each, as the daemon sends progress."""
        lines = (json.dumps(value).encode() + b"\r\n" for value in values)
        self.respond_chunks(lines, {"Content-Type": "application/json"})

    def respond_chunks(self, chunks: Iterable[bytes], headers: Mapping[str, str]) -> None:
        """Send a body as it comes. An error in the middle leaves it without its end."""
        self.begin(headers)
        for chunk in filter(None, chunks):
            self.chunk(chunk)
        self.chunk(b"")

    def begin(self, headers: Mapping[str, str]) -> None:
        """Send the head of an answer whose body comes in chunks."""
        self.socket.sendall(_head(200, {**headers, "Transfer-Encoding": "chunked"}))

    def chunk(self, data: bytes) -> None:
        """Send a chunk of the body; an empty one is its end."""
        self.socket.sendall(_chunk(data))

    def drain(self, seconds: float = 5.0, most: int = 256 * 1024 * 1024) -> None:
        """Say that nothing more comes, and read what the client still sends, so that it reads the answer."""
        deadline = time.monotonic() + seconds
        self.socket.shutdown(socket.SHUT_WR)
        while most > 0 and (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            if not (data := self.socket.recv(64 * 1024)):
                return
            most -= len(data)

    def stream(self, tty: bool, streams: Streams = BOTH) -> ChunkedStream:
        """Begin an answer that is output of a container, as the daemon sends `logs`."""
        name = "raw" if tty else "multiplexed"
        self.begin({"Content-Type": f"application/vnd.docker.{name}-stream"})
        return ChunkedStream(self.socket, tty, streams)

    def upgrade(self, tty: bool, upgraded: bool, streams: Streams = BOTH) -> RawStream:
        """Leave HTTP: 101 if the client asked to upgrade, else 200 as the daemon does for old clients."""
        name = "raw" if tty else "multiplexed"
        fields = {"Content-Type": f"application/vnd.docker.{name}-stream"}
        if upgraded:
            fields |= {"Connection": "Upgrade", "Upgrade": "tcp"}
        self.socket.sendall(_head(101 if upgraded else 200, fields))
        return RawStream(self.socket, tty, streams)


class RawStream:
    """Output of a container: Docker's frames, or bare bytes for a terminal. Implements backend.Stream."""

    def __init__(self, sock: socket.socket, tty: bool, streams: Streams = BOTH) -> None:
        self._socket, self._tty, self._streams = sock, tty, streams
        self._kind = STDOUT if streams.stdout else STDERR
        self._held = b""

    def write(self, data: bytes) -> None:
        """Send output in frames that end between characters. Raises OSError when the client is gone."""
        self._held = self._frames(self._held + data, self._kind)

    def flush(self) -> None:
        """Send the bytes that were held back, though they are no whole character."""
        if self._held:
            self._frame(self._held, self._kind)
            self._held = b""

    def relay(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def remark(self, remarks: Iterable[str], within_line: bool = False) -> None:
        """Send what the gateway itself says as lines of the standard error, if the client reads that.

        `within_line`: the last line of the output has no end yet. A terminal has one stream for all.
        """
        if self._streams.stderr:
            self._frames(lines(remarks, within_line), STDERR)

    def _frames(self, data: bytes, kind: int) -> bytes:
        """Send frames that end between characters; gives the begin of a character that is not whole."""
        start = 0
        while len(data) - start > MAX_FRAME:
            end = _whole(data, start, start + MAX_FRAME)
            self._frame(data[start:end], kind)
            start = end
        end = _whole(data, start, len(data))
        if end > start:
            self._frame(data[start:end], kind)
        return data[end:]

    def _frame(self, data: bytes, kind: int) -> None:
        self.relay(data if self._tty else struct.pack(">BxxxL", kind, len(data)) + data)

    def read(self) -> bytes:
        """Give what the client has sent, empty at the end. Raises OSError."""
        return self._socket.recv(16 * 1024)

    def fileno(self) -> int:
        """Give the connection's descriptor."""
        return self._socket.fileno()

    def close_input(self) -> None:
        """Let a `read` that waits return."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def on_hangup(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the client has closed; a half-closed connection is not closed."""
        HANGUPS.watch(self._socket, callback)

    def hung_up(self) -> bool:
        """Tell whether the client has closed; a write can fail a moment before Linux says so."""
        return hung_up(self._socket, within=0.1)


class ChunkedStream(RawStream):
    """The same as the body of an answer, which needs its end."""

    def relay(self, data: bytes) -> None:
        """Send bytes as they are."""
        super().relay(_chunk(data))

    def end(self) -> None:
        """Say that this was all."""
        self._socket.sendall(_chunk(b""))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _whole(data: bytes, start: int, end: int) -> int:
    """Give the last index <= `end` that is not inside a UTF-8 sequence; other bytes are left as they are."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    tail = max(start, end - 3)
    # Step back over continuation bytes to where a sequence may begin.
    while tail > start and tail > end - 4 and data[tail] & 0xC0 == 0x80:
        tail -= 1
    decoder.decode(data[tail:end])
    return end - len(decoder.getstate()[0])


def _head(status: int, fields: Mapping[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}",
        "Server: airdock",
        f"Api-Version: {API.advertised}",
        "Ostype: linux",
    ]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii", "replace")


def _request_line(line: bytes) -> tuple[str, str]:
    parts = line.split(b" ")
    if len(parts) != 3 or not _TOKEN.match(parts[0]):
        raise WireError(400, "the request line is malformed")
    if parts[2] != b"HTTP/1.1":
        raise WireError(505, "only HTTP/1.1 is spoken here")
    try:
        return parts[0].decode("ascii"), parts[1].decode("ascii")
    except UnicodeDecodeError:
        raise WireError(400, "the request line holds a byte that is not ASCII") from None


def _headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise WireError(431, f"there are more than {MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        # A folded line, a space before the colon, a bare CR or LF: all end here.
        if not colon or not _TOKEN.match(name) or not _VALUE.match(value):
            raise WireError(400, "a header is malformed")
        key = name.decode("ascii").lower()
        text = value.strip(b" \t").decode("ascii")
        if key in headers:
            if key not in _LISTS:
                raise WireError(400, f"the header {key!r} is given twice")
            text = f"{headers[key]}, {text}"
        headers[key] = text
    if "host" not in headers:
        raise WireError(400, "the Host header is missing")
    return headers


def _target(target: str) -> tuple[str, str]:
    if not _TARGET.match(target) or _BAD_ESCAPE.search(target):
        raise WireError(400, "the request's path is malformed")
    path, _, query = target.partition("?")
    return path, query


def _query(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=32
        )
    except ValueError:
        raise WireError(400, "the query is malformed") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise WireError(400, f"the query gives {name!r} twice")
        found[name] = value
    return found
