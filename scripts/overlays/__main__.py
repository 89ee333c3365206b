"""Make the overlays, or check one of yours: see the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.chart import ManifestError, RenderError
from scripts.overlays.build import BuildError
from scripts.overlays.check import problems
from scripts.overlays.generate import OverlayError, generate
from scripts.tools import ToolError

DESCRIPTION = """\
Report what an overlay of yours leaves stale or does not change. Exit code: 0 all is well, 1 a problem was
found, 2 it cannot be checked."""


def main(arguments: Sequence[str]) -> int:
    """Run one command: without arguments, `overlays/` is written; otherwise see `check`."""
    if arguments:
        return check(arguments)
    try:
        generate()
    except (BuildError, ManifestError, OverlayError, RenderError, ToolError) as error:
        print(f"overlays: {error}", file=sys.stderr)
        return 2
    return 0


def check(arguments: Sequence[str], prog: str = "python -m scripts.overlays") -> int:
    """Check an overlay: `check DIR`; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    commands = parser.add_subparsers(metavar="check DIR", required=True)
    folder = commands.add_parser("check", description=DESCRIPTION)
    folder.add_argument("folder", type=Path, metavar="DIR", help="the directory with your kustomization.yaml")
    options = parser.parse_args(arguments)
    try:
        found = problems(options.folder)
    except (BuildError, ManifestError, OverlayError, ToolError) as error:
        print(f"overlays: {error}", file=sys.stderr)
        return 2
    for problem in found:
        print(problem)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
