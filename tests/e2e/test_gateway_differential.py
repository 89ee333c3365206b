"""Airflow's Docker operators in the release's workers: the same as on a plain Docker daemon, or listed.

docs/migrating.md is the list of differences. A daemon of mode dind is the plain one: nothing is before it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Release
from tests.e2e.in_each_mode import SAME, Outcome, Outcomes, listed, outcomes
from tests.support.differences import OPERATORS, PAGE

SCRIPT = Path(__file__).parent / "inside" / "docker_tasks.py"
#: For all cases in one worker, on a node with other work.
SECONDS = 900
#: What only the node decides.
OURS = ("[airdock] Waiting: ", "[airdock] user: ")
LISTED = listed(OPERATORS)


@pytest.fixture(scope="module")
def results(release: Release) -> Outcomes:
    """Execute all cases in each mode."""
    return outcomes(release, SCRIPT, SECONDS)


def different(expected: Outcome, found: Outcome) -> list[str]:
    """Name what of an outcome is not the same."""
    changed = [key for key in ("state", "value", "error", "notes") if expected[key] != found[key]]
    return changed + ["lines"] * (printed(expected) != printed(found))


def printed(outcome: Outcome) -> list[str]:
    """Give a task's lines in no order, which two streams have not, without those about the node."""
    return sorted(line for line in outcome["lines"] if not line.startswith(OURS))


def as_listed(cell: str, found: Outcome) -> bool:
    """Tell whether an outcome is what the page says."""
    kind, _, text = (part.strip(" `") for part in cell.partition(":"))
    failed = found["state"] == "failed" and found["value"] is None
    if kind == "refused":
        return failed and not found["lines"] and f'("{text}: ' in found["message"]
    if kind == "fails":
        return failed and text in found["message"]
    if kind == "prints":
        return found["state"] == "success" and text in found["lines"]
    return kind == "not applied" and found["state"] == "success"


#: The value that a task names which was killed for its memory.
MEMORY = {
    "kubernetes": "tasks.resources.limits.memory",
    "socket": "socket.limits.memory",
    "dind": "dind.resources.limits.memory",
}


@pytest.mark.parametrize("mode", MEMORY)
def test_a_kill_for_memory_names_the_limit(results: Outcomes, mode: str) -> None:
    if mode not in results:
        pytest.skip(f"the release has no worker group of mode {mode}")
    message = results[mode]["more memory than mem_limit"]["message"]
    assert "used more memory than its limit of 16Mi and was killed" in message
    assert MEMORY[mode] in message
    assert "memory" not in results[mode]["exit code 1"]["message"]


@pytest.mark.parametrize("mode", ["kubernetes", "socket"])
def test_the_same_as_docker_or_listed(results: Outcomes, mode: str) -> None:
    if mode not in results:
        pytest.skip(f"the release has no worker group of mode {mode}")
    assert LISTED.keys() <= results["dind"].keys(), "the page lists a case that is not there"
    wrong = []
    for case, expected in results["dind"].items():
        found, cell = results[mode][case], LISTED.get(case, {}).get(mode, SAME)
        changed = different(expected, found)
        if cell == SAME and changed:
            wrong.append(f"{case}: {changed} differ and {PAGE.name} does not say so: {expected} -> {found}")
        elif cell != SAME and not changed:
            wrong.append(f"{case}: no difference any more, take it off {PAGE.name}")
        elif cell != SAME and not as_listed(cell, found):
            wrong.append(f"{case}: not what {PAGE.name} says ({cell}): {found}")
    assert not wrong, "\n".join(each[:1000] for each in wrong)


def test_no_refusal_makes_docker_operator_try_without_its_temporary_directory(results: Outcomes) -> None:
    notes = {
        mode: {case: o["notes"] for case, o in cases.items() if o["notes"]} for mode, cases in results.items()
    }
    assert not any(notes.values()), notes
