"""The log of a container for whoever asks: from a time or a last line on, with timestamps, to its end or not.

Who reads it does not end the container by leaving, and what cannot be read is no fault of the container.
"""

from __future__ import annotations

import io
import threading
import time

from .backend import Disconnect, LogOptions, Stream
from .cluster_api import KubernetesApi
from .cluster_container import Container
from .cluster_log_lines import LineReader
from .cluster_log_times import NANOSECONDS, nanoseconds, utc
from .cluster_output import Output
from .settings import Tasks


class LogReader(LineReader):
    """Gives the lines between two times, with their timestamps or without."""

    def __init__(self, options: LogOptions) -> None:
        super().__init__()
        self._options = options
        #: What was seen before a reconnect: all up to this line, of which the end may be missing.
        self._until, self._unended = 0, False
        #: True once a line is later than what is asked for.
        self.over = False

    def reconnect(self) -> None:
        """Say that the next bytes are those of a new stream."""
        super().reconnect()
        if self._options.tail is not None:
            # Lines of the same second may come before the first one that was given: they cannot be counted.
            self._seen, self._unended = [], self._open
            self._until = nanoseconds(self._last) if self._last else 0

    def _begin(self, stamp: bytes, out: list[bytes | None]) -> None:
        if self._until and (moment := nanoseconds(stamp)) <= self._until:
            self._mute = moment < self._until or not self._unended
            self._hide = self._given
            return
        self._until = 0
        super()._begin(stamp, out)

    def _lead(self, stamp: bytes) -> bytes | None:
        moment, options = nanoseconds(stamp), self._options
        if options.until is not None and moment > options.until:
            self.over = True
            return None
        if options.since is not None and moment < options.since:
            return None
        return utc(moment) + b" " if options.timestamps else b""


class Logs(Output):
    """Sends the log of one container to one client."""

    _reader: LogReader

    def __init__(
        self, api: KubernetesApi, tasks: Tasks, container: Container, options: LogOptions, stream: Stream
    ) -> None:
        first = {} if options.tail is None else {"tailLines": str(options.tail)}
        if options.since is not None:
            first["sinceTime"] = utc(options.since)[:19].decode() + "Z"
        super().__init__(api, tasks, container, stream, LogReader(options), first)
        self._options, self._cancelled, self._notes = options, False, []

    def run(self) -> None:
        """Send what is asked for. Raises Disconnect if that cannot be done."""
        options, container = self._options, self._container
        self._stream.on_hangup(self._cancel)
        follow, timer = options.follow and container.started, None
        if follow and options.until is not None:
            timer = threading.Timer(max(options.until / NANOSECONDS - time.time(), 0.0), self._cancel)
            timer.daemon = True
            timer.start()
        try:
            if follow or container.has_output:
                self.send(follow)
        finally:
            if timer:
                timer.cancel()

    def _cancel(self) -> None:
        self._cancelled = True
        with self._container.changed:
            self._container.changed.notify_all()
        if self._current:
            self._current.close()

    def _remark(self) -> None:
        """Say nothing: a remark is no output."""

    def _write(self, piece: bytes) -> None:
        """Send each line on its own, as the daemon does: clients iterate over the pieces as over lines."""
        for line in io.BytesIO(piece):
            self._stream.write(line)

    def _left(self) -> bool:
        return self._cancelled or self._reader.over

    def _lose(self, why: str) -> None:
        if not self._cancelled:
            raise Disconnect(f"the log could not be read to its end: {why}")
