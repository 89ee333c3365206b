"""The little of WebSocket (RFC 6455) that `attach` needs, as a client, on a socket that never blocks.

One thread polls the socket and calls `receive` and `flush`: a TLS connection is not safe to use from two.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import struct

#: Bytes of a message that is received, and of what is read at once.
_LARGEST, _READ = 64 * 1024, 64 * 1024
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
_NORMAL = struct.pack(">H", 1000)


class Broken(Exception):
    """The connection ended without a closing frame, or what came is no WebSocket."""


def request_headers(protocol: str) -> dict[str, str]:
    """Give the headers that ask for a WebSocket with one subprotocol."""
    return {
        "Accept": "*/*",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Protocol": protocol,
    }


def accepted(key: str) -> str:
    """Give the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    # The RFC asks for SHA-1, which protects nothing here.
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


class WebSocket:
    """The client's end of an open connection."""

    def __init__(self, sock: socket.socket, received: bytes = b"") -> None:
        """Take a socket after the handshake; `received` came with the answer already."""
        self._socket = sock
        sock.setblocking(False)
        self._in, self._out = bytearray(received), bytearray()
        self._message: bytearray | None = None
        self._ended = False
        #: The server has sent its closing frame.
        self.closed = False

    def fileno(self) -> int:
        """Give the descriptor to poll."""
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        """Tell whether `flush` has something to send."""
        return bool(self._out)

    def send(self, data: bytes) -> None:
        """Take a binary message, to be sent as the server takes it. One at a time keeps memory small."""
        self._frame(_BINARY, data)
        self.flush()

    def close(self) -> None:
        """Say that no message follows. The server's closing frame says that it has read them all."""
        self._frame(_CLOSE, _NORMAL)
        self.flush()

    def flush(self) -> None:
        """Send what the connection takes now. A connection that broke is reported by `receive`.

        What the server said before may still be there to read.
        """
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self._out.clear()

    def receive(self) -> list[bytes]:
        """Give the messages that are there. Raises Broken, but never before the last of them was given."""
        if not self._ended and not self.closed:
            self._read()
        messages = self._messages()
        if self._ended and not self.closed and not messages:
            raise Broken("the connection ended")
        return messages

    def release(self) -> None:
        """Free the connection."""
        self._socket.close()

    def _read(self) -> None:
        try:
            # TLS may hold more than poll knows of.
            while len(self._in) < 2 * _LARGEST:
                data = self._socket.recv(_READ)
                if not data:
                    self._ended = True
                    return
                self._in += data
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self._ended = True

    def _messages(self) -> list[bytes]:
        found = []
        while not self.closed and (frame := self._next()):
            code, final, data = frame
            if code == _PING:
                if len(self._out) < _LARGEST:
                    self._frame(_PONG, data)
                    self.flush()
            elif code == _CLOSE:
                self.closed = True
            elif code in (_CONTINUATION, _TEXT, _BINARY):
                if (code == _CONTINUATION) == (self._message is None):
                    raise Broken("a message begins inside another one, or goes on without a begin")
                self._message = bytearray() if self._message is None else self._message
                self._message += data
                if len(self._message) > _LARGEST:
                    raise Broken(f"a message is longer than {_LARGEST} bytes")
                if final:
                    found.append(bytes(self._message))
                    self._message = None
            elif code != _PONG:
                raise Broken(f"a frame has the unknown type {code}")
        return found

    def _next(self) -> tuple[int, bool, bytes] | None:
        """Take the next frame, if all of it is there: type, whether a message ends with it, content."""
        if len(self._in) < 2:
            return None
        first, second = self._in[0], self._in[1]
        code, final, size, begin = first & 0x0F, bool(first & _FINAL), second & 0x7F, 2
        if first & 0x70 or second & _MASKED or (code >= _CLOSE and (size > 125 or not final)):
            raise Broken("a frame breaks the protocol")
        for mark, form in ((126, ">H"), (127, ">Q")):
            if size == mark:
                begin += struct.calcsize(form)
                if len(self._in) < begin:
                    return None
                (size,) = struct.unpack_from(form, self._in, 2)
                break
        if size > _LARGEST:
            raise Broken(f"a frame is longer than {_LARGEST} bytes")
        if len(self._in) < begin + size:
            return None
        data = bytes(self._in[begin : begin + size])
        del self._in[: begin + size]
        return code, final, data

    def _frame(self, code: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = struct.pack(">BB", _FINAL | code, _MASKED | size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", _FINAL | code, _MASKED | 126, size)
        else:
            head = struct.pack(">BBQ", _FINAL | code, _MASKED | 127, size)
        mask = os.urandom(4)
        key = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
        self._out += head + mask + masked.to_bytes(size, "big")
