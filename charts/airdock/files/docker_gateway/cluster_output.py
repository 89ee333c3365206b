"""A container's output, from the log of its pod to an attached client."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping

from .backend import Stream
from .cluster_api import ApiStatus, KubernetesApi, pods_path
from .cluster_api import Stream as LogStream
from .cluster_container import Container
from .cluster_judgement import MAIN
from .cluster_log_lines import GAP, LineReader
from .cluster_remarks import closing
from .health import log
from .settings import Tasks

#: An orderly end of a log stream is believed if the container's own end is known within this many seconds.
END_AGREES = 2.0
#: Seconds after which the log of a container that printed nothing is read once more.
LATE_OUTPUT = 0.5
#: Seconds after which a log stream of an ended container that does not end is cut, and one that broke is read
#: for the last time.
LOG_GRACE = 60.0


class Output:
    """Sends the output of one container to one client."""

    def __init__(
        self, api: KubernetesApi, tasks: Tasks, container: Container, stream: Stream,
        reader: LineReader | None = None, first: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`first` is the query for the log until there is a line to go on from."""
        self._api, self._path = api, pods_path(tasks.namespace, container.pod_name, "log")
        self._tasks = tasks
        self._container, self._stream, self._reader = container, stream, reader or LineReader()
        self._first, self._delay = first or {}, 0.1
        self._current: LogStream | None = None
        self._tried_at = 0.0
        self._notes = container.notes

    def send(self, follow: bool) -> None:
        """Send the whole output, and return once the container has ended; or what there is by now."""
        container = self._container
        # Its pod never ran a container: the reason is the answer to `wait`.
        if not self._begun():
            return
        while not self._attempt(follow) and follow and not self._given_up():
            time.sleep(self._delay)
            self._delay = min(self._delay * 2, 5.0)
            self._reader.reconnect()
        self._stream.flush()
        if follow:
            self._remark()
        if self._reader.gap:
            log("output-gap", **container.names())
            if container.xcom_all:
                self._lose("lines are missing in it")

    def _begun(self) -> bool:
        """Wait for the container's begin or end, and say what it waits for; True if there is output."""
        container, sent = self._container, 0
        while True:
            with container.changed:
                while not (container.has_output or container.ended or container.removed or self._left()):
                    if len(container.waiting) > sent:
                        break
                    container.changed.wait()
                else:
                    return container.has_output
                said, sent = container.waiting[sent:], len(container.waiting)
            self._stream.remark(said)

    def _remark(self) -> None:
        """Send what the gateway itself says about a container's end, from a new line on."""
        self._stream.remark(closing(self._container, self._tasks), self._reader.within_line)

    def _write(self, piece: bytes) -> None:
        """Send output."""
        self._stream.write(piece)

    def _left(self) -> bool:
        """Tell whether nobody reads any more."""
        return False

    def _lose(self, why: str) -> None:
        """Take note that not all of the output could be read."""
        self._container.lost_output(why)

    def _attempt(self, follow: bool) -> bool:
        """Read the log until its stream ends; True if there is nothing more to read."""
        self._tried_at = time.monotonic()
        try:
            whole = self._read_once(follow)
            if whole and follow:
                self._read_rest()
            self._delay = 0.1
            return whole
        except ApiStatus as status:
            if status.code in (403, 404):
                self._lose(status.message)
                return True
            why = status.message
        except http.client.HTTPException as error:
            why = str(error)
        if not follow:
            self._lose(why)
        return False

    def _given_up(self) -> bool:
        """Tell whether the rest of the output cannot be had any more."""
        container = self._container
        with container.changed:
            if self._left():
                return True
            deleted = container.gone or container.removed
            late = bool(container.ended) and self._tried_at - container.ended_at > LOG_GRACE
        if deleted or late:
            self._lose("it was deleted" if deleted else "its node did not send it")
        return deleted or late

    def _read_rest(self) -> None:
        """Read what the runtime wrote after the log stream had ended.

        On a busy node the runtime says that a container has ended before the last of its output, or all of
        it, is in the log, and a stream that was read in the meantime ends in good order without it.
        """
        for wait in (0.0, LATE_OUTPUT):
            before = self._reader.total
            if wait and before:
                break
            time.sleep(wait)
            self._reader.reconnect()
            self._read_once(follow=False)
            if self._reader.total > before:
                log("late-output", bytes=self._reader.total - before, **self._container.names())

    def _read_once(self, follow: bool) -> bool:
        """Read one log stream; True if it held all that there is."""
        container = self._container
        query = {"container": MAIN, "timestamps": "true"}
        if follow:
            query["follow"] = "true"
        query |= {"sinceTime": self._reader.since} if self._reader.since else self._first
        log_stream = self._api.stream(self._path, query, timeout=None)
        self._current = log_stream
        container.logs.add(log_stream)
        try:
            while not self._left():
                try:
                    data = log_stream.read()
                except OSError as error:
                    raise http.client.HTTPException(str(error)) from None
                if not data:
                    break
                for piece in self._reader.feed(data):
                    self._stream.remark(self._notes)
                    self._notes = []
                    if piece is None:
                        self._stream.remark([GAP])
                    else:
                        self._write(piece)
        finally:
            self._current = None
            container.logs.discard(log_stream)
            log_stream.release()
        # An orderly end may also be that of the kubelet behind the API server.
        with container.changed:
            if follow and not container.ended:
                container.changed.wait_for(lambda: container.ended is not None, timeout=END_AGREES)
            return container.ended is not None
