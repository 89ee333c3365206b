"""A container's output, whole and once, over as many log requests as it takes.

The API server ends a log stream in an orderly way also when the kubelet behind it went away, and a new
request begins anew. So each line is asked for with its timestamp, which is taken off again; after a reconnect
at the whole second of the last line (sinceTime knows no fractions), the lines that were seen are counted off.
Where the last seen line is not met again, lines may be missing, and a line says so.

Lines come in the order of the file. Their times need not: the other stream may be a little older, and a
node's clock may be set back. The kubelet leaves out each line that is older than sinceTime, wherever it is.
"""

from __future__ import annotations

from collections import deque

from .cluster_log_times import STAMP, seconds

GAP = "part of the output is missing here: the node dropped it before it could be read"
_LONGEST_STAMP = 36
#: Runs of lines that are kept in mind, for a node whose clock goes back.
_RUNS = 300


class LineReader:
    """Takes the bytes of log streams that were asked for with timestamps, gives the output's bytes."""

    def __init__(self) -> None:
        #: True once lines may have been lost.
        self.gap = False
        #: Bytes given so far.
        self.total = 0
        # Of the stream that is read: a timestamp that is not whole, whether a line has begun, how much of it
        # to hide.
        self._pending = b""
        self._in_line = False
        self._mute = False
        self._hide = 0
        # Of what was given: the last line's timestamp, whether and how far it is open, and lines one after
        # the other of the same second: the second, and how many.
        self._last = b""
        self._runs: deque[list[int]] = deque(maxlen=_RUNS)
        self._open = False
        self._given = 0
        # Of a new stream: the runs that are still to be counted off, the next one last.
        self._seen: list[list[int]] = []

    @property
    def since(self) -> str:
        """The sinceTime of the next request; empty for all."""
        return (self._last[:19] + self._last[29:]).decode("ascii")

    @property
    def within_line(self) -> bool:
        """Tell whether the last line that was given has no end yet."""
        return self._open

    def reconnect(self) -> None:
        """Say that the next bytes are those of a new stream, which begins at `since`."""
        self._pending, self._in_line, self._mute, self._hide = b"", False, False, 0
        first = seconds(self._last) if self._last else 0
        self._seen = [[second, count] for second, count in reversed(self._runs) if second >= first]

    def feed(self, data: bytes) -> list[bytes | None]:
        """Take bytes of the stream; gives what is new of the output, and None where GAP is to be said."""
        out: list[bytes | None] = []
        *lines, rest = (self._pending + data).split(b"\n")
        self._pending = b""
        for line in lines:
            self._piece(line, out, ends=True)
        if rest:
            if not self._in_line and b" " not in rest and len(rest) < _LONGEST_STAMP:
                self._pending = rest
            else:
                self._piece(rest, out, ends=False)
        return self._joined(out)

    def _joined(self, pieces: list[bytes | None]) -> list[bytes | None]:
        """Join what is not parted by a gap."""
        out: list[bytes | None] = []
        while pieces:
            gap = pieces.index(None) if None in pieces else len(pieces)
            text = b"".join(each for each in pieces[:gap] if each)
            self.total += len(text)
            out += [text] if text else []
            out += pieces[gap : gap + 1]
            pieces = pieces[gap + 1 :]
        return out

    def _piece(self, piece: bytes, out: list[bytes | None], ends: bool) -> None:
        if not self._in_line:
            stamp, _, text = piece.partition(b" ")
            if STAMP.match(stamp):
                piece = text
                self._begin(stamp, out)
            else:  # the end of a long line whose beginning is older than `since`
                self._mute, self._hide = bool(self._seen), 0
        self._in_line = not ends
        if self._mute:
            return
        visible = piece[self._hide :]
        self._hide = max(0, self._hide - len(piece))
        self._given += len(visible)
        self._open = not ends
        out.append(visible + b"\n" if ends else visible)

    def _lead(self, stamp: bytes) -> bytes | None:
        """Give what stands before a new line, None to leave the line out."""
        return b""

    def _begin(self, stamp: bytes, out: list[bytes | None]) -> None:
        second = seconds(stamp)
        if self._seen:
            run = self._seen[-1]
            run[1] -= 1
            if not run[1]:
                self._seen.pop()
            if second == run[0] and (self._seen or stamp == self._last):
                # Seen before: hidden, but for what was still to come of the last line.
                self._mute = bool(self._seen) or not self._open
                self._hide = self._given
                return
            self.gap, self._seen = True, []
            # A line that is open has ended since, as another one has begun.
            out += [b"\n", None] if self._open else [None]
        lead = self._lead(stamp)
        self._mute, self._hide, self._given = lead is None, 0, 0
        out.append(lead or b"")
        self._last = stamp
        if self._runs and self._runs[-1][0] == second:
            self._runs[-1][1] += 1
        else:
            self._runs.append([second, 1])
