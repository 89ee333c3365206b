"""A stand-in on a real socket: the little HTTP that the gateway's clients speak."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl, unquote

from . import attach
from .cluster import ClusterWorld
from .daemon import DaemonWorld
from .world import World


class Front:
    """Serves a world on a unix socket, or on a TCP port of localhost where no path is given."""

    def __init__(self, world: World, path: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._world, self._tls = world, tls
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen(512)
        server = "https://localhost" if tls else "http://127.0.0.1"
        self.address = str(path) if path else f"{server}:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="stand-in", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), name="stand-in", daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self, sock: socket.socket) -> None:
        kept = False
        try:
            if self._tls:
                self._open.discard(sock)
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.add(sock)
            with sock.makefile("rb") as file:
                while not kept and (line := file.readline()):
                    kept = self._answer(sock, file, line)
        except OSError:
            pass
        finally:
            self._open.discard(sock)
            if not kept:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()

    def _answer(self, sock: socket.socket, file: BinaryIO, line: bytes) -> bool:
        """Answer one request; True if the socket belongs to the world now."""
        method, target, _ = line.decode().split()
        headers: dict[str, str] = {}
        while header := file.readline().strip().decode():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        body = file.read(length)
        if len(body) < length:
            raise ConnectionError("half a request")
        path, _, query = target.partition("?")
        path = unquote(path)
        if isinstance(self._world, DaemonWorld) and path.endswith("/attach"):
            with self._world.lock:
                sock.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
                return self._world.attach(path.split("/")[-2], sock)
        fields = dict(parse_qsl(query, keep_blank_values=True))
        if isinstance(self._world, ClusterWorld) and path.endswith("/attach"):
            self._world.end_inputs = attach.end
            attach.serve(self._world, path.split("/")[-2], fields, headers, sock, file)
            raise ConnectionError("the WebSocket ended")
        reply = self._world.handle(method, path, fields, json.loads(body) if body else None)
        head = f"HTTP/1.1 {reply.status} OK\r\nContent-Type: application/json\r\n".encode()
        if reply.pieces is None:
            data = b"" if reply.status in (204, 304) else json.dumps(reply.body).encode()
            sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(data) + data)
            return False
        sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in reply.pieces:
            sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        return False
