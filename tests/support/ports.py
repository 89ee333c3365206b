"""TCP ports of this host."""

from __future__ import annotations

import socket


def free_ports(number: int) -> list[int]:
    """Ports that no other process gets within the next minute, except one that names them.

    Linux never picks a port in state TIME_WAIT (60 s after its side closed a connection), but a server that
    sets SO_REUSEADDR, as most do, can listen on it.
    """
    return [free_port() for _ in range(number)]


def free_port() -> int:
    """One such port."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        # Not before, or it could get a port that is held in this way.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.listen()
        port: int = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    return port


def listens(port: int) -> bool:
    """Whether something takes connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
