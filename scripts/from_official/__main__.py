"""`python -m scripts.from_official values.yaml`, and `airdock from-official values.yaml`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.chart import RenderError, render
from scripts.from_official.attach import attached
from scripts.from_official.convert import convert
from scripts.from_official.result import Result
from scripts.from_official.source import SourceError
from scripts.tools import ToolError

DESCRIPTION = """\
Convert a values file of the official Airflow chart: the values go to standard output, the report to standard
error. Exit code: 0 the chart accepts the values, 1 it does not yet, 2 the file cannot be read."""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m scripts.from_official") -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    parser.add_argument(
        "values", metavar="FILE", help="values file of the official chart; - is standard input"
    )
    parser.add_argument(
        "--attach",
        metavar="RELEASE",
        help="convert what worker groups need that join this release of the official chart, and nothing else",
    )
    options = parser.parse_args(arguments)
    name = options.values
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        result = attached(text, options.attach) if options.attach else convert(text)
    except (OSError, UnicodeDecodeError, SourceError) as error:
        print(f"from-official: {name}: {error}", file=sys.stderr)
        return 2
    try:
        render(result.values)
        problem = ""
    except RenderError as error:
        problem = str(error)
    except ToolError as error:
        result.decide(f"The values were not checked, because Helm is missing: {error}")
        problem = ""
    print(result.text(), end="")
    print(report(result, problem), file=sys.stderr, end="")
    return 1 if problem else 0


def report(result: Result, problem: str = "") -> str:
    """What the user has to know, one line each."""
    parts = [
        ("Needs a decision", result.decisions),
        ("Secrets that apply as they are", result.secrets),
        ("Dropped", result.dropped),
        ("The chart does not accept the values yet", problem.splitlines()),
    ]
    return "\n".join(
        f"{title}:\n" + "".join(f"  - {line}\n" for line in dict.fromkeys(lines))
        for title, lines in parts
        if lines
    )


if __name__ == "__main__":
    sys.exit(main())
