"""``python -m scripts.tools NAME...``: build pinned tools and link them into .tools/bin."""

from __future__ import annotations

import argparse
import sys

from scripts.tools.build import lookup, on_path, provide
from scripts.tools.catalog import TOOLS
from scripts.tools.errors import ToolError


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.tools", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="tools or binaries; none: list them")
    parser.add_argument("--pinned", action="store_true", help="do not use what is on PATH")
    arguments = parser.parse_args()
    if not arguments.names:
        for tool in TOOLS:
            print(f"{tool.name}: {' '.join(tool.binaries)}")
        return 0
    try:
        for name in arguments.names:
            lookup(name)
        provide(arguments.names, only_pinned=arguments.pinned)
        for name in arguments.names:
            if not arguments.pinned and (found := on_path(lookup(name))):
                print(f"using {found} for {name}", file=sys.stderr)
    except ToolError as error:
        print(f"tools: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
