"""What became of the attacks on each Kubernetes version: a table for the docs, and a comparison."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    attacks: list[tuple[str, str, str, int]]

    def count(self, test: str, outcome: str) -> int:
        """How many of a test's attacks had this outcome."""
        return sum(number for _, name, found, number in self.attacks if (name, found) == (test, outcome))


def _tests(runs: Sequence[Run]) -> list[tuple[str, str]]:
    return sorted({(actor, test) for run in runs for actor, test, _, _ in run.attacks})


def table(runs: Sequence[Run]) -> str:
    """Attacks by test, and how many each version refuses; in brackets: of fields that it does not have."""
    lines = [
        f"| by | test | {' | '.join(run.minor for run in runs)} |",
        f"|---|---|{'---|' * len(runs)}",
    ]
    for actor, test in _tests(runs):
        cells = []
        for run in runs:
            without = run.count(test, NOT_TRIED)
            cells.append(f"{run.count(test, REFUSED)}{f' ({without})' if without else ''}")
        name = test.partition(": ")[0].removeprefix("tests/api/")
        lines.append(f"| {actor} | `{name}` | {' | '.join(cells)} |")
    totals = [str(sum(run.count(test, REFUSED) for _, test in _tests(runs))) for run in runs]
    return "\n".join((*lines, f"| | all | {' | '.join(totals)} |"))


def weaker(runs: Sequence[Run]) -> list[str]:
    """Tests of which a version refuses less than the newest one, but for fields that it does not have."""
    found = []
    for run in runs[:-1]:
        for _, test in _tests(runs):
            all_ = runs[-1].count(test, REFUSED) + runs[-1].count(test, NOT_TRIED)
            if run.count(test, REFUSED) + run.count(test, NOT_TRIED) < all_:
                found.append(f"{run.minor}: {test}")
    return found


def write(runs: Sequence[Run]) -> None:
    """Put the table into the page."""
    before, _, rest = PAGE.read_text().partition(_START)
    after = rest.partition(_END)[2]
    PAGE.write_text(f"{before}{_START}\n{table(runs)}\n\n{_END}{after}")


def columns() -> list[str]:
    """The versions that the page has."""
    head = re.search(r"^\| by \| test \| (.*) \|$", PAGE.read_text(), re.M)
    return head[1].split(" | ") if head else []
