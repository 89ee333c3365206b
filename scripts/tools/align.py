"""``python -m scripts.tools.align``: raise modules to the versions of the tools that they share with.

Go compiles a package again for every set of versions below it. A tool that `shares` with another gets that
one's versions of all modules that both have; only upward, so that nothing is older than its tool asks for.
"""

from __future__ import annotations

import subprocess
import sys

from scripts.tools.build import lookup, pins
from scripts.tools.catalog import TOOLS, Tool


def differing(tool: Tool) -> dict[str, tuple[str, str]]:
    """Module -> (its version, the one of the tool that it shares with), where they differ."""
    theirs = pins(lookup(tool.shares)) if tool.shares else {}
    return {name: (at, theirs[name]) for name, at in pins(tool).items() if theirs.get(name, at) != at}


def main() -> int:
    """Entry point; returns the exit code."""
    for tool in TOOLS:
        if found := differing(tool):
            wanted = [f"-require={name}@{theirs}" for name, (_, theirs) in found.items()]
            subprocess.run(["go", "mod", "edit", *wanted], cwd=tool.directory, check=True)
            subprocess.run(["go", "mod", "tidy"], cwd=tool.directory, check=True)
        for name, (own, theirs) in differing(tool).items():
            print(f"{tool.name} needs {name} {own}, {tool.shares} has {theirs}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
