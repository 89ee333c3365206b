"""Output over many log streams: whole, once, and honest about what is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from docker_gateway.cluster_api import Chunks
from docker_gateway.cluster_log_lines import LineReader
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

Line = tuple[bytes, bytes]


def stamped(deltas: list[int], texts: list[bytes], ended: bool) -> list[Line]:
    """Give lines as the kubelet holds them: a fixed-width timestamp, and the text with its line end."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    lines = []
    for index, (delta, text) in enumerate(zip(deltas, texts, strict=False)):
        now += timedelta(milliseconds=delta)
        end = b"\n" if ended or index < len(texts) - 1 else b""
        lines.append((now.strftime("%Y-%m-%dT%H:%M:%S.%f").encode() + b"000Z", text + end))
    return lines


def stream(lines: list[Line], since: str) -> bytes:
    """Give what the kubelet sends: no line that is older than an instant, wherever it is in the file."""
    return b"".join(
        stamp + b" " + text for stamp, text in lines if not since or instant(stamp) >= since_of(since)
    )


def instant(stamp: bytes) -> datetime:
    whole, zone = stamp[:26].decode(), stamp[29:].decode().replace("Z", "+00:00")
    return datetime.fromisoformat(whole + zone)


def since_of(since: str) -> datetime:
    return datetime.fromisoformat(since.replace("Z", "+00:00"))


def text(pieces: list[bytes | None]) -> bytes:
    """Give the output where nothing is missing."""
    assert None not in pieces
    return b"".join(each for each in pieces if each)


texts = st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b" ")), min_size=1, max_size=30)
deltas = st.lists(st.sampled_from([0, 0, 1, 3, 250, 700, 2000]), min_size=30, max_size=30)


@settings(max_examples=500, deadline=None)
@given(deltas, texts, st.booleans(), st.lists(st.integers(0, 600), max_size=6), st.integers(1, 40))
def test_output_is_whole_over_any_breaks(
    deltas: list[int], texts: list[bytes], ended: bool, breaks: list[int], chunk: int
) -> None:
    lines = stamped(deltas, texts, ended)
    expected = b"".join(line for _, line in lines)
    reader = LineReader()
    out = b""
    for length in [*breaks, None]:
        data = stream(lines, reader.since)[:length]
        for start in range(0, len(data), chunk):
            out += text(reader.feed(data[start : start + chunk]))
        if length is not None:
            reader.reconnect()
    assert out == expected
    assert not reader.gap


def test_lines_that_the_node_dropped_are_named() -> None:
    lines = stamped([0, 10, 10, 5000, 10], [b"a", b"b", b"c", b"d", b"e"], True)
    reader = LineReader()
    out = reader.feed(stream(lines[:2], ""))
    reader.reconnect()
    # The file with a, b and c was rotated away.
    out += reader.feed(stream(lines[3:], reader.since))
    assert out == [b"a\nb\n", None, b"d\ne\n"]
    assert reader.gap


def test_a_line_that_broke_off_is_ended_before_the_gap_is_named() -> None:
    lines = stamped([0, 10, 5000], [b"first", b"half a line", b"later"], True)
    reader = LineReader()
    out = reader.feed(stream(lines[:2], "")[:-6])
    reader.reconnect()
    out += reader.feed(stream(lines[2:], reader.since))
    assert out == [b"first\nhalf a", b"\n", None, b"later\n"]


def test_another_last_line_is_a_gap() -> None:
    lines = stamped([0, 10, 10, 10, 10], [b"a", b"b", b"c", b"d", b"e"], True)
    reader = LineReader()
    reader.feed(stream(lines[:3], ""))
    reader.reconnect()
    reader.feed(stream(lines[1:], reader.since))
    assert reader.gap


def test_the_other_stream_may_be_a_little_older() -> None:
    lines = stamped([0, 1000, 10], [b"a", b"b", b"c"], True)
    late = (lines[0][0], b"of the first second\n")
    file = [lines[0], lines[1], late, lines[2]]
    reader = LineReader()
    out = reader.feed(stream(file, ""))
    reader.reconnect()
    out += reader.feed(stream(file, reader.since))
    assert text(out) == b"a\nb\nof the first second\nc\n"
    assert not reader.gap


#: Milliseconds from one line to the next, on a node whose clock is set back and forth; minutes of its zone.
steps = st.lists(st.sampled_from([0, 1, 250, 700, 2000, -1, -900, -4000, -90_000]), min_size=30, max_size=30)
zones = st.lists(st.sampled_from([0, 0, 60, 120, -210]), min_size=30, max_size=30)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(steps, zones, texts, st.lists(st.integers(0, 900), max_size=6))
def test_output_is_whole_whatever_the_clock_says(
    steps: list[int], zones: list[int], texts: list[bytes], breaks: list[int]
) -> None:
    now, lines = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), []
    for step, zone, line in zip(steps, zones, texts, strict=False):
        now += timedelta(milliseconds=step)
        local = now.astimezone(timezone(timedelta(minutes=zone))).isoformat(timespec="microseconds")
        lines.append(
            (local[:26].encode() + b"000" + local[26:].encode().replace(b"+00:00", b"Z"), line + b"\n")
        )
    reader, out = LineReader(), b""
    for length in [*breaks, None]:
        rest = lines[out.count(b"\n") :]
        # What comes after a break and is older than what came before it, the kubelet does not send.
        assume(not reader.since or all(instant(stamp) >= since_of(reader.since) for stamp, _ in rest))
        out += text(reader.feed(stream(lines, reader.since)[:length]))
        if length is not None:
            reader.reconnect()
    assert out == b"".join(line for _, line in lines)
    assert not reader.gap


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=20), st.integers(1, 30))
def test_chunks_are_taken_apart_wherever_they_break(pieces: list[bytes], step: int) -> None:
    wire = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    chunks = Chunks()
    out = b""
    for start in range(0, len(wire), step):
        assert not chunks.ended or wire[start:] in (b"\r\n", b"\n", b"0\r\n\r\n"[-len(wire[start:]) :])
        out += chunks.feed(wire[start : start + step])
    assert chunks.ended
    assert out == b"".join(pieces)
