"""HTTP on raw sockets: what is understood, what is refused, and that nothing crashes, hangs or grows."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from docker_gateway import hangups, wire
from docker_gateway.wire import Closed, Connection, RawStream, Request, WireError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.attacks import AUTHOR

from .malformed import HEAD, MALFORMED


@contextmanager
def pair(request: float = 60.0) -> Iterator[tuple[socket.socket, Connection]]:
    client, server = socket.socketpair(socket.AF_UNIX)
    with client, server:
        client.settimeout(60)
        yield client, Connection(server, request=request)


def read(data: bytes) -> Request:
    """Read one request from bytes that end there."""
    with pair() as (client, connection):
        threading.Thread(target=send, args=(client, data), daemon=True).start()
        return connection.read()


def send(client: socket.socket, data: bytes) -> None:
    try:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_request_of_docker_py() -> None:
    request = read(
        b"POST /v1.47/containers/create?name=a%20b&empty= HTTP/1.1\r\nHost: localhost\r\n"
        b"User-Agent: docker/7.2.0\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
    )
    assert (request.method, request.path, request.body) == ("POST", "/v1.47/containers/create", b"{}")
    assert request.query == {"name": "a b", "empty": ""}
    assert request.headers["content-type"] == "application/json"


def test_chunks() -> None:
    request = read(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n")
    assert request.body == b"abc0123456789"


def test_bytes_one_by_one() -> None:
    with pair() as (client, connection):
        data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"

        def slowly() -> None:
            for byte in data:
                client.sendall(bytes([byte]))

        threading.Thread(target=slowly, daemon=True).start()
        assert connection.read().body == b"abc"


def test_several_requests_on_one_connection() -> None:
    with pair() as (client, connection):
        for path in (b"/one", b"/two"):
            client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.read().path == path.decode()
            connection.respond(200, b"OK")
            assert client.recv(1000).endswith(b"Content-Length: 2\r\n\r\nOK")
        client.close()
        with pytest.raises(Closed):
            connection.read()


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.attack(actor=AUTHOR)
def test_malformed(name: str) -> None:
    status, data = MALFORMED[name]
    with pytest.raises(WireError) as error:
        read(data)
    assert error.value.status == status, error.value.message


def test_a_request_must_end() -> None:
    with pair(request=0.2) as (client, connection):
        client.sendall(b"GET / HTTP/1.1\r\nHost")
        with pytest.raises(WireError, match="not complete") as error:
            connection.read()
        assert error.value.status == 408


tokens = st.sampled_from(
    [
        b"GET",
        b"POST",
        b" ",
        b"/",
        b"HTTP/1.1",
        b"\r\n",
        b"\n",
        b"\r",
        b"Host: a",
        b"Content-Length: ",
        b"0",
        b"5",
        b"17",
        b"Transfer-Encoding: chunked",
        b"\0",
        b":",
        b"a" * 40_000,
        b"abc",
        b";",
        b"?",
        b"=",
        b"%",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"\xff",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(tokens, max_size=40).map(b"".join)))
@pytest.mark.attack(actor=AUTHOR)
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    try:
        request = read(data)
    except (WireError, Closed) as outcome:
        assert not isinstance(outcome, WireError) or 400 <= outcome.status < 600
    else:
        assert len(request.body) <= wire.MAX_BODY


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 250), st.binary(max_size=3))
def test_a_body_is_what_its_length_says(body: bytes, place: int, noise: bytes) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert read(head + body).body == body
    message = head + body
    mutated = message[:place] + noise + message[place:]
    with suppress(WireError, Closed):
        assert read(mutated).method


def frames(data: bytes) -> list[bytes]:
    result = []
    while data:
        kind, length = struct.unpack(">BxxxL", data[:8])
        assert kind == 1
        result.append(data[8 : 8 + length])
        data = data[8 + length :]
    return result


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=50), st.text(max_size=50).map(str.encode)), max_size=20))
def test_frames_hold_every_byte_and_no_half_character(pieces: list[bytes]) -> None:
    with pair() as (client, connection):
        stream = RawStream(connection.socket, tty=False)
        for piece in pieces:
            stream.write(piece)
        stream.flush()
        connection.socket.close()
        sent = frames(b"".join(iter(lambda: client.recv(1 << 20), b"")))
    whole = b"".join(pieces)
    assert b"".join(sent) == whole
    try:
        whole.decode()
    except UnicodeDecodeError:
        return
    for frame in sent:
        frame.decode()


@pytest.mark.parametrize(
    "size", [wire.MAX_FRAME - 1, wire.MAX_FRAME, wire.MAX_FRAME + 1, 5 * wire.MAX_FRAME + 7]
)
def test_long_output_is_cut_between_characters(size: int) -> None:
    text = ("x" + "\N{EURO SIGN}" * size)[:size]
    with pair() as (client, connection):
        stream = RawStream(connection.socket, tty=False)
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.extend(iter(lambda: client.recv(1 << 20), b"")))
        reader.start()
        stream.write(text.encode())
        stream.flush()
        connection.socket.close()
        reader.join()
    sent = frames(b"".join(received))
    assert b"".join(sent).decode() == text
    assert all(len(frame) <= wire.MAX_FRAME and frame.decode() for frame in sent)


def test_a_terminal_gets_bare_bytes() -> None:
    with pair() as (client, connection):
        stream = RawStream(connection.socket, tty=True)
        stream.write("ä\n".encode())
        assert client.recv(100) == "ä\n".encode()


def test_hangup_is_told_from_a_half_closed_connection() -> None:
    with pair() as (client, connection):
        called = threading.Event()
        RawStream(connection.socket, False).on_hangup(called.set)
        client.shutdown(socket.SHUT_WR)
        assert not called.wait(0.3)
        assert not hangups.hung_up(connection.socket)
        client.close()
        assert called.wait(60)
        assert hangups.hung_up(connection.socket)


def test_watching_ends_with_forget() -> None:
    with pair() as (client, connection):
        called = threading.Event()
        hangups.HANGUPS.watch(connection.socket, called.set)
        hangups.HANGUPS.forget(connection.socket)
        client.close()
        assert not called.wait(0.3)


def test_an_event_of_a_socket_that_had_the_same_number_ends_nobody() -> None:
    """The event was fetched before the first socket was closed, and is looked at after the second began."""

    class Stale:
        """A poll that tells of a number only."""

        def register(self, number: int, events: int) -> None:
            self.number = number

        unregister = poll = lambda *_: [(stale.number, 16)]

    stale = Stale()
    found = hangups.Hangups()
    found._epoll = stale  # type: ignore[assignment]
    found._loop.start = lambda: None  # type: ignore[method-assign]
    called: list[str] = []
    ours, theirs = socket.socketpair()
    with ours:
        found.watch(ours, lambda: called.append("left"))
        found._step()
        assert not called
        theirs.close()
        found._step()
        assert called == ["left"]
