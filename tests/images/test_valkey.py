"""The Valkey image: as the chart and as anybody runs it."""

from __future__ import annotations

import signal
import socket

from tests.images.conftest import Run
from tests.images.processes import serving, stop
from tests.support.ports import free_port

#: As templates/data/redis.yaml has it.
CHART_COMMAND = """exec "$(command -v valkey-server || command -v redis-server)" - <<END
requirepass $REDIS_PASSWORD
port $PORT
dir /data
appendonly yes
maxmemory-policy noeviction
END"""


def ask(port: int, *lines: str, host: str = "127.0.0.1") -> str:
    """The answers to inline commands."""
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "QUIT")).encode())
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def test_chart_command(container: Run) -> None:
    port = free_port()
    env = {"REDIS_PASSWORD": "secret", "PORT": str(port)}
    image = container("valkey", user=(999, 999), writable=("/tmp", "/data"), env=env)
    with serving(image, port, "sh", "-c", CHART_COMMAND) as server:
        assert ask(port, "PING").startswith("-NOAUTH")
        assert ask(port, "AUTH secret", "SET a 1", "GET a") == "+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n"
        code, said = stop(server, signal.SIGTERM)
        assert code == 0, said


def test_options_alone(container: Run) -> None:
    port = free_port()
    with serving(container("valkey", user=(999, 999), writable=("/data",)), port, "--port", str(port)):
        assert ask(port, "CONFIG GET dir") == "*2\r\n$3\r\ndir\r\n$5\r\n/data\r\n+OK\r\n"
        # Without a password it answers other containers, too: not only by the loopback.
        assert ask(port, "CONFIG GET protected-mode").split("\r\n")[4] == "no"


def test_root_becomes_valkey(container: Run) -> None:
    port = free_port()
    with serving(container("valkey", writable=("/data",), privileged=True), port, "--port", str(port)):
        executable = ask(port, "CONFIG SET pidfile /data/pid", "INFO server")
        assert "executable:" in executable
    code, said = container("valkey", writable=("/data",), privileged=True).run("valkey-server", "--version")
    assert (code, "v=8.1." in said) == (0, True)


def test_any_command(container: Run) -> None:
    assert container("valkey", user=(999, 999), writable=("/data",)).run("sh", "-c", "pwd") == (0, "/data\n")
