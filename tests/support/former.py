"""The chart of a former release, as it was packaged: from the history of this repository."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from scripts.chart import ROOT
from scripts.release.archive import Release, pack

#: Version -> the last commit that has it in Chart.yaml.
COMMITS = {"0.1.0": "44bf793d47797fcfebbc3ee5c978dc11599c369b"}


def tree(version: str, destination: Path) -> Path:
    """Write the chart and its examples as they were; skip the test if the history is not there."""
    commit = COMMITS[version]
    names = ["charts/airdock", "examples/values"]
    command = ["git", "-C", str(ROOT), "archive", commit, *names]
    done = subprocess.run(command, capture_output=True) if shutil.which("git") else None
    if done is None or done.returncode != 0:
        pytest.skip(
            f"the history does not have version {version} (commit {commit[:12]}): this clone is shallow, or "
            "no clone. Run `git fetch --unshallow`"
        )
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(destination, filter="data")
    return destination


def package(version: str, destination: Path) -> Path:
    """Pack it as `make package` does; gives the archive."""
    at = tree(version, destination / "tree")
    changelog = destination / "CHANGELOG.md"
    changelog.write_text(f"# Changelog\n\n## {version} - 2026-11-29\n\n### Changes\n- Packaged again.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1790000000")
        return pack(Release(), destination / "dist", chart=at / "charts" / "airdock", changelog=changelog)
