"""What got through once stays among the attacks of `make attack`."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.support import attacks
from tests.support.attacks import ACTORS
from tests.support.findings import FINDINGS
from tests.support.paths import DOCS, ROOT

FILES = {path: ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py")}


def markers(node: ast.AST) -> list[dict[str, ast.expr]]:
    """Give the arguments of each marker `attack` in a piece of code."""
    return [
        {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.attack"
    ]


def by_id() -> dict[str, ast.FunctionDef]:
    """Give each test by its id, without parameters."""
    return {
        f"{path.relative_to(ROOT)}::{node.name}": node
        for path, tree in FILES.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def numbers(node: ast.AST) -> set[int]:
    """Give the findings that a test's markers name; those of the fence's attacks follow from their rules."""
    found: set[int] = set()
    for arguments in markers(node):
        if "finding" in arguments:
            found |= set(ast.literal_eval(arguments["finding"]))
    text = ast.unparse(node)
    if "by_name(" in text:
        from tests.api.attacks import FINDINGS as by_rule

        found |= by_rule.keys()
    if "DEFENCES" in text:
        from tests.gateway.test_defences import DEFENCES

        found |= {defence.finding for defence in DEFENCES.values()}
    return found


@pytest.mark.parametrize("number", FINDINGS)
def test_every_finding_is_shown_by_a_test(number: int) -> None:
    shown = FINDINGS[number].shown
    assert shown in by_id(), "no such test"
    assert number in numbers(by_id()[shown]), f"{shown} is no attack of finding {number}"


def test_the_review_is_there_as_a_whole() -> None:
    assert sorted(FINDINGS) == list(range(1, 26))


def test_the_fence_has_an_attack_for_each_rule_of_a_finding() -> None:
    from tests.api.attacks import ATTACKS
    from tests.api.attacks import FINDINGS as by_rule

    assert {rule for rules in by_rule.values() for rule in rules} <= {attack.rule for attack in ATTACKS}


def test_every_actor_attacks() -> None:
    """ACTOR_OF has those of the dag-processor and the triggerer."""
    used = {node.id for tree in FILES.values() for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names = {name for name in vars(attacks) if vars(attacks)[name] in ACTORS}
    assert names - used <= {"PROCESSOR", "TRIGGERER"}
    assert "ACTOR_OF" in used
    assert len(names) == len(ACTORS)


def reasons() -> list[Any]:
    """Give what is admitted by design: the words of docs/security.md."""
    return [
        pytest.param(ast.literal_eval(arguments["by_design"]), id=path.stem)
        for path, tree in FILES.items()
        for arguments in markers(tree)
        if "by_design" in arguments
    ]


@pytest.mark.parametrize("reason", reasons())
def test_what_is_admitted_by_design_is_in_the_docs(reason: str) -> None:
    assert reason
    assert reason in " ".join(Path(DOCS / "security.md").read_text().split())
