"""pods/attach of a stand-in: a WebSocket as a node's container runtime serves it, with v4.channel.k8s.io.

As in containerd: what ends an attach connection, in whatever way, ends the input of a container with
stdinOnce.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import time
from typing import BinaryIO

from .cluster import ClusterWorld
from .programs import command
from .world import Task

PROTOCOL = "v4.channel.k8s.io"
CLOSE = struct.pack(">BBH", 0x88, 2, 1000)
#: Bytes that are on their way to a container that does not read.
_PIPE = 128 * 1024


def frame(payload: bytes, head: int = 0x82) -> bytes:
    """Give a frame of a server with a short payload."""
    assert len(payload) < 126
    return bytes((head, len(payload))) + payload


def status(value: str, message: str = "") -> bytes:
    """Give the last message of an attach connection."""
    return frame(b"\x03" + json.dumps({"status": value, "message": message}).encode())


def read(file: BinaryIO) -> tuple[int, bytes]:
    """Read a client's frame. Raises ConnectionError."""
    head = file.read(2)
    if len(head) < 2:
        raise ConnectionError("the connection ended")
    size = head[1] & 0x7F
    assert head[1] & 0x80, "a client's frames are masked"
    for mark, form in ((126, ">H"), (127, ">Q")):
        if size == mark:
            (size,) = struct.unpack(form, file.read(struct.calcsize(form)))
    mask, data = file.read(4), file.read(size)
    key = (mask * (size // 4 + 1))[:size]
    clear = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
    return head[0], clear.to_bytes(size, "big")


def serve(
    world: ClusterWorld, name: str, query: dict[str, str], headers: dict[str, str], sock: socket.socket,
    file: BinaryIO,
) -> None:  # fmt: skip
    """Answer one request, and take input until it ends."""
    with world.lock:
        world.requests.append(f"GET attach {query}")
        task = world.tasks.get(name)
        refused = world.attach_refusal or ("" if task and task.state == "running" else "container not found")
        if refused or task is None:
            code, _, message = refused.rpartition(" / ")
            body = message.encode()
            head = f"HTTP/1.1 {code or 500} No\r\nContent-Length: {len(body)}\r\n\r\n"
            sock.sendall(head.encode() + body)
            return
        assert (query["stdin"], query["stdout"], query["stderr"]) == ("true", "false", "false")
        assert headers["sec-websocket-protocol"] == PROTOCOL
        key = headers["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest()).decode()
        sock.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n".encode()
            + frame(b"\x03")
        )
        task.sockets.append(sock)
    try:
        _take(task, sock, file)
    finally:
        main = task.spec["spec"]["containers"][0]
        if main.get("stdinOnce") and not main.get("tty"):
            task.input_ended.set()
        with world.lock, contextlib.suppress(ValueError):
            task.sockets.remove(sock)


def _take(task: Task, sock: socket.socket, file: BinaryIO) -> None:
    while True:
        head, data = read(file)
        while task.deaf:
            time.sleep(0.02)
        if head == 0x88:
            sock.sendall(CLOSE)
            return
        assert head == 0x82, "a message is one binary frame"
        if data[:1] == b"\x00":
            task.input += data[1:]
        elif data[:1] == b"\x04":
            task.sizes.append(json.loads(data[1:]))
        while command(task)[:1] == ("sleep",) and len(task.input) > _PIPE and task.alive:
            time.sleep(0.02)


def end(task: Task) -> None:
    """End the connections to a container that has ended, as the runtime does."""
    for sock in task.sockets:
        with contextlib.suppress(OSError):
            sock.sendall(status("Success") + CLOSE)
            sock.shutdown(socket.SHUT_WR)
    task.sockets.clear()
