"""What comes out of a container on the node's daemon: its output and its files, passed on as they come."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from .backend import ApiError, Archive, AttachOptions, Disconnect, Stream
from .daemon_api import DaemonApi
from .daemon_container import Container
from .health import log


def attach(
    api: DaemonApi, container: Container, options: AttachOptions, upgrade: Callable[[bool], Stream]
) -> None:
    """Join the client's connection with one to the daemon; the client's leaving ends the container."""
    query = {
        "stdout": "1", "stderr": "1", "logs": str(int(options.logs)), "stream": str(int(options.stream)),
    }  # fmt: skip
    with api.hijack(f"/containers/{container.id}/attach?{urlencode(query)}") as daemon:
        stream = upgrade(container.tty)
        with container.lock:
            container.attached += 1
        done = threading.Event()

        def hangup() -> None:
            if not done.is_set():
                log("client-gone", **container.names())
                container.end(api, 10, "the task's process ended")
                daemon.shutdown(socket.SHUT_RDWR)

        stream.on_hangup(hangup)
        try:
            while data := daemon.recv(16 * 1024):
                stream.relay(data)
        finally:
            done.set()
            with container.lock:
                container.attached -= 1


def archive(api: DaemonApi, container: Container, path: str) -> Archive:
    """Open a file of the container."""
    try:
        connection, response = api.open("GET", f"/containers/{container.id}/archive", {"path": path})
    except ApiError as error:
        if error.status == 404:
            raise
        raise Disconnect(error.message) from None
    stat = json.loads(base64.b64decode(response.getheader("X-Docker-Container-Path-Stat") or "e30="))

    def chunks() -> Iterator[bytes]:
        try:
            while data := response.read1(64 * 1024):
                yield data
        except (OSError, http.client.HTTPException) as error:
            raise Disconnect(f"the archive broke: {error}") from None
        finally:
            connection.close()

    return Archive(
        str(stat.get("name", "")),
        int(stat.get("size", 0)),
        int(stat.get("mode", 0)),
        str(stat.get("mtime", "")),
        chunks(),
    )
