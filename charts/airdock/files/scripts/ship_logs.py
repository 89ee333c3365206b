"""Uploads the logs that tasks have left: a task uploads its own log, unless it is killed.

A task keeps its log open until it has uploaded it, and Airflow then removes the file. So a file that nobody
has open is left over. It is linked to a separate directory, from which Airflow's remote logging takes it, and
removed only once that has succeeded. Runs in a sidecar, which ends after the worker; the standard library is
enough until there is something to upload.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, MappingProxyType

LOGS = Path("/opt/airflow/logs")
#: Airflow removes the whole directory of what it has uploaded: another one than that of the log.
PARCEL = LOGS / ".parcel"
#: Seconds since the last line: a task that goes on after a break has not opened its log yet.
QUIET = 10.0
#: Seconds between two looks, which are doubled each time that an upload fails.
PAUSE, LONGEST_PAUSE = 10.0, 600.0
#: Touched in each round, for the liveness probe.
ROUND = Path("/tmp/log-shipper")  # noqa: S108
#: Once the worker has ended, or was killed, the sidecar may have two seconds, which is too short to load
#: Airflow. Its preStop hook creates this file when the pod is told to end. If the worker ends by itself, the
#: signal follows at once.
ENDING, AT_ONCE = Path("/tmp/ending"), 2.0  # noqa: S108
#: Two seconds are also too short for many logs. So many seconds before the pod's grace period ends, what
#: they have by then is uploaded, and the rest at the end. A task that ends by itself in between uploads its
#: whole log: Airflow appends, so the beginning is there twice.
EARLY = 15.0
GRACE = float(os.environ.get("AIRDOCK_GRACE_SECONDS", "30"))


def written(path: Path) -> bool:
    """Tell whether a process has a file open for writing, in whatever container: see groom_logs.py."""
    with path.open("rb") as opened:
        try:
            fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError:
            return True
    return False


def logs() -> Iterator[tuple[Path, float]]:
    """Give the logs of tasks, and when each was last written (seconds since 1970)."""
    for path in sorted(LOGS.glob("dag_id=*/**/*.log")):
        try:
            status = path.lstat()
        except OSError:
            continue
        # Tasks may put anything here: a pipe would block.
        if stat.S_ISREG(status.st_mode) and status.st_size:
            yield path, status.st_mtime


def left_over(quiet: float) -> Iterator[Path]:
    """Give the logs of tasks that nobody writes, and that nobody has written in the last seconds."""
    for path, written_at in logs():
        with contextlib.suppress(OSError):
            if time.time() - written_at >= quiet and not written(path):
                yield path


def load() -> object:
    """Load Airflow's remote logging, and let it upload from PARCEL."""
    from airflow.sdk.log import load_remote_log_handler

    handler = load_remote_log_handler()
    if handler is None:
        sys.exit("Airflow has no remote logging for logs.remote.baseLogFolder.")
    handler.base_log_folder = PARCEL
    return handler


def deliver(handler: object, path: Path, content: bytes | None = None) -> None:
    """Upload a log, or this part of it.

    Raises:
        Exception: it was not uploaded.
    """
    relative = path.relative_to(LOGS)
    linked = PARCEL / relative
    shutil.rmtree(PARCEL, ignore_errors=True)
    linked.parent.mkdir(parents=True)
    if content is None:
        os.link(path, linked)
    else:
        linked.write_bytes(content)
    handler.upload(relative.as_posix(), None)  # type: ignore[attr-defined]
    # With delete_local_logs = False, Airflow empties what it has uploaded.
    if linked.exists() and linked.stat().st_size:
        raise RuntimeError("see above")


def upload(handler: object, path: Path, sent: int = 0) -> bool:
    """Upload a log from a byte on, and remove it; tell whether that went well."""
    try:
        rest = path.read_bytes()[sent:] if sent else None
        if rest != b"":
            deliver(handler, path, rest)
        path.unlink(missing_ok=True)
    except Exception as error:
        print(f"{path.relative_to(LOGS)} was not uploaded, and stays: {error!r}", flush=True)
        return False
    print(f"Uploaded {path.relative_to(LOGS)}, which its task did not.", flush=True)
    return True


def upload_all(quiet: float, handler: object, sent: Mapping[Path, int] = MappingProxyType({})) -> bool:
    """Upload all logs that are left over, from the bytes on that were sent; tell whether that went well."""
    return all([upload(handler, path, sent.get(path, 0)) for path in list(left_over(quiet))])


def upload_beginnings(handler: object) -> dict[Path, int]:
    """Upload the whole lines that each log has by now; give the number of their bytes."""
    sent = {}
    for path, _ in logs():
        try:
            text = path.read_bytes()
            lines = text[: text.rfind(b"\n") + 1]
            if lines:
                deliver(handler, path, lines)
                sent[path] = len(lines)
        except Exception as error:
            print(f"{path.relative_to(LOGS)} was not uploaded yet: {error!r}", flush=True)
    return sent


def upload_apart(quiet: float) -> bool:
    """The same in a separate process, whose memory is free afterwards."""
    return subprocess.run([sys.executable, __file__, str(quiet)]).returncode == 0


def main() -> None:
    """Look for logs until SIGTERM, and once more then."""
    ended = False

    def end(_signal: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    # The hook also runs if the kubelet restarts this container alone.
    ENDING.unlink(missing_ok=True)
    handler, sent = None, None
    pause, look_at = PAUSE, 0.0
    while not ended:
        ending = time.time() - ENDING.stat().st_mtime if ENDING.exists() else 0.0
        if handler is None and ending > AT_ONCE:
            handler = load()
        if handler and sent is None and ending > GRACE - EARLY:
            sent = upload_beginnings(handler)
        if time.monotonic() >= look_at:
            ROUND.touch()
            # A separate process does not know what was sent.
            if sent is None and any(left_over(QUIET)):
                pause = PAUSE if upload_apart(QUIET) else min(2 * pause, LONGEST_PAUSE)
            look_at = time.monotonic() + pause
        time.sleep(0.2)
    if any(left_over(0)):
        upload_all(0, handler, sent or {}) if handler else upload_apart(0)


if __name__ == "__main__":
    # A process that opens a file under the lease of written().
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    if sys.argv[1:]:
        sys.exit(0 if upload_all(float(sys.argv[1]), load()) else 1)
    main()
