"""A container's standard input, from an attached client to its pod.

Input goes through the subresource pods/attach, output comes from the log. The protocol is v4.channel.k8s.io:
nobody on the way translates it, so that the closing frame comes from the node's container runtime, once it
has taken all input. (With v5, the API server reports success also when its connection to the node breaks:
client-go, tools/remotecommand/errorstream.go.)

If an attach connection breaks, the runtime closes the container's input. The program cannot tell this from
the end of the input, and may succeed with half of it. So this is never a success here.
"""

from __future__ import annotations

import json
import math
import os
import re
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import cluster_policy
from .backend import ApiError, Stream
from .cluster_api import RETRIED, ApiStatus, KubernetesApi, pods_path
from .cluster_container import Container, main_status
from .cluster_judgement import MAIN
from .cluster_pods import Pods
from .cluster_websocket import Broken, WebSocket
from .health import log
from .settings import MAX_INPUTS, Tasks

_PROTOCOL = "v4.channel.k8s.io"
#: Channels of the protocol: the first byte of each message.
_STDIN, _ERROR, _RESIZE = b"\x00", b"\x03", b"\x04"
#: Seconds for which a connection that the API server or the node refuses is tried again.
_CONNECT = 30.0
#: Seconds until the end of a container is known that its node no longer knows.
_END_AGREES = 5.0
#: Seconds in which the node must confirm what became of the input of a container that has ended.
_CONFIRM = 15.0
#: Seconds of silence after which an empty message shows that the connection is needed: the runtime ends idle
#: ones after hours.
_SILENCE = 20.0
#: What a container runtime says of a container that it does not attach to, because it has ended.
_NOT_RUNNING = re.compile(r"CONTAINER_EXITED|not running|not found|completed pod")


class Lost(Exception):
    """Input may not have reached the container."""


