"""Copies images between registries with crane: all platforms, with the same digests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from scripts import tools


class CopyError(Exception):
    """An image was not copied; the message is one sentence."""


def copy(source: str, target: str) -> str:
    """Copy one image, and return its digest.

    Logins are those of `docker login` or `crane auth login`.

    Raises:
        CopyError: if it cannot be copied.
        ToolError: if crane cannot be had.
    """
    _crane("copy", source, target)
    return _crane("digest", target)


def _crane(*arguments: str) -> str:
    done = subprocess.run([str(tools.path("crane")), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        raise CopyError(f"crane {' '.join(arguments)} failed: {last}.")
    return done.stdout.strip()


def collisions(targets: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences on different images that would have the same name in the other registry."""
    taken: dict[str, str] = {}
    return [
        f"{source} and {other} would both be {target}."
        for source, target in targets
        if (other := taken.setdefault(target, source)) != source
    ]
