"""Run programs: output is kept, and shown only when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.cluster.errors import ClusterError

_TAIL = 25


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | None = None,
    timeout: float = 120,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program and return its standard output.

    Args:
        command: program and arguments.
        stdin: text for its standard input; none by default.
        timeout: seconds until it is killed.
        env: variables added to the environment.

    Raises:
        ClusterError: with the end of its output, if it fails or takes too long.
    """
    words = [str(word) for word in command]
    environment = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(f"`{' '.join(words)}` did not end within {timeout:.0f} s.") from None
    except FileNotFoundError:
        raise ClusterError(f"{words[0]} is needed and is not on PATH.") from None
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(words)}` failed:\n{tail(done.stdout + done.stderr)}")
    return done.stdout


def works(command: Sequence[str | Path]) -> bool:
    """Whether a program runs and exits with 0."""
    try:
        return subprocess.run([str(word) for word in command], capture_output=True).returncode == 0
    except OSError:
        return False


def tail(text: str, lines: int = _TAIL) -> str:
    """The last lines of a text."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
