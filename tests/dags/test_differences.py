"""docs/migrating.md: each row of its tables is about a case that a test runs, in words that it reads."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.differences import DOCKER_PROGRAM, OPERATORS, SYSTEM_DAGS, rows
from tests.support.paths import ROOT

INSIDE = ROOT / "tests/e2e/inside"
#: Table -> the file whose CASES it is about, and what a cell may say.
CASES = {
    OPERATORS: ("docker_tasks.py", r"the same|not applied|(refused|fails|prints): `[^`]+`.*"),
    DOCKER_PROGRAM: ("docker_program.py", r"the same|may differ|(fails|fails too|prints): `[^`]+`"),
}
MODES = {"kubernetes", "dind", "socket"}


def cases(file: str) -> set[str]:
    """Give the names of a script's CASES; it runs in a worker, and imports what is not here."""
    tree = ast.parse((INSIDE / file).read_text())
    (found,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "CASES"
    )
    assert isinstance(found, ast.Dict)
    return {str(key.value) for key in found.keys if isinstance(key, ast.Constant)}


@pytest.mark.parametrize("table", CASES)
def test_each_row_is_about_a_case(table: str) -> None:
    file, said = CASES[table]
    names = [row[0] for row in rows(table)]
    assert {name.strip("`") for name in names} <= cases(file)
    assert len(set(names)) == len(names)
    wrong = [cell for row in rows(table) for cell in row[1:] if not re.fullmatch(said, cell)]
    assert not wrong
    assert all(len(row) == 3 for row in rows(table))
    assert not [row for row in rows(table) if set(row[1:]) == {"the same"}]


def test_each_system_dag_has_a_mode_and_a_reason() -> None:
    seen: set[tuple[str, str, str]] = set()
    for file, task, modes, text, reason in rows(SYSTEM_DAGS):
        assert re.fullmatch(r"`example_\w+\.py`", file)
        assert re.fullmatch(r"`[^`]+`", task)
        assert re.fullmatch(r"`[^`]+`", text)
        assert reason
        keys = {(file, task, mode) for mode in modes.split(", ")}
        assert {mode for _, _, mode in keys} <= MODES
        assert not keys & seen
        seen |= keys
