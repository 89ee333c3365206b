"""How an input is changed. Every choice comes from the generator that is handed in."""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from .rules import KNOWN_HOST, KNOWN_TOP

#: Changes bytes: (generator, bytes, largest size) -> bytes.
Bytes = Callable[[random.Random, bytes, int], bytes]
Mutate = Callable[[random.Random, bytes, int, Bytes], bytes]

VALUES = [None, True, False, 0, -1, 1 << 40, "", "/", "host", "container:a", "data", "a:b:c", [], {}, "$(A)"]
#: Pieces that mean something to one of the parsers.
WORDS = [b"\r\n", b"\r\n\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked", b"HTTP/1.1", b"%2f", b"\0"]
WORDS += [
    b"airflowtmp",
    b"/",
    b"..",
    b":",
    b'"',
    b"{}",
    b"[]",
    b",",
    b"0",
    b"1",
    b"-",
    b"null",
    b"\xff",
    b"$(",
]
#: What may stand at the beginning of a line, as a whole line or before what is there.
LINES = [b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"a:b\r\n"]
LINES += [b"3\r\n", b"\r\n", b" ", b"+", b"-", b"0x", b"0", b"\0", b";"]


def change_bytes(pick: random.Random, data: bytes, size: int) -> bytes:
    """Insert, remove, repeat or overwrite a few bytes."""
    for _ in range(pick.choice((1, 1, 2, 4))):
        place = pick.randrange(len(data) + 1)
        end = min(len(data), place + pick.choice((1, 1, 2, 8)))
        kind = pick.randrange(4)
        new = (pick.choice(WORDS), b"", data[place:end] * 2, bytes([pick.randrange(256)]))[kind]
        data = data[:place] + new + data[place if kind == 0 else end :]
    return data[:size]


def body(pick: random.Random, data: bytes, size: int, change: Bytes) -> bytes:
    """Change a body as JSON most of the time: bytes alone would seldom leave it one."""
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict) or pick.random() < 0.3:
        return change(pick, data, size)
    place: Any = value
    if pick.random() < 0.6:
        place = value.setdefault("HostConfig", {})
    if not isinstance(place, dict):
        return change(pick, data, size)
    key = pick.choice([*sorted(KNOWN_HOST if place is not value else KNOWN_TOP), *place])
    kind = pick.random()
    if kind < 0.2:
        place.pop(key, None)
    elif kind < 0.4:
        place[pick.choice([key.lower(), key.upper(), key.swapcase(), key + "s"])] = pick.choice(VALUES)
    elif kind < 0.7:
        place[key] = pick.choice(VALUES)
    else:
        text = json.dumps(place.get(key, pick.choice(VALUES))).encode()
        with contextlib.suppress(ValueError):
            place[key] = json.loads(change(pick, text, len(text) + 20))
    return json.dumps(value).encode()[:size]


def wire(pick: random.Random, data: bytes, size: int, change: Bytes) -> bytes:
    """Change bytes, lines or the body, and half of the time correct the length: else few would be read."""
    head, mark, rest = data.partition(b"\r\n\r\n")
    kind = pick.random()
    if kind < 0.3 and mark and rest.startswith(b"{"):
        data = head + mark + body(pick, rest, size, change)
    elif kind < 0.5:
        lines = data.split(b"\r\n")
        place = pick.randrange(len(lines))
        lines[place] = pick.choice(LINES) + lines[place]
        data = b"\r\n".join(lines)
    else:
        data = change(pick, data, size)
    if pick.random() < 0.5:
        head, mark, rest = data.partition(b"\r\n\r\n")
        data = re.sub(rb"(Content-Length: )[0-9]+", b"\\g<1>%d" % len(rest), head) + mark + rest
    return data[:size]


TARGETS: dict[str, Mutate] = {"wire": wire, "body": body}


def sequence(target: str, seeds: Sequence[bytes], seed: int, count: int) -> list[bytes]:
    """Give `count` inputs, each one to four changes away from a seed: the same ones in every run."""
    pick = random.Random(seed)
    found = []
    for _ in range(count):
        data = pick.choice(seeds)
        for _ in range(pick.randrange(1, 5)):
            data = TARGETS[target](pick, data, 16384, change_bytes)
        found.append(data)
    return found
