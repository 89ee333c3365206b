"""The log of a pod for whoever asks: a part of it, over many streams, as the daemon would give it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from docker_gateway.backend import LogOptions
from docker_gateway.cluster_log_times import nanoseconds, utc
from docker_gateway.cluster_logs import LogReader
from hypothesis import given, settings
from hypothesis import strategies as st

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Line = tuple[bytes, bytes]


def stamp(milliseconds: int) -> bytes:
    return (START + timedelta(milliseconds=milliseconds)).strftime("%Y-%m-%dT%H:%M:%S.%f").encode() + b"000Z"


def moment(milliseconds: int) -> int:
    return nanoseconds(stamp(milliseconds))


def sent(lines: list[Line]) -> bytes:
    return b"".join(each + b" " + text for each, text in lines)


def since(lines: list[Line], second: str) -> list[Line]:
    """Give what the kubelet sends from a whole second on."""
    return [line for line in lines if line[0][:19].decode() + "Z" >= second]


times = st.lists(st.sampled_from([1, 3, 250, 700, 2000]), min_size=1, max_size=30)


def lines_of(deltas: list[int], ended: bool) -> list[Line]:
    total, lines = 0, []
    for number, delta in enumerate(deltas):
        total += delta
        lines.append((stamp(total), b"line %d\n" % number))
    if not ended:
        lines[-1] = lines[-1][0], lines[-1][1].rstrip(b"\n")
    return lines


@settings(max_examples=400, deadline=None)
@given(
    times, st.booleans(), st.integers(0, 40), st.lists(st.integers(0, 600), max_size=5), st.integers(1, 40)
)
def test_the_last_lines_are_whole_over_any_breaks(
    deltas: list[int], ended: bool, tail: int, breaks: list[int], chunk: int
) -> None:
    lines = lines_of(deltas, ended)
    wanted = lines[max(len(lines) - tail, 0) :]
    reader, out = LogReader(LogOptions(tail=tail)), b""
    for length in [*breaks, None]:
        found = since(lines, reader.since) if reader.since else wanted
        data = sent(found)[:length]
        for start in range(0, len(data), chunk):
            out += b"".join(each for each in reader.feed(data[start : start + chunk]) if each)
        if length is not None:
            reader.reconnect()
    assert out == b"".join(text for _, text in wanted)


@settings(max_examples=200, deadline=None)
@given(times, st.integers(0, 20_000), st.integers(0, 20_000), st.booleans())
def test_lines_between_two_times(deltas: list[int], first: int, last: int, timestamps: bool) -> None:
    lines = lines_of(deltas, True)
    options = LogOptions(since=moment(first), until=moment(last), timestamps=timestamps)
    (out,) = LogReader(options).feed(sent(lines)) or [b""]
    wanted = [(at, text) for at, text in lines if stamp(first) <= at <= stamp(last)]
    assert out == (sent(wanted) if timestamps else b"".join(text for _, text in wanted))


@pytest.mark.parametrize(
    ("there", "here"),
    [
        (b"2026-01-02T03:04:05.000000001Z", b"2026-01-02T03:04:05.000000001Z"),
        (b"2026-01-02T03:04:05.123456789+01:00", b"2026-01-02T02:04:05.123456789Z"),
        (b"2025-12-31T23:30:00.000000000-05:30", b"2026-01-01T05:00:00.000000000Z"),
    ],
)
def test_timestamps_are_in_utc_as_the_daemon_has_them(there: bytes, here: bytes) -> None:
    assert utc(nanoseconds(there)) == here
    assert re.fullmatch(rb"[0-9T:.-]{29}Z", here)
