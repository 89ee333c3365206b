"""Builds the Python package of the program `airdock`: a wheel with the chart."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.chart import ROOT
from scripts.release.archive import Release, epoch
from scripts.release.helm import ReleaseError
from scripts.release.links import VARIABLE


def wheel(release: Release, destination: Path) -> Path:
    """Write airdock-<version>-py3-none-any.whl; the same bytes for the same commit and source.

    Raises:
        ReleaseError: if it cannot be built, or the time of the commit is not known.
    """
    environment = os.environ | {VARIABLE: release.source, "SOURCE_DATE_EPOCH": str(epoch())}
    with TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", scratch]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise ReleaseError(f"The Python package cannot be built: {' '.join(done.stderr.split())}")
        (built,) = Path(scratch).iterdir()
        destination.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(built, destination))
