"""The docker program in the release's workers: the same as on a plain Docker daemon, or listed.

docs/migrating.md is the list of differences. A daemon of mode dind is the plain one: nothing is before it.
"""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scripts.live import NAMESPACE, Group
from tests.e2e.conftest import Release
from tests.support.differences import DOCKER_PROGRAM as PROGRAM_TABLE
from tests.support.differences import PAGE, rows
from tests.support.paths import ROOT

SCRIPT = Path(__file__).parent / "inside" / "docker_program.py"
PROGRAM = ROOT / ".tools/bin/docker"
#: For all cases in one worker, on a node with other work.
SECONDS = 1500
Outcome = dict[str, Any]
BOTH = ("kubernetes", "socket")
SAME = "the same"


def listed() -> dict[str, dict[str, str]]:
    """Give the page's table: case -> mode -> what is different there."""
    found = rows(PROGRAM_TABLE)
    return {case.strip("`"): {"kubernetes": cluster, "socket": daemon} for case, cluster, daemon in found}


LISTED = listed()


def run(release: Release, group: Group) -> dict[str, Outcome]:
    """Execute all cases in a worker of a group."""
    (pod, *_) = [
        pod["metadata"]["name"]
        for pod in release.staying("worker")
        if pod["metadata"]["labels"]["airdock.dev/worker-group"] == group.name
    ]
    program = base64.b64encode(PROGRAM.read_bytes()).decode()
    place = "base64 -d > /tmp/docker && chmod +x /tmp/docker"
    release.inside(pod, "worker", "sh", "-c", place, stdin=program)
    release.inside(pod, "worker", "sh", "-c", "cat > /tmp/docker_program.py", stdin=SCRIPT.read_text())
    words = ("python", "/tmp/docker_program.py", "/tmp/docker")
    said = release.target.kubectl("exec", pod, "-n", NAMESPACE, "-c", "worker", "--", *words, timeout=SECONDS)
    found: dict[str, Outcome] = json.loads(said.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def results(release: Release) -> dict[str, dict[str, Outcome]]:
    """Give mode -> case -> outcome."""
    groups = {group.mode: group for group in reversed(release.serving("docker"))}
    if "dind" not in groups:
        pytest.skip("no worker group has a plain Docker daemon to compare with")
    with ThreadPoolExecutor() as pool:
        running = {mode: pool.submit(run, release, group) for mode, group in groups.items()}
        return {mode: each.result() for mode, each in running.items()}


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
def test_the_docker_program_does_the_same_or_listed(
    results: dict[str, dict[str, Outcome]], mode: str
) -> None:
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
