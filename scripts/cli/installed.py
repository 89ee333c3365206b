"""The program `airdock`: lint, from-official, overlays, images and check, with their chart."""

import sys
from pathlib import Path


def main() -> int:
    """Entry point; returns the exit code."""
    # `scripts` is below this package: other programs of the environment may have one of that name.
    sys.path.insert(0, str(Path(__file__).parent))
    from scripts.cli.command import main as run

    return run()
