"""The pre-commit hook and the GitHub Action: their commands run as pre-commit and a runner run them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import tools
from scripts.chart import HELM4, ROOT
from scripts.lint import acceptances
from tests.cli.conftest import Airdock, Program

PAGE = (ROOT / "docs" / "lint.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
WEAK = "ingress: {enabled: true, host: airflow.example.com}\n"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())


def action(program: Program, folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the step `Lint` of the Action in a folder, as a runner does after `Install airdock`."""
    (step,) = [step for step in ACTION["runs"]["steps"] if step.get("name") == "Lint"]
    assert step["shell"] == "bash"
    context = {f"inputs.{name}": entry["default"] for name, entry in ACTION["inputs"].items()}
    context |= {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
    context |= {"github.action_repository": "owner/airdock", "github.action_ref": "v1.2.3"}
    runner, bin = folder / "runner", folder / "bin"
    runner.mkdir()
    bin.mkdir()
    (runner / "airdock").symlink_to(program.environment)
    (bin / "helm").symlink_to(tools.path(HELM4))
    variables = {
        name: re.sub(r"\$\{\{ (\S+) \}\}", lambda match: context[match[1]], text)
        for name, text in step["env"].items()
    }
    variables |= {"RUNNER_TEMP": str(runner), "GITHUB_SERVER_URL": "https://git.example.com"}
    variables |= {"PATH": str(bin), "XDG_CACHE_HOME": str(program.cache), "HOME": str(folder)}
    # As GitHub's runner calls it.
    command = ["/bin/bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)


def test_the_actions_steps_take_no_text_of_inputs() -> None:
    """A value of an input is data: in a script it would be code."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    given = {match for step in ACTION["runs"]["steps"] for match in re.findall(r"inputs\.(\S+)", str(step))}
    assert given == set(ACTION["inputs"])


def test_action_with_values(program: Program, tmp_path: Path) -> None:
    (tmp_path / "my values.yaml").write_text(WEAK)
    (tmp_path / "accepted.yaml").write_text("[]")
    report = {"format": "sarif", "output": "lint.sarif"}
    given = {"values": "my values.yaml\n", "accepted": "accepted.yaml", "kube_version": "1.30"}
    done = action(program, tmp_path, **given, **report)
    assert (done.returncode, done.stderr) == (1, "")
    assert "ingress-tls" in done.stdout
    (run,) = json.loads((tmp_path / "lint.sarif").read_text())["runs"]
    page = "https://git.example.com/owner/airdock/blob/v1.2.3/docs/lint.md"
    assert run["tool"]["driver"]["rules"][0]["helpUri"].startswith(f"{page}#")
    assert {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]
    } == {"my%20values.yaml"}


@pytest.mark.parametrize(
    ("inputs", "code"),
    [({"manifests": "$(touch run)\n-pod.yaml"}, 1), ({"values": "missing.yaml"}, 2), ({}, 0)],
)
def test_action(inputs: dict[str, str], code: int, program: Program, tmp_path: Path) -> None:
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    (tmp_path / "$(touch run)").write_text(yaml.safe_dump(config))
    pod = {**config, "kind": "Pod", "spec": {"hostPID": True, "containers": [{"name": "a", "image": "b"}]}}
    (tmp_path / "-pod.yaml").write_text(yaml.safe_dump(pod))
    done = action(program, tmp_path, **inputs)
    assert done.returncode == code, done.stderr
    assert ("host-namespaces" in done.stdout) == ("manifests" in inputs)
    assert not (tmp_path / "run").exists()


def test_pre_commit_hook(airdock: Airdock, tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["language"], hook["pass_filenames"]) == ("airdock-lint", "python", False)
    assert re.search(hook["files"], "deploy/my.yaml")
    (tmp_path / "my.yaml").write_text(WEAK)
    program, *arguments = shlex.split(hook["entry"])
    assert program == "airdock"
    done = airdock(*arguments, "-f", "my.yaml")
    assert done.code == 1
    assert "ingress-tls" in done.out


def test_the_page_shows_what_there_is(tmp_path: Path) -> None:
    """Inputs of the Action, the hook's id, and options of acceptances, as docs/lint.md has them."""
    (hook,) = [block["repos"][0]["hooks"][0] for block in BLOCKS if "repos" in block]
    assert hook["id"] in (ROOT / ".pre-commit-hooks.yaml").read_text()
    assert all(re.fullmatch(hook["files"], name) for name in hook["args"] if not name.startswith("-"))
    (steps,) = [block["jobs"]["lint"]["steps"] for block in BLOCKS if "jobs" in block]
    assert set(steps[1]["with"]) <= set(ACTION["inputs"])
    listed = re.search(r"The inputs are (.*?)\. The step", PAGE, re.DOTALL)
    assert listed
    assert set(re.findall("`(.*?)`", listed[1])) == set(ACTION["inputs"])
    (accepted,) = [block for block in BLOCKS if isinstance(block, list)]
    (tmp_path / "accepted.yaml").write_text(yaml.safe_dump(accepted))
    assert [entry.until is None for entry in acceptances.load(str(tmp_path / "accepted.yaml"))] == [
        True,
        False,
    ]
