"""Each report names tests that exist, or a reason."""

from __future__ import annotations

import ast

from tests.dags.reports import IN_DAGS, IN_VALUES, OPEN
from tests.support.paths import ROOT


def functions(file: str) -> set[str]:
    """Give the tests of a file; {} if it is not there."""
    path = ROOT / "tests" / file
    if not path.is_file():
        return set()
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_the_named_tests_exist() -> None:
    named = {test for tests in [*IN_DAGS.values(), *IN_VALUES.values()] for test in tests}
    missing = {test for test in named if test.partition("::")[2] not in functions(test.partition("::")[0])}
    assert not missing
    assert len(named) > 50


def test_every_report_has_a_test_or_a_reason() -> None:
    assert all(tests for tests in [*IN_DAGS.values(), *IN_VALUES.values()])
    assert all(reason.endswith(".") for reason in OPEN.values())
    assert not {*IN_DAGS, *IN_VALUES} & OPEN.keys()
