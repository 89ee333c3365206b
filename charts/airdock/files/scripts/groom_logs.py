"""Removes old log files: the kubelet evicts a pod whose log directory is too large.

A file that a process has open for writing stays, however old and large it is: the kernel gives a read lease
(fcntl(2), F_SETLEASE) only for a file that nobody writes, in whatever container. Standard library only; runs
in a sidecar.

Environment: AIRDOCK_LOGS_DAYS, the age at which files go; AIRDOCK_LOGS_MAX_BYTES, what they may have in all,
0 for no limit; AIRDOCK_LOGS_SHARED, set if other nodes write to the same directory.
"""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LOGS = Path("/opt/airflow/logs")
DAY = 86400.0
# Touched in each round, for the liveness probe.
ROUND = Path("/tmp/log-groomer")  # noqa: S108
# Seconds between two rounds. The kubelet looks at the directory about once a minute.
PAUSE, LONGEST_PAUSE = 5.0, 300.0
# A round may cost this part of a processor: directories of many files are looked at less often.
SHARE = 0.02
# Where several groomers share the directory, the one that has locked this file works.
LOCK = ".groomer.lock"


class File(NamedTuple):
    """A log file: seconds since 1970 at which it was written, the bytes that it has on the disk, its path."""

    written: float
    size: int
    path: str


@dataclass(frozen=True)
class Retention:
    """What is kept.

    Attributes:
        days: the age at which a file goes.
        max_bytes: what all files may have; 0 for no limit.
        shared: other nodes write to the directory. Leases do not see them, so a file of the last day stays.
    """

    days: float
    max_bytes: int
    shared: bool


def files(top: str, empty_since: float) -> Iterator[File]:
    """Give the files below a directory, without following links; remove directories empty since then."""
    with os.scandir(top) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from files(entry.path, empty_since)
                    if entry.stat(follow_symlinks=False).st_mtime < empty_since:
                        Path(entry.path).rmdir()
                elif entry.is_file(follow_symlinks=False) and entry.name != LOCK:
                    found = entry.stat(follow_symlinks=False)
                    yield File(found.st_mtime, found.st_blocks * 512, entry.path)
            except OSError:
                continue  # it is not empty, or somebody else removed it


def remove(file: File, shared: bool) -> bool:
    """Remove a file, unless a process writes it. Tells whether it is gone."""
    try:
        opened = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if not shared:
            fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        Path(file.path).unlink()
    except OSError:
        return False
    finally:
        os.close(opened)
    return True


def groom(top: Path, kept: Retention, now: float) -> tuple[int, int, int]:
    """Remove what is too old, then the oldest of what is too much.

    Returns:
        How many files were removed, their bytes, and the bytes that are left.
    """
    found = sorted(files(str(top), now - DAY))
    left, count, freed = sum(file.size for file in found), 0, 0
    for file in found:
        too_much = kept.max_bytes and left > kept.max_bytes
        if now - file.written < (DAY if kept.shared else 0.0):
            break
        if not too_much and now - file.written < kept.days * DAY:
            break
        if remove(file, kept.shared):
            left, count, freed = left - file.size, count + 1, freed + file.size
    return count, freed, left


def wait_for_turn(top: Path) -> None:
    """Wait until no other groomer works; this one then does until it ends."""
    opened = os.open(top / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        ROUND.touch()
        try:
            return fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(PAUSE)


def main() -> None:
    """Groom until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    kept = Retention(
        float(os.environ["AIRDOCK_LOGS_DAYS"]),
        int(os.environ["AIRDOCK_LOGS_MAX_BYTES"]),
        bool(os.environ.get("AIRDOCK_LOGS_SHARED")),
    )
    if kept.shared:
        wait_for_turn(LOGS)
    full = False
    while True:
        ROUND.touch()
        began = time.monotonic()
        count, freed, left = groom(LOGS, kept, time.time())
        if count:
            print(f"Removed {count} log files with {freed >> 10} KiB. {left >> 10} KiB are left.", flush=True)
        now_full = 0 < kept.max_bytes < left
        if now_full and not full:
            print(
                f"The log files have {left >> 10} KiB, more than the {kept.max_bytes >> 10} of"
                " logs.retention.maxSize, and those that are left may still be written. Set a larger"
                " logs.sizeLimit.",
                flush=True,
            )
        full = now_full
        time.sleep(min(max(PAUSE, (time.monotonic() - began) / SHARE), LONGEST_PAUSE))


if __name__ == "__main__":
    main()
