"""TCP ports of this host."""

from __future__ import annotations

import socket


def free_ports(number: int) -> list[int]:
    """Ports that nothing listens on now. All are held until the last is found, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def free_port() -> int:
    """A port that nothing listens on now."""
    return free_ports(1)[0]


def listens(port: int) -> bool:
    """Whether something takes connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
