"""How the chart's templates are laid out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import CHART

TEMPLATES = CHART / "templates"
#: What a mode's or an executor's file may be named; `*` stands for its name.
OWN_FILE = {"mode": "_mode_*.tpl", "executor": "_executor_*.tpl"}
FILES = sorted(path for path in TEMPLATES.rglob("*") if path.suffix in (".tpl", ".yaml", ".txt"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TEMPLATES)))


def names(what: str) -> set[str]:
    """The modes or executors that the values schema knows."""

    def found(schema: Any) -> Iterator[str]:
        for key, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
            if key == what and isinstance(value, dict):
                yield from value.get("enum", ())
            if isinstance(value, dict | list):
                yield from found(value)

    schema = json.loads((CHART / "values.schema.json").read_text())
    return {part for name in found(schema) for part in name.split(",") if part}


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


def test_every_define_is_used() -> None:
    text = "".join(path.read_text() for path in FILES)
    for name in re.findall(r'define "([^"]+)"', text):
        dispatched = re.match(r"airdock\.(mode|executor|problems|executorRules)\.", name)
        assert dispatched or len(re.findall(rf"{re.escape(name)}\b(?!\.)", text)) > 1, (
            f"nothing includes {name}"
        )
