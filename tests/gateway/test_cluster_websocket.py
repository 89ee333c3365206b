"""The gateway's WebSocket client, against bytes that a server could send."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator

import pytest
from docker_gateway.cluster_websocket import Broken, WebSocket, accepted

from tests.gateway.stand_ins.attach import CLOSE, frame, read


@pytest.fixture
def ends() -> Iterator[tuple[WebSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    client = WebSocket(ours)
    yield client, theirs
    client.release()
    theirs.close()


def test_the_key_of_the_standard() -> None:
    assert accepted("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70_000])
def test_messages_of_each_size_arrive(ends: tuple[WebSocket, socket.socket], size: int) -> None:
    client, server = ends
    client.send(b"x" * size)
    with server.makefile("rb") as file:
        assert read(file) == (0x82, b"x" * size)


def test_what_comes_in_pieces_is_put_together(ends: tuple[WebSocket, socket.socket]) -> None:
    client, server = ends
    whole = frame(b"ab", 0x02) + frame(b"?", 0x89) + frame(b"cd", 0x80) + frame(b"next") + CLOSE
    found = []
    for byte in whole:
        server.sendall(bytes((byte,)))
        found += client.receive()
    assert found == [b"abcd", b"next"]
    assert client.closed
    with server.makefile("rb") as file:
        assert read(file) == (0x8A, b"?"), "a ping is answered"


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\x84abcd",  # masked
        b"\xc2\x00",  # an extension that nobody asked for
        b"\x83\x00",  # an unknown type
        b"\x80\x00",  # the rest of nothing
        b"\x02\x01a\x82\x01b",  # a message inside another one
        b"\x09\x00",  # a ping in pieces
        b"\x88\x7e\x00\x80",  # a long control frame
        b"\x82\x7f" + struct.pack(">Q", 1 << 40),
        (b"\x02\x7e\xff\xff" + b"x" * 65535) + (b"\x00\x7e\xff\xff" + b"x" * 65535),
    ],
)
def test_what_is_no_websocket_ends_it(ends: tuple[WebSocket, socket.socket], data: bytes) -> None:
    client, server = ends
    server.sendall(data)
    with pytest.raises(Broken):
        while select.select([client], [], [], 0.5)[0]:
            client.receive()


def test_the_last_words_are_heard_before_the_end(ends: tuple[WebSocket, socket.socket]) -> None:
    """Also if what is sent meets a closed connection."""
    client, server = ends
    server.sendall(frame(b"why"))
    server.close()
    client.send(b"x" * 1000)
    assert client.receive() == [b"why"]
    with pytest.raises(Broken):
        client.receive()


def test_it_never_blocks(ends: tuple[WebSocket, socket.socket]) -> None:
    client, _ = ends
    assert client.receive() == []
    for _ in range(100):
        if client.unsent:
            return
        client.send(b"x" * 16_384)
    pytest.fail("a peer that reads nothing takes everything")
