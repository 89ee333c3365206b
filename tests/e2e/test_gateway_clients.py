"""The docker program in the release's workers: the same as on a plain Docker daemon, or listed.

docs/migrating.md is the list of differences. A daemon of mode dind is the plain one: nothing is before it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Release
from tests.e2e.in_each_mode import SAME, Outcome, Outcomes, listed, outcomes
from tests.support.differences import DOCKER_PROGRAM, PAGE
from tests.support.paths import ROOT

SCRIPT = Path(__file__).parent / "inside" / "docker_program.py"
PROGRAM = ROOT / ".tools/bin/docker"
#: For all cases in one worker, on a node with other work.
SECONDS = 1500
BOTH = ("kubernetes", "socket")
LISTED = listed(DOCKER_PROGRAM)


@pytest.fixture(scope="module")
def results(release: Release) -> Outcomes:
    """Execute all cases in each mode."""
    return outcomes(release, SCRIPT, SECONDS, program=PROGRAM)


def same(one: Outcome, other: Outcome) -> bool:
    """Compare ends and outputs; errors are in each server's own words."""
    return (one["code"], one["out"]) == (other["code"], other["out"])


def as_listed(cell: str, expected: Outcome, found: Outcome) -> bool:
    """Tell whether an outcome is what the page says."""
    kind, _, text = (part.strip(" `") for part in cell.partition(":"))
    said, unchanged = text in found["err"] + found["out"], same(expected, found)
    return {
        "may differ": True,
        "fails": not unchanged and found["code"] != 0 and said,
        "prints": not unchanged and found["code"] == 0 and text in found["out"],
        "fails too": unchanged and found["code"] != 0 and said,
    }.get(kind, False)


@pytest.mark.parametrize("mode", BOTH)
def test_the_docker_program_does_the_same_or_listed(results: Outcomes, mode: str) -> None:
    if mode not in results:
        pytest.skip(f"the release has no worker group of mode {mode}")
    assert LISTED.keys() <= results["dind"].keys(), "the page lists a case that is not there"
    wrong = []
    for case, expected in results["dind"].items():
        found, cell = results[mode][case], LISTED.get(case, {}).get(mode, SAME)
        if cell == SAME and not same(expected, found):
            wrong.append(f"{case}: {PAGE.name} does not say that it differs: {expected} -> {found}")
        elif cell != SAME and not as_listed(cell, expected, found):
            wrong.append(f"{case}: not what {PAGE.name} says ({cell}): {expected} -> {found}")
    assert not wrong, "\n".join(each[:1500] for each in wrong)
