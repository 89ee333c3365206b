"""A port that a test has chosen for a server stays free until the server listens."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.support.ports import free_ports, listens


def test_a_free_port_is_held_for_the_server_it_is_for() -> None:
    port, other = free_ports(2)
    assert port != other
    with socket.socket() as stranger, pytest.raises(OSError) as refused:
        stranger.bind(("127.0.0.1", port))
    assert refused.value.errno == errno.EADDRINUSE
    assert not listens(port)
    with socket.create_server(("127.0.0.1", port)):  # sets SO_REUSEADDR
        assert listens(port)


def test_no_two_get_the_same() -> None:
    ports = free_ports(2000)
    assert len(set(ports)) == len(ports)
