"""Run the gateway: `python -m docker_gateway`, or `python DIRECTORY/docker_gateway`.

Exit code 2: a wrong setting.
"""

from __future__ import annotations

import gc
import signal
import socket
import sys
import threading
from pathlib import Path

if not __package__:
    # Not resolved: from a ConfigMap, the files are links into a directory of another name.
    sys.path[0] = str(Path(__file__).absolute().parent.parent)


def main() -> int:
    """Serve until SIGTERM."""
    from docker_gateway import health, health_port, settings
    from docker_gateway.server import Server

    try:
        loaded = settings.load()
    except settings.ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    metrics = health.Metrics()
    backend: Cluster | Daemon
    # Each backend is imported only where it is used: memory.
    if loaded.backend == "cluster":
        from docker_gateway.cluster import Cluster

        backend = Cluster(loaded, metrics)
    else:
        from docker_gateway.daemon import Daemon

        backend = Daemon(loaded, metrics)
    backend.run()
    server = Server(Path(loaded.socket), backend, metrics)
    if loaded.health_port:
        health_port.serve(loaded.health_host, loaded.health_port, metrics, server.ready, server.alive)
    # A handler would not do: it runs after this thread's next system call, which a signal that came just
    # before it, or to another thread, does not interrupt.
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # What is imported stays: nothing of it is looked at again.
    gc.collect()
    gc.freeze()
    health.log("listening", socket=loaded.socket, backend=loaded.backend)

    def serve() -> None:
        try:
            server.serve()
        finally:
            wake.send(b"\0")

    threading.Thread(target=serve, name="serve", daemon=True).start()
    woken.recv(1)
    server.close()
    server.drain(5.0)
    backend.close()
    health.log("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
