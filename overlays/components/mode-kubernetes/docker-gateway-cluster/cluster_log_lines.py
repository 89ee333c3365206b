"""A container's output, whole and once, over as many log requests as it takes.

The API server ends a log stream in an orderly way also when the kubelet behind it went away, and a new
request begins anew. So each line is asked for with its timestamp, which is taken off again; after a reconnect
at the whole second of the last line (sinceTime knows no fractions), the lines that were seen are counted off.
Where the last seen line is not met again, lines may be missing, and a line says so.
"""

from __future__ import annotations

import re

GAP = "part of the output is missing here: the node dropped it before it could be read"
#: The kubelet's fixed form: 2026-01-02T03:04:05.123456789+01:00
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)\Z")
_LONGEST_STAMP = 36


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
        # Of what was given: the last line's timestamp, the lines of its second, whether and how far it is
        # open.
        self._last = b""
        self._count = 0
        self._open = False
        self._given = 0
        # Lines of a new stream that are still to be counted off.
        self._skip = 0

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
        self._skip = self._count

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
            if _STAMP.match(stamp):
                piece = text
                self._begin(stamp, out)
            else:  # the end of a long line whose beginning is older than `since`
                self._mute, self._hide = bool(self._skip), 0
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
        if self._skip:
            self._skip -= 1
            if stamp[:19] == self._last[:19] and (self._skip or stamp == self._last):
                # Seen before: hidden, but for what was still to come of the last line.
                self._mute = bool(self._skip) or not self._open
                self._hide = self._given
                return
            self.gap, self._skip = True, 0
            # A line that is open has ended since, as another one has begun.
            out += [b"\n", None] if self._open else [None]
        lead = self._lead(stamp)
        self._mute, self._hide, self._given = lead is None, 0, 0
        out.append(lead or b"")
        if stamp[:19] > self._last[:19]:
            self._last, self._count = stamp, 1
        elif stamp[:19] == self._last[:19]:
            self._last, self._count = stamp, self._count + 1
        # Else it is of the other stream and a little older than the line before it: `since` leaves it out.
