"""No test replaces a function of `time` for the whole process: see tests/support/own_clock.py."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from scripts.chart import ROOT


def replaced(source: str) -> Iterator[str]:
    """Give each call of `setattr` or `patch` on the module time, as `x.time`, `time` or in words."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in {"setattr", "patch", "object"}:
            continue
        target = ast.unparse(node.args[0]).strip("'\"")
        if target == "time" or target.endswith(".time") or target.startswith("time."):
            yield ast.unparse(node)


def test_no_clock_is_replaced_for_all_threads() -> None:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        assert not list(replaced(path.read_text())), path


@pytest.mark.parametrize(
    "call",
    [
        "patch.setattr(module.time, 'sleep', f)",
        "patch.setattr(time, 'sleep', f)",
        "patch.setattr('time.sleep', f)",
        "mock.patch('time.sleep')",
        "mock.patch.object(time, 'sleep')",
    ],
)
def test_each_way_is_seen(call: str) -> None:
    assert list(replaced(call)) == [call]
