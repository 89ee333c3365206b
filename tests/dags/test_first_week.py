"""docs/first-week.md: each step's values render, its commands run, and its refusals are the real ones."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import tools
from scripts.chart import CHART, RenderError, load_yaml, render
from scripts.overlays.definitions import merged
from tests.support.paths import DOCS, FILES, ROOT

PAGE = (DOCS / "first-week.md").read_text()


def blocks(kind: str) -> list[str]:
    """Give the page's fenced blocks of a language."""
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", PAGE)


VALUES = [load_yaml(text, "first-week.md")[0] for text in blocks("yaml")]
COMMANDS = [line for text in blocks("console") for line in text.splitlines()]
DAGS = {re.findall(r"dags/(\w+)\.py", text)[0]: text for text in blocks("python")}
#: Those of a fenced block without a language, and of the table's first column.
REFUSALS = [*re.findall(r"(?m)^\| `(.+?)` \| ", PAGE), *re.findall(r"(?m)^```\n(.*)\n```$", PAGE)]


def my_yaml(steps: int = len(VALUES)) -> dict[str, Any]:
    """Give my.yaml after some steps."""
    found: dict[str, Any] = {}
    for values in VALUES[:steps]:
        found = merged(found, values)
    return found


@pytest.mark.parametrize("steps", range(1, len(VALUES) + 1))
def test_each_step_renders(steps: int) -> None:
    assert render(my_yaml(steps)).all("Namespace", name="airdock-tasks")


@pytest.mark.parametrize("command", [c for c in COMMANDS if " create " in c])
def test_the_objects_are_those_that_the_values_name(command: str, tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    for name, text in DAGS.items():
        (tmp_path / "dags" / f"{name}.py").write_text(text)
    words = shlex.split(command.partition(" | ")[0].replace(" --dry-run=client --output yaml", ""))
    done = subprocess.run(
        [str(tools.path("kubectl")), *words[1:], "--dry-run=client", "--output=yaml"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = load_yaml(done.stdout, command)
    name, namespace = made["metadata"]["name"], made["metadata"].get("namespace")
    if made["kind"] == "Namespace":
        assert name == "airdock"
        return
    assert namespace == ("airdock" if made["kind"] == "ConfigMap" else "airdock-tasks")
    assert f"'{name}'" in str(my_yaml())


def test_helm_takes_its_command(tmp_path: Path) -> None:
    (command,) = (c for c in COMMANDS if c.startswith("helm "))
    file = tmp_path / "my.yaml"
    file.write_text(blocks("yaml")[0])
    words = shlex.split(command.replace("upgrade --install", "template").replace("my.yaml", str(file)))
    words.remove("--wait")
    done = subprocess.run([str(tools.path("helm")), *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_command_is_looked_at() -> None:
    others = [c for c in COMMANDS if " create " not in c and not c.startswith("helm ")]
    assert [c.split()[:3] for c in others] == [
        ["kubectl", "--namespace", "airdock-tasks"],
        ["kubectl", "label", "node"],
        ["kubectl", "taint", "node"],
    ]
    group = my_yaml()["workers"]["gpu"]
    assert "=".join(*group["tasks"]["pod"]["nodeSelector"].items()) in others[1].split()
    assert group["tasks"]["pod"]["tolerations"] == my_yaml()["tasks"]["admission"]["tolerations"]
    assert f"{group['tasks']['pod']['tolerations'][0]['key']}=" in others[2]


@pytest.mark.parametrize("name", DAGS)
def test_the_dags_name_what_the_values_have(name: str) -> None:
    ast.parse(DAGS[name])
    options = ["check", "--isolated", "--quiet", "--select=E9,F,AIR", f"--stdin-filename={name}.py", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *options], input=DAGS[name], capture_output=True, text=True
    )
    assert not done.stdout
    tasks = my_yaml()["tasks"]
    for secret in re.findall(r'Secret\("env", "\w+", "(\w+)"', DAGS[name]):
        assert secret in tasks["admission"]["secrets"]
    for host in re.findall(r'image="([\w.]+\.[\w.]+)/', DAGS[name]):
        assert host in tasks["registries"]
    for queue in re.findall(r'queue="(\w+)"', DAGS[name]):
        assert queue in {queue for group in my_yaml()["workers"].values() for queue in group["queues"]}


def _by_the_fence() -> str:
    """Give its message about the Secret, put together from the policy's own words."""
    (policy,) = (
        each.raw["spec"]
        for each in render().all("ValidatingAdmissionPolicy")
        if "tasks.admission.secrets" in str(each.raw)
    )
    expressions = [variable["expression"] for variable in policy["variables"]]
    (about,) = (said for each in expressions for said in re.findall(r'"(Secret [^"]*)"', each))
    assert any('" (tasks.admission.secrets)"' in each for each in expressions)
    (begin,) = {
        re.findall(r'"(a pod of [^"]*)"', each["messageExpression"])[0]
        for each in policy["validations"]
        if "problems" in each.get("messageExpression", "")
    }
    return f"{begin}{about}warehouse (tasks.admission.secrets)"


def test_the_refusals_are_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FILES))
    monkeypatch.setenv("AIRDOCK_TASK_NAMESPACE", "airdock-tasks")
    import airdock_denials

    from tests.gateway.cluster_pods import refusal

    denied = [("create", "jobs", "batch", "airdock-tasks"), ("create", "pods", "", "default")]
    with pytest.raises(RenderError) as typo:
        render({"tasks": {"registry": {}}})
    security = load_yaml((CHART / "values.yaml").read_text())[0]["tasks"]["podSecurity"]
    real = [
        refusal(host={"Mounts": [{"Type": "bind", "Source": "/data", "Target": "/data"}]}),
        *(
            "Workers may not {} {} in {}. {}".format(*airdock_denials.way_out(*each, there=""))
            for each in denied
        ),
        _by_the_fence(),
        'violates PodSecurity "{level}:{version}"'.format(**security),
        str(typo.value),
    ]
    wrong = [said for said in REFUSALS if not any(said in each for each in real)]
    assert len(REFUSALS) > len(real)
    assert not wrong
