"""Uploads the logs of tasks that were killed: a task uploads its own log, as it ends.

A log is left over if nobody writes it and nobody has removed it, which Airflow does once it is uploaded. It
is linked to a directory of its own, from which Airflow's remote logging takes it. Runs in a sidecar of a
worker, which ends after the worker; the standard library is enough until there is something to upload.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

LOGS = Path("/opt/airflow/logs")
PARCEL = LOGS / ".parcel"
#: Seconds without a line after which a log that nobody writes is left over: its task is uploading until then.
QUIET = 60.0
PAUSE = 10.0
#: A container that ends gets two seconds, whatever is left of the pod's time: too little to load Airflow.
#: The sidecar's preStop hook creates the file when the pod is told to end, which is long before.
ENDING = Path("/tmp/ending")  # noqa: S108


def written(path: Path) -> bool:
    """Tell whether a process has a file open for writing, in whatever container: see groom_logs.py."""
    with path.open("rb") as opened:
        try:
            fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError:
            return True
    return False


def left_over(top: Path, quiet: float) -> Iterator[Path]:
    """Give the logs of tasks that nobody writes, without those that were written in the last seconds."""
    for path in sorted(top.glob("dag_id=*/**/*.log")):
        try:
            status = path.stat()
            if status.st_size and time.time() - status.st_mtime >= quiet and not written(path):
                yield path
        except FileNotFoundError:
            continue


def load() -> object:
    """Load Airflow's remote logging, which then uploads from PARCEL."""
    from airflow.sdk.log import load_remote_log_handler

    handler = load_remote_log_handler()
    if handler is None:
        sys.exit("Airflow has no remote logging for logs.remote.baseLogFolder")
    handler.base_log_folder = PARCEL  # type: ignore[attr-defined]
    return handler


def upload(handler: object, path: Path) -> bool:
    """Upload a log and remove it; tell whether that went well."""
    relative = path.relative_to(LOGS)
    linked = PARCEL / relative
    shutil.rmtree(PARCEL, ignore_errors=True)
    linked.parent.mkdir(parents=True)
    os.link(path, linked)
    handler.upload(relative.as_posix(), None)  # type: ignore[attr-defined]
    # Airflow removes what it has uploaded.
    if linked.exists():
        return False
    path.unlink(missing_ok=True)
    print(f"Uploaded {relative}, which its task did not.", flush=True)
    return True


def upload_all(quiet: float, handler: object) -> None:
    """Upload all logs that are left over."""
    for path in list(left_over(LOGS, quiet)):
        upload(handler, path)


def upload_apart(quiet: float) -> None:
    """The same in a process of its own, whose memory is free afterwards."""
    subprocess.run([sys.executable, __file__, str(quiet)])


def main() -> None:
    """Look for logs until SIGTERM, and once more then."""
    ended = False

    def end(_signal: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    handler = None
    looked = 0.0
    while not ended:
        if ENDING.exists() and handler is None:
            # Only now: a process that has loaded Airflow takes much memory.
            handler = load()
        if time.monotonic() - looked >= PAUSE:
            looked = time.monotonic()
            if any(left_over(LOGS, QUIET)):
                upload_apart(QUIET)
        time.sleep(0.2)
    if any(left_over(LOGS, 0)):
        upload_all(0, handler) if handler else upload_apart(0)


if __name__ == "__main__":
    if sys.argv[1:]:
        upload_all(float(sys.argv[1]), load())
    else:
        main()
