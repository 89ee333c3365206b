"""A script in a worker of each mode; what mode dind does is the measure, since its daemon is a plain one."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scripts.live import NAMESPACE, Group
from tests.e2e.conftest import Release
from tests.support.differences import rows

SAME = "the same"
Outcome = dict[str, Any]
#: mode -> case -> outcome
Outcomes = dict[str, dict[str, Outcome]]


def listed(table: str) -> dict[str, dict[str, str]]:
    """Give a table of docs/migrating.md: case -> mode -> what is different there."""
    return {
        case.strip("`"): {"kubernetes": cluster, "socket": daemon} for case, cluster, daemon in rows(table)
    }


def outcomes(release: Release, script: Path, seconds: float, program: Path | None = None) -> Outcomes:
    """Execute a Python script, which gets the path of a program, in all modes at once.

    Its last line is a JSON object: case -> outcome.
    """

    def run(group: Group) -> dict[str, Outcome]:
        pod = release.worker(group.name)
        # Files, as @task.docker reads the source of its function.
        files = [file for file in (script, program) if file]
        for file in files:
            text = base64.b64encode(file.read_bytes()).decode()
            place = f"base64 -d > /tmp/{file.name} && chmod +x /tmp/{file.name}"
            release.inside(pod, "worker", "sh", "-c", place, stdin=text)
        words = ("python", *(f"/tmp/{file.name}" for file in files))
        said = release.target.kubectl(
            "exec", pod, "-n", NAMESPACE, "-c", "worker", "--", *words, timeout=seconds
        )
        found: dict[str, Outcome] = json.loads(said.splitlines()[-1])
        return found

    groups = {group.mode: group for group in reversed(release.serving("docker"))}
    if "dind" not in groups:
        pytest.skip("no worker group has a plain Docker daemon to compare with")
    with ThreadPoolExecutor() as pool:
        running = {mode: pool.submit(run, group) for mode, group in groups.items()}
        return {mode: each.result() for mode, each in running.items()}
