"""Health, readiness and metrics on a TCP port."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from .health import Metrics
from .listener import Listener
from .wire import Closed, Connection, WireError

#: Connections at a time; a new one ends the oldest, so that the kubelet is always answered.
MAX_CONNECTIONS = 32
#: Seconds for a whole request, and for its answer.
TIMEOUT = 5.0


def serve(host: str, port: int, metrics: Metrics, ready: Callable[[], str], alive: Callable[[], str]) -> None:
    """Answer /healthz, /readyz and /metrics from threads."""
    both = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family, dualstack_ipv6=both, backlog=512)
    answers: dict[str, Callable[[], str]] = {"/readyz": ready, "/healthz": alive}
    metrics.gauge(
        "probe_failing",
        "1 while a probe fails: ready or alive.",
        lambda: {"ready": int(bool(ready())), "alive": int(bool(alive()))},
        "probe",
    )

    def answer(sock: socket.socket) -> None:
        with contextlib.suppress(OSError, Closed, WireError):
            # The gateway's own HTTP: the standard library's server would cost a megabyte.
            connection = Connection(sock, idle=TIMEOUT, request=TIMEOUT, max_body=0)
            path = connection.read().path
            if path == "/metrics":
                connection.respond(
                    200, metrics.text().encode(), {"Content-Type": "text/plain; version=0.0.4"}, True
                )
            elif path in answers:
                problem = answers[path]()
                connection.respond(503 if problem else 200, (problem or "ok").encode() + b"\n", close=True)
            else:
                connection.respond(404, b"there are /healthz, /readyz and /metrics\n", close=True)

    listener = Listener(sock, MAX_CONNECTIONS, "health", answer, newest=True)
    threading.Thread(target=listener.serve, name="health", daemon=True).start()
