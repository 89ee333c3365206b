"""Each report names tests that exist, with cases of its own and of neighbours, or a reason."""

from __future__ import annotations

import ast

import pytest

from tests.dags.reports import IN_DAGS, IN_VALUES, OPEN, Held
from tests.support.paths import ROOT

REPORTS = {**IN_DAGS, **IN_VALUES}


def source(test: str) -> str:
    """Give the text of a test's file; empty if it is not there."""
    path = ROOT / "tests" / test.partition("::")[0]
    return path.read_text() if path.is_file() else ""


def exists(test: str) -> bool:
    text, function = source(test), test.partition("::")[2]
    if not function:
        return bool(text)
    return function in {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_is_held_with_two_neighbours(report: str) -> None:
    held: Held = REPORTS[report]
    assert [test for test in held.tests if "::" in test]
    missing = [test for test in held.tests if not exists(test)]
    assert not missing
    if held.cases is not None:
        assert len(set(held.cases)) >= 3, "its own case, and two that nobody has reported"
        texts = "".join(map(source, held.tests))
        assert not [case for case in held.cases if case not in texts]


def test_what_is_open_has_a_reason() -> None:
    assert all(reason.endswith(".") for reason in OPEN.values())
    assert not REPORTS.keys() & OPEN.keys()
