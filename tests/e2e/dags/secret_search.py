"""An attack: search for a secret in all that a process can read of itself and of others.

`python secret_search.py PATTERN FILE` writes a JSON list of the places into the file.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path


def search(pattern: bytes) -> list[str]:
    """Give the ways by which a text that matches can be read, such as "own memory" or "environment of 1"."""
    # What keeps others out keeps a process out of its own /proc, too; it may undo that for itself.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
    wanted = re.compile(pattern)
    found = ["os.environ"] if wanted.search(repr(dict(os.environ)).encode()) else []
    # Its own first: what it reads of others is in its memory, too.
    own = Path("/proc", str(os.getpid()))
    for process in (own, *(path for path in Path("/proc").glob("[0-9]*") if path != own)):
        whose = "own" if process == own else f"{_name(process)} {process.name}"
        with contextlib.suppress(OSError):
            if wanted.search((process / "environ").read_bytes()):
                found.append(f"{whose} environment")
        with contextlib.suppress(OSError):
            if any(wanted.search(part) for part in _memory(process)):
                found.append(f"{whose} memory")
    return found


def _name(process: Path) -> str:
    with contextlib.suppress(OSError):
        return (process / "comm").read_text().strip()
    return "?"


def _memory(process: Path) -> Iterator[bytes]:
    with (process / "mem").open("rb", buffering=0) as memory:
        for line in (process / "maps").read_text().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(each, 16) for each in span.split("-"))
            if "rw" in rights and end - start < 1 << 29:
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    memory.seek(start)
                    yield memory.read(end - start)


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(search(sys.argv[1].encode())))
