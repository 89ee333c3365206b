"""Make the overlays, or check one of yours: see the package."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.chart import ManifestError, RenderError
from scripts.overlays.build import BuildError
from scripts.overlays.check import problems
from scripts.overlays.generate import OverlayError, generate
from scripts.tools import ToolError

USAGE = "usage: python -m scripts.overlays [check DIR]"


def main(arguments: list[str]) -> int:
    """Run one command. Exit code: 0 all is well, 1 a problem was found, 2 it cannot be said."""
    try:
        if not arguments:
            generate()
            return 0
        if len(arguments) != 2 or arguments[0] != "check":
            print(USAGE, file=sys.stderr)
            return 2
        found = problems(Path(arguments[1]))
    except (BuildError, ManifestError, OverlayError, RenderError, ToolError) as error:
        print(f"overlays: {error}", file=sys.stderr)
        return 2
    for problem in found:
        print(problem)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
