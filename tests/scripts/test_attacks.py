"""What got through once stays among the attacks of `make attack`."""

from __future__ import annotations

import ast

from tests.support.attacks import FINDINGS
from tests.support.paths import ROOT


def marked() -> dict[int, set[str]]:
    """Give finding -> files with a marker that names it."""
    found: dict[int, set[str]] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.attack":
                for keyword in node.keywords:
                    if keyword.arg == "finding":
                        for number in ast.literal_eval(keyword.value):
                            found.setdefault(number, set()).add(file.name)
    return found


def test_every_finding_is_an_attack() -> None:
    assert sorted(FINDINGS.keys() - marked().keys()) == []
