"""``python -m scripts.cluster up|down|status``: the native single-node cluster."""

from __future__ import annotations

import argparse
import sys

from scripts.cluster import lifecycle, preflight
from scripts.cluster.errors import ClusterError
from scripts.tools import ToolError


def _status() -> int:
    preflight.system()
    reason = lifecycle.why_not_ready()
    print(f"not Ready: {reason}" if reason else "Ready")
    return 1 if reason else 0


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.cluster", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status"))
    command = parser.parse_args().command
    try:
        if command == "status":
            return _status()
        lifecycle.up() if command == "up" else lifecycle.down()
    except (ClusterError, ToolError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
