"""`python -m scripts.from_official values.yaml`: the values on standard output, the report on standard error.

Exit code: 0 the chart accepts the values, 1 it does not yet, 2 the file cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.chart import RenderError, render
from scripts.from_official.convert import convert
from scripts.from_official.result import Result
from scripts.from_official.source import SourceError
from scripts.tools import ToolError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.from_official", description=__doc__)
    parser.add_argument(
        "values", metavar="FILE", help="values file of the official chart; - is standard input"
    )
    name = parser.parse_args(arguments).values
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        result = convert(text)
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
