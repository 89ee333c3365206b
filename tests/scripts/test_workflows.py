"""The workflows run `make` targets that exist, and nothing else: what CI does can be done by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scripts.tools.build import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
#: A node needs root; `sudo` keeps what the steps before set up.
COMMAND = re.compile(r'(?:sudo --preserve-env=HOME env "PATH=\$PATH" )?make ([\w${}. -]+?)(?: [A-Z]+=\S+)*')


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_steps_run_make_targets_alone(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    matrices = [job.get("strategy", {}).get("matrix", {}).get("target", []) for job in jobs]
    runs = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    assert runs
    named = set()
    for command in runs:
        match = COMMAND.fullmatch(command)
        assert match, f"not a make target: {command}"
        named |= (
            {target for matrix in matrices for target in matrix}
            if match[1] == "${{ matrix.target }}"
            else {match[1]}
        )
    assert named <= targets()


def test_there_are_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} == {"test", "e2e", "release"}
