"""``python -m tests.cgroup2.machine``: build what `make e2e-cgroup2` boots, or say why it cannot run here."""

from __future__ import annotations

import sys

from scripts.cluster.errors import ClusterError
from scripts.images import ImageError
from scripts.tools import ToolError
from tests.cgroup2.machine import MachineError, build, obstacle


def main() -> int:
    """Entry point; returns the exit code."""
    if reason := obstacle():
        print(f"machine: {reason}", file=sys.stderr)
        return 0  # The tests are skipped with the same reason.
    try:
        build()
    except (ClusterError, ImageError, MachineError, ToolError) as error:
        print(f"machine: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