class Inputs:
    """The inputs of one gateway."""

    def __init__(self, api: KubernetesApi, pods: Pods, tasks: Tasks) -> None:
        self._api, self._pods, self._tasks = api, pods, tasks
        self._slots = threading.BoundedSemaphore(MAX_INPUTS)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Reserve what one input takes. Raises ApiError."""
        cluster_policy.check_input(self._tasks)
        if not self._slots.acquire(blocking=False):
            raise ApiError(503, f"{MAX_INPUTS} clients of this worker send input already; try again", "busy")
        try:
            yield
        finally:
            self._slots.release()

    def of(self, container: Container, stream: Stream) -> Input:
        """Give the input that a client sends to a container."""
        return Input(self._api, self._pods, self._tasks.namespace, container, stream)


class Input:
    """What one client sends to the standard input of one container."""

    def __init__(
        self, api: KubernetesApi, pods: Pods, namespace: str, container: Container, stream: Stream
    ) -> None:
        self._api, self._pods, self._container, self._stream = api, pods, container, stream
        self._path = pods_path(namespace, container.pod_name, "attach")
        self._all = False
        self._size: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self.run, name="input", daemon=True)
        self._signal = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        with container.changed:
            container.inputs.add(self)

    def start(self) -> None:
        """Run in a thread. Raises RuntimeError if there is none."""
        try:
            self._thread.start()
        except BaseException:
            self._end()
            raise

    def finish(self) -> None:
        """Take no more from the client, and wait until what it sent was delivered or is lost."""
        self._stream.close_input()
        if self._thread.ident:
            self._thread.join()

    def wake(self) -> None:
        """Let it look at its container. Called with `changed` held."""
        os.eventfd_write(self._signal, 1)

    def run(self) -> None:
        """Send input until it ends, the container ends, or the container takes no more."""
        try:
            # Until then, the client's input waits in the buffer of its connection.
            if self._running():
                self._send()
        except Exception as error:
            self._lose(str(error) if isinstance(error, Lost) else repr(error))
        finally:
            self._end()

    def _end(self) -> None:
        with self._container.changed:
            self._container.inputs.discard(self)
            self._container.changed.notify_all()
            os.close(self._signal)

    def _lose(self, why: str) -> None:
        container = self._container
        log("input-lost", error=why, **container.names())
        with container.changed:
            container.input_lost = f"part of the standard input may be lost: {why}"
            ended = container.ended
        if not ended:
            self._pods.delete(container, container.input_lost, 1)

    def _running(self) -> bool:
        """Wait until the container runs; False if it has ended."""
        container = self._container
        with container.changed:
            container.changed.wait_for(
                lambda: container.ended or container.removed or main_status(container.pod).get("running")
            )
            return not (container.ended or container.removed)

    def _ended(self, seconds: float) -> bool:
        """Tell whether the container has ended, or does so in time."""
        container = self._container
        with container.changed:
            return bool(container.changed.wait_for(lambda: container.ended or container.removed, seconds))

    def _send(self) -> None:
        socket = self._connect()
        if socket is None:
            return
        try:
            self._relay(socket)
        except Broken as error:
            raise Lost(str(error)) from None
        finally:
            socket.release()

    def _connect(self) -> WebSocket | None:
        """Attach to the pod; None if its container has ended, which then got no input and no end of it."""
        query = {"container": MAIN, "stdin": "true", "stdout": "false", "stderr": "false"}
        if self._container.request.tty:
            query["tty"] = "true"
        deadline, delay = time.monotonic() + _CONNECT, 0.1
        while True:
            try:
                return self._api.websocket(self._path, query, _PROTOCOL)
            except ApiStatus as status:
                again = (not status.code or status.code in RETRIED) and time.monotonic() + delay < deadline
                if status.reason == "Lost":
                    raise Lost(status.message) from None
                if self._ended(delay if again else _END_AGREES):
                    return None
                if not again:
                    right = " (tasks.stdin)" if status.code == 403 else ""
                    raise Lost(f"it cannot be connected: {status.message}{right}") from None
            delay = min(delay * 2, 3.0)

    def _relay(self, socket: WebSocket) -> None:
        closing, deadline = False, math.inf
        while True:
            with self._container.changed:
                over = self._container.ended or self._container.removed
                size = self._container.terminal
            if over:
                deadline = min(deadline, time.monotonic() + _CONFIRM)
            if time.monotonic() > deadline:
                raise Lost("its node does not confirm it")
            if size and size != self._size and not (closing or socket.unsent):
                self._size = size
                socket.send(_RESIZE + json.dumps({"Height": size[0], "Width": size[1]}).encode())
            if (self._all or over) and not closing:
                closing = True
                socket.close()
            for message in self._wait(socket, closing):
                if message[:1] == _ERROR and message[1:]:
                    self._judge(message[1:])
                    return
            if socket.closed:
                if not closing:
                    raise Lost("the node closed the connection")
                return

    def _judge(self, status: bytes) -> None:
        """Look at how attaching ended: with success, the container takes no more input."""
        try:
            value = json.loads(status)
            ended, message = value["status"], str(value.get("message", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Lost(f"its node answered {status[:200]!r}") from None
        if ended != "Success" and not (_NOT_RUNNING.search(message) and self._ended(_END_AGREES)):
            raise Lost(message or "its node does not say why")

    def _wait(self, socket: WebSocket, closing: bool) -> list[bytes]:
        """Wait for something to do, and send or receive it; gives the messages that came."""
        poll = select.poll()
        poll.register(self._signal, select.POLLIN)
        poll.register(socket, select.POLLIN | (select.POLLOUT if socket.unsent else 0))
        # Nothing more is taken from the client before the last of it is on its way.
        if not (self._all or closing or socket.unsent):
            poll.register(self._stream, select.POLLIN)
        ready = {number for number, _ in poll.poll(_SILENCE * 1000)}
        if self._signal in ready:
            os.eventfd_read(self._signal)
        socket.flush()
        if self._stream.fileno() in ready:
            data = self._read()
            self._all = not data
            if data:
                socket.send(_STDIN + data)
        elif not (ready or closing or socket.unsent):
            socket.send(b"")
        return socket.receive()

    def _read(self) -> bytes:
        try:
            return self._stream.read()
        except OSError:
            return b""
