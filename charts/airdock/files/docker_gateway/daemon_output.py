"""What comes out of a container on the node's daemon: its output and its files, passed on as they come."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from .backend import ApiError, Archive, AttachOptions, Disconnect, Stream
from .containers import Attachment
from .daemon_api import DaemonApi
from .daemon_container import Container
from .health import log
from .remarks import lines, out_of_memory, size


def attach(
    api: DaemonApi, container: Container, options: AttachOptions, upgrade: Callable[[bool], Stream], key: str
) -> None:
    """Join the client's connection with one to the daemon; the client's leaving ends the container.

    `key` is the value of the chart for the memory limit.
    """
    query = {
        "stdout": "1", "stderr": "1", "logs": str(int(options.logs)), "stream": str(int(options.stream)),
    }  # fmt: skip
    with api.hijack(f"/containers/{container.id}/attach?{urlencode(query)}") as daemon:
        attachment = Attachment(container, container.lock)

        def leave() -> None:
            """End the container if the last of its clients has left."""
            last = attachment.leave()
            with contextlib.suppress(OSError):
                daemon.shutdown(socket.SHUT_RDWR)
            if last and not container.died.is_set():
                log("client-gone", **container.names())
                container.end(api, 10, "the task's process ended")

        try:
            stream = upgrade(container.tty)
            stream.on_hangup(leave)
            last = b"\n"
            while data := daemon.recv(16 * 1024):
                stream.relay(data)
                last = data[-1:]
            if options.stream and container.died.wait(5) and (killed := memory(api, container, key)):
                stream.write(lines([killed], within_line=last != b"\n"))
        except BaseException as error:
            # It left, or it is cut off, which must not look like the end of the output.
            leave()
            if not container.attached:
                container.lost = container.lost or f"the connection to the client broke ({error!r})"
            raise
        attachment.leave()


def memory(api: DaemonApi, container: Container, key: str) -> str:
    """Say that a container was killed for its memory; empty if it was not, or is removed."""
    try:
        found = api.call("GET", f"/containers/{container.id}/json")
    except ApiError:
        return ""
    state, host = found.get("State") or {}, found.get("HostConfig") or {}
    if not state.get("OOMKilled") or not state.get("ExitCode"):
        return ""
    return out_of_memory(size(host["Memory"]) if host.get("Memory") else "", container.memory > 0, key)


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
