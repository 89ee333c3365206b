"""Timestamps of a container's log: the kubelet's fixed form, in the time zone of the node."""

from __future__ import annotations

import calendar
import re
import time
from functools import lru_cache

NANOSECONDS = 1_000_000_000
#: The kubelet's fixed form: 2026-01-02T03:04:05.123456789+01:00
STAMP = re.compile(
    rb"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)\Z"
)
_ZONE = re.compile(rb"([+-])(\d\d):(\d\d)\Z")


@lru_cache(maxsize=64)
def _seconds(stamp: bytes, zone: bytes) -> int:
    found = calendar.timegm(time.strptime(stamp.decode(), "%Y-%m-%dT%H:%M:%S"))
    if match := _ZONE.match(zone):
        offset = int(match[2]) * 3600 + int(match[3]) * 60
        found += offset if match[1] == b"-" else -offset
    return found


def nanoseconds(stamp: bytes) -> int:
    """Read a timestamp in the kubelet's fixed form: nanoseconds since 1970."""
    return _seconds(stamp[:19], stamp[29:]) * NANOSECONDS + int(stamp[20:29])


def seconds(stamp: bytes) -> int:
    """Read a timestamp in the kubelet's fixed form: whole seconds since 1970."""
    return _seconds(stamp[:19], stamp[29:])


def utc(moment: int) -> bytes:
    """Write a timestamp as the daemon does."""
    whole, rest = divmod(moment, NANOSECONDS)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{rest:09}Z".encode()
