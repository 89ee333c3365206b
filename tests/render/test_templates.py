"""How the chart's templates are laid out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import CHART, HELM3, HELM4, RenderError, render

TEMPLATES = CHART / "templates"
#: What a mode's or an executor's file may be named; `*` stands for its name.
OWN_FILE = {"mode": "_mode_*.tpl", "executor": "_executor_*.tpl"}
LONGEST = 150
FILES = sorted(path for path in TEMPLATES.rglob("*") if path.suffix in (".tpl", ".yaml", ".txt"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TEMPLATES)))


def names(what: str) -> set[str]:
    """The modes or executors that the values schema knows."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    places = (schema["properties"], schema["$defs"]["workerGroup"]["properties"])
    found = [name for place in places for name in place.get(what, {}).get("enum", ())]
    return {part for name in found for part in name.split(",") if part}


def actions(text: str) -> Iterator[str]:
    """The template actions of a file, without its comments and text."""
    return (action for action in re.findall(r"\{\{.*?\}\}", text, re.DOTALL) if "/*" not in action)


@every_file
@pytest.mark.parametrize("what", OWN_FILE)
def test_only_its_own_file_compares_a_name(what: str, path: Path) -> None:
    """All others ask for its facts: `airdock.mode.<name>.facts`, `airdock.executor.<name>.facts`."""
    for name in sorted(names(what)):
        if path.name == OWN_FILE[what].replace("*", name):
            continue
        # A whole string beside a comparison: "kubernetes" alone is also something that a group can serve.
        compared = re.compile(rf'\b(eq|ne|has|hasKey|contains|get|index)\b.*"{name}"')
        found = [action for action in actions(path.read_text()) if compared.search(action)]
        assert not found, f"compares the {what} {name}: {found}; ask for a fact of _facts.tpl instead"


@pytest.mark.parametrize("what", OWN_FILE)
def test_every_mode_and_executor_has_its_file_with_all_parts(what: str) -> None:
    text = (TEMPLATES / "workers" / "_facts.tpl").read_text()
    parts = re.findall(rf"airdock\.{what}\.<name>(\.\w+)? ", text)
    assert ".facts" in parts
    for name in names(what):
        (path,) = TEMPLATES.rglob(OWN_FILE[what].replace("*", name))
        for part in parts:
            defined = f'define "airdock.{what}.{name}{part}"'
            assert defined in "".join(file.read_text() for file in path.parent.glob("*.tpl")), defined


@every_file
def test_is_short(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= LONGEST, f"{lines} lines; move a concern to a file of its own"


def test_what_several_files_include_is_defined_in_a_partial() -> None:
    """An object's file (.yaml) may define what it alone includes."""
    texts = {path: path.read_text() for path in FILES}
    for path, text in texts.items():
        if path.suffix == ".tpl":
            continue
        for name in re.findall(r'define "([^"]+)"', text):
            users = [other.name for other, found in texts.items() if other != path and f'"{name}"' in found]
            assert not users, f"{path.name} defines {name}, which {users} include: move it to a _*.tpl"


def test_every_define_is_used() -> None:
    text = "".join(path.read_text() for path in FILES)
    for name in re.findall(r'define "([^"]+)"', text):
        dispatched = re.match(r"airdock\.(mode|executor|problems|executorRules)\.", name)
        assert dispatched or len(re.findall(rf"{re.escape(name)}\b(?!\.)", text)) > 1, (
            f"nothing includes {name}"
        )


#: A mode that only runs the worker.
PLAIN = """
{{- define "airdock.mode.plain" -}}
annotations: {example.com/plain: {{ .name }}}
{{- end }}
{{- define "airdock.mode.plain.facts" -}}
serves: []
podSecurity: restricted
apiServer: false
taskPods: false
{{- end }}
{{- define "airdock.mode.plain.problems" -}}
{{- if eq .name "bad" }}["workers.bad.mode: plain says no."]{{ else }}[]{{ end -}}
{{- end }}
{{- define "airdock.mode.plain.note" -}}{{- end }}
"""


@pytest.fixture(scope="module")
def plain_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with one more mode: its file, and its name in the schema."""
    chart = tmp_path_factory.mktemp("chart") / "airdock"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "workers" / "_mode_plain.tpl").write_text(PLAIN)
    schema = json.loads((chart / "values.schema.json").read_text())

    def add(part: Any) -> None:
        for value in part.values() if isinstance(part, dict) else part:
            if isinstance(value, dict) and set(value.get("enum", ())) == names("mode"):
                value["enum"].append("plain")
            if isinstance(value, dict | list):
                add(value)

    add(schema)
    (chart / "values.schema.json").write_text(json.dumps(schema))
    return chart


def test_a_mode_is_one_file_and_a_name_in_the_schema(plain_chart: Path) -> None:
    group = {"mode": "plain", "queues": ["plain"], "namespace": "team"}
    manifests = render({"workers": {"plain": group}}, chart=plain_chart)
    worker = manifests.one("Deployment", name="airdock-worker-plain")
    assert worker.get("metadata", "annotations")["example.com/plain"] == "plain"
    labels = manifests.one("Namespace", name="team").get("metadata", "labels")
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert not manifests.find("NetworkPolicy", name="airdock-worker-plain")
    with pytest.raises(RenderError, match=r"workers\.bad\.mode: plain says no"):
        render({"workers": {"bad": {**group, "queues": ["bad"]}}}, chart=plain_chart)


def test_validation_is_rendered_first() -> None:
    """Helm renders the deepest files first, the last name first: no other one meets refused values."""
    rendered = [path.relative_to(TEMPLATES) for path in FILES if not path.name.startswith("_")]
    first = max(rendered, key=lambda path: (len(path.parts), str(path)))
    assert str(first) == "zz-validate/all.yaml"


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_validation_fails_before_any_other_template(helm: str) -> None:
    """A mount without a volume fails where the pod is built: later."""
    mount = {"volumeMounts": {"x": {"mountPath": "/x"}}}
    values = {"workers": {"default": mount}, "controlPlane": {"apiServer": mount, "triggerer": mount}}
    with pytest.raises(RenderError, match=r"workers\.default\.volumeMounts\.x"):
        render({"workers": {"default": mount}}, helm=helm)
    with pytest.raises(RenderError, match=r"1 problem\(s\) in the values:\s+- ingress\.host"):
        render({**values, "ingress": {"enabled": True}}, helm=helm)
