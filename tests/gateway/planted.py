"""Copies of the gateway with a fault in them: what a search must find."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.paths import GATEWAY


def plant(directory: Path, file: str, old: str, new: str) -> Path:
    """Copy the package into a directory, with the last `old` of a file replaced; gives the directory.

    A directory that has the copy already gets one more fault.
    """
    copy = directory / GATEWAY.name
    if not copy.exists():
        shutil.copytree(GATEWAY, copy)
    source = (copy / file).read_text()
    assert old in source
    (copy / file).write_text(new.join(source.rsplit(old, 1)))
    return directory
