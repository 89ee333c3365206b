"""Check and convert values of the Airdock chart without a clone, and check a cluster for it.

commands:
  lint             check values or any manifests: schemas and security policies
  from-official    convert a values file of the official Airflow chart
  overlays check   find what is stale or without effect in your Kustomize overlay
  rbac-for-cluster print what the administrator of another cluster applies
  images           print the images that values need, or copy them to another registry
  check            find out which modes a cluster can serve, before anything is installed

`airdock COMMAND --help` describes a command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from scripts.chart import versions

PROGRAM = "airdock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    version = f"{PROGRAM} {versions.CHART} (Airflow {versions.AIRFLOW})"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    return COMMANDS[options.command](options.arguments, f"{PROGRAM} {options.command}")


def _lint(arguments: list[str], prog: str) -> int:
    from scripts.lint.command import main

    return main(arguments, prog)


def _from_official(arguments: list[str], prog: str) -> int:
    from scripts.from_official.__main__ import main

    return main(arguments, prog)


def _overlays(arguments: list[str], prog: str) -> int:
    from scripts.overlays.__main__ import check

    return check(arguments, prog)


def _rbac_for_cluster(arguments: list[str], prog: str) -> int:
    from scripts.other_cluster.__main__ import main

    return main(arguments, prog)


def _images(arguments: list[str], prog: str) -> int:
    from scripts.mirror.__main__ import main

    return main(arguments, prog)


def _check(arguments: list[str], prog: str) -> int:
    from scripts.check.command import main

    return main(arguments, prog)


#: Each imports what it needs, so that the others start without it.
COMMANDS: dict[str, Callable[[list[str], str], int]] = {
    "lint": _lint,
    "from-official": _from_official,
    "overlays": _overlays,
    "rbac-for-cluster": _rbac_for_cluster,
    "images": _images,
    "check": _check,
}
