"""What became of the attacks on each Kubernetes version: a table for the docs, and a comparison."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.chart import ROOT

PAGE = ROOT / "docs" / "kubernetes-versions.md"
_START, _END = "<!-- attacks: written by make test-api VERSIONS=... -->\n", "<!-- end -->\n"
REFUSED, NOT_TRIED = "refused", "not tried"


@dataclass(frozen=True)
class Run:
    """The tier against one minor: `attacks` has actor, test, outcome and number."""

    minor: str
    passed: bool
    seconds: float
    attacks: Sequence[tuple[str, str, str, int]]

    def count(self, row: tuple[str, str], *outcomes: str) -> int:
        """How many attacks of an actor in a test had one of the outcomes."""
        return sum(
            number for who, test, found, number in self.attacks if (who, test) == row and found in outcomes
        )


def _rows(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """The actors and tests of attacks that have to be refused."""
    found = {
        (who, test)
        for run in runs
        for who, test, outcome, _ in run.attacks
        if outcome in (REFUSED, NOT_TRIED)
    }
    return sorted(found)


def table(runs: Sequence[Run]) -> str:
    """Attacks by test, and how many each version refuses; in brackets: of fields that it does not have."""
    lines = [
        f"| by | test | {' | '.join(run.minor for run in runs)} |",
        f"|---|---|{'---|' * len(runs)}",
    ]
    for row in _rows(runs):
        cells = []
        for run in runs:
            without = run.count(row, NOT_TRIED)
            cells.append(f"{run.count(row, REFUSED)}{f' ({without})' if without else ''}")
        lines.append(f"| {row[0]} | `{row[1].removeprefix('tests/api/')}` | {' | '.join(cells)} |")
    totals = [str(sum(run.count(row, REFUSED) for row in _rows(runs))) for run in runs]
    return "\n".join((*lines, f"| | all | {' | '.join(totals)} |"))


def weaker(runs: Sequence[Run]) -> list[str]:
    """Tests of which a version refuses less than another one, but for fields that it does not have."""
    found = []
    for row in _rows(runs):
        most = max(run.count(row, REFUSED, NOT_TRIED) for run in runs)
        found += [f"{run.minor}: {row[1]}" for run in runs if run.count(row, REFUSED, NOT_TRIED) < most]
    return sorted(found)


def write(runs: Sequence[Run], supported: Sequence[str]) -> None:
    """Put the table into the page, and what has not been run."""
    before, _, rest = PAGE.read_text().partition(_START)
    left = [minor for minor in supported if minor not in [run.minor for run in runs]]
    text = f"\n{table(runs)}\n\n" + (f"Not run: {', '.join(left)}.\n\n" if left else "")
    PAGE.write_text(f"{before}{_START}{text}{_END}{rest.partition(_END)[2]}")


def versions_of_the_page() -> tuple[list[str], list[str]]:
    """The versions that the page's table has, and those that it says were not run."""
    page = PAGE.read_text()
    head, left = (
        re.search(r"^\| by \| test \| (.*) \|$", page, re.M),
        re.search(r"^Not run: (.*)\.$", page, re.M),
    )
    return head[1].split(" | ") if head else [], left[1].split(", ") if left else []
