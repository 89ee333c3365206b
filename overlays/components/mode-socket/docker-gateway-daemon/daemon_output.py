"""What comes out of a container on the node's daemon: its output and its files, passed on as they come."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from .backend import ApiError, Archive, AttachOptions, Disconnect, LogOptions, Stream
from .containers import Attachment
from .daemon_api import DaemonApi
from .daemon_container import Container
from .health import log
from .remarks import out_of_memory, size


def attach(
    api: DaemonApi, container: Container, options: AttachOptions, upgrade: Callable[[bool], Stream], key: str
) -> None:
    """Join the client's connection with one to the daemon; the client's leaving ends the container.

    `key` is the value of the chart for the memory limit.
    """
    query = {
        name: str(int(getattr(options, name))) for name in ("stdout", "stderr", "stdin", "logs", "stream")
    }
    query |= {"detachKeys": options.detach_keys} if options.detach_keys else {}
    with api.hijack(f"/containers/{container.id}/attach?{urlencode(query)}") as daemon:
        attachment = Attachment(container, container.lock)
        stream: Stream | None = None
        sending: threading.Thread | None = None

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
            if options.stdin:
                sending = threading.Thread(target=_send, args=(stream, daemon), name="input", daemon=True)
                sending.start()
            while data := daemon.recv(16 * 1024):
                stream.relay(data)
                last = data[-1:]
            stays = options.stream and not attachment.left
            if stays and not container.begun:
                # A daemon that was restarted: nobody would be attached to what begins now.
                container.fate = container.fate or "the node's Docker daemon ended the connection to it"
            if (
                stays
                and container.begun
                and container.died.wait(5)
                and (killed := memory(api, container, key))
            ):
                stream.remark([killed], within_line=last != b"\n")
        except BaseException as error:
            # A client that left knows that it did. To one that is cut off this looks like the output's end.
            if stream and not stream.hung_up():
                container.lost = container.lost or f"the connection to a client broke ({error!r})"
            leave()
            raise
        finally:
            if stream and sending and sending.ident:
                stream.close_input()
                if options.stdout or options.stderr:
                    # After the output's end the daemon takes no more input, but does not close.
                    with contextlib.suppress(OSError):
                        daemon.shutdown(socket.SHUT_RDWR)
                sending.join()
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


def _send(stream: Stream, daemon: socket.socket) -> None:
    """Pass a client's input on to its end."""
    with contextlib.suppress(OSError):
        while data := stream.read():
            daemon.sendall(data)
        daemon.shutdown(socket.SHUT_WR)


def logs(api: DaemonApi, container: Container, options: LogOptions, begin: Callable[[bool], Stream]) -> None:
    """Pass on what was printed. Raises Disconnect if it breaks."""
    flags = ("stdout", "stderr", "follow", "timestamps")
    query = {name: str(int(getattr(options, name))) for name in flags}
    query["tail"] = "all" if options.tail is None else str(options.tail)
    for name, moment in (("since", options.since), ("until", options.until)):
        if moment is not None:
            query[name] = f"{moment // 1_000_000_000}.{moment % 1_000_000_000:09}"
    connection, response = api.open("GET", f"/containers/{container.id}/logs", query, timeout=None)
    try:
        stream = begin(container.tty)
        stream.on_hangup(connection.cut)
        while data := response.read1(16 * 1024):
            stream.relay(data)
    except (http.client.HTTPException, ValueError) as error:
        raise Disconnect(f"the log broke: {error!r}") from None
    finally:
        connection.close()


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
