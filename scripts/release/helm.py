"""Runs the pinned Helm: older ones on PATH do not know SOURCE_DATE_EPOCH, and compress otherwise."""

from __future__ import annotations

import os
import subprocess

from scripts import tools


class ReleaseError(Exception):
    """A release cannot be made; the message says why, and the way out."""


def helm(*arguments: str, stdin: str | None = None, **environment: str) -> str:
    """Run Helm; returns what it prints.

    Raises:
        ReleaseError: if it fails, with its own words.
        ToolError: if it cannot be had.
    """
    command = [str(tools.pinned("helm")), *arguments]
    done = subprocess.run(command, env=os.environ | environment, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise ReleaseError(f"`helm {arguments[0]}` failed: {' '.join(done.stderr.split())}")
    return done.stdout + done.stderr
