"""Waits in an init container until nothing is wrong, and says what is.

Standard library only.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

# The kubelet shows the last words of a container that has failed: `kubectl describe pod` has them.
LAST_WORDS = Path("/dev/termination-log")


def wait(problem: Callable[[], str], deadline: float, waiting: str, failed: str) -> None:
    """Ask each second what is wrong until it is nothing, and print each new answer after ``waiting``.

    Raises:
        SystemExit: something is wrong after ``deadline`` (of time.monotonic()): ``failed`` and what it is.
    """
    said = ""
    while now := problem():
        if now != said:
            print(f"{waiting}: {now}", flush=True)
            said = now
        if time.monotonic() > deadline:
            words = f"{failed}: {now}."
            if LAST_WORDS.exists():
                LAST_WORDS.write_text(words)
            sys.exit(words)
        time.sleep(1)
