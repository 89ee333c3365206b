"""Airflow's Docker operators in the release's workers: the same as on a plain Docker daemon, or listed.

docs/migrating.md is the list of differences. A daemon of mode dind is the plain one: nothing is before it.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scripts.live import NAMESPACE, Group
from tests.e2e.conftest import Release
from tests.support.differences import OPERATORS, PAGE, rows

SCRIPT = Path(__file__).parent / "inside" / "docker_tasks.py"
#: For all cases in one worker, on a node with other work.
SECONDS = 900
SAME = "the same"
#: What only the node decides.
OURS = ("[airdock] Waiting: ", "[airdock] user: ")
Outcome = dict[str, Any]
Results = dict[str, dict[str, Outcome]]


def listed() -> dict[str, dict[str, str]]:
    """Give the page's table: case -> mode -> what is different there."""
    found = rows(OPERATORS)
    return {case.strip("`"): {"kubernetes": cluster, "socket": daemon} for case, cluster, daemon in found}


LISTED = listed()


def run(release: Release, group: Group) -> dict[str, Outcome]:
    """Execute all cases in a worker of a group."""
    (pod, *_) = [
        pod["metadata"]["name"]
        for pod in release.staying("worker")
        if pod["metadata"]["labels"]["airdock.dev/worker-group"] == group.name
    ]
    # A file, as @task.docker reads the source of its function.
    release.inside(pod, "worker", "sh", "-c", "cat > /tmp/docker_tasks.py", stdin=SCRIPT.read_text())
    said = release.target.kubectl(
        "exec", pod, "-n", NAMESPACE, "-c", "worker", "--", "python", "/tmp/docker_tasks.py", timeout=SECONDS
    )
    found: dict[str, Outcome] = json.loads(said.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def results(release: Release) -> Results:
    """Give mode -> case -> outcome."""
    groups = {group.mode: group for group in reversed(release.serving("docker"))}
    if "dind" not in groups:
        pytest.skip("no worker group has a plain Docker daemon to compare with")
    with ThreadPoolExecutor() as pool:
        running = {mode: pool.submit(run, release, group) for mode, group in groups.items()}
        return {mode: each.result() for mode, each in running.items()}


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
def test_a_kill_for_memory_names_the_limit(results: Results, mode: str) -> None:
    if mode not in results:
        pytest.skip(f"the release has no worker group of mode {mode}")
    message = results[mode]["more memory than mem_limit"]["message"]
    assert "used more memory than its limit of 16Mi and was killed" in message
    assert MEMORY[mode] in message
    assert "memory" not in results[mode]["exit code 1"]["message"]


@pytest.mark.parametrize("mode", ["kubernetes", "socket"])
def test_the_same_as_docker_or_listed(results: Results, mode: str) -> None:
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


def test_no_refusal_makes_docker_operator_try_without_its_temporary_directory(results: Results) -> None:
    notes = {
        mode: {case: o["notes"] for case, o in cases.items() if o["notes"]} for mode, cases in results.items()
    }
    assert not any(notes.values()), notes
