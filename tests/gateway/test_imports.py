"""The package's families: the server and each backend import nothing of the other backend, and no circle."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.support.paths import GATEWAY

MODULES = sorted(file.stem for file in GATEWAY.glob("*.py"))
MAX_LINES = 450


def family(module: str) -> str:
    """Give the backend that a module belongs to; empty for what both and the server share."""
    return next((name for name in ("cluster", "daemon") if module.split("_")[0] == name), "")


@cache
def imports(module: str) -> frozenset[str]:
    """Give the modules of the package that a module imports as it is loaded."""
    found: set[str] = set()
    for node in ast.parse((GATEWAY / f"{module}.py").read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [alias.name for alias in node.names]
            assert not any("docker_gateway" in name for name in (*names, getattr(node, "module", ""))), module
    return frozenset(found)


@cache
def reached(module: str) -> frozenset[str]:
    """Give all that is loaded with a module, itself left out unless there is a circle."""
    found: set[str] = set()
    todo = list(imports(module))
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo += imports(each)
    return frozenset(found)


def test_the_walk_sees_what_is_imported() -> None:
    assert imports("cluster") >= {"cluster_manifest", "labels", "backend"}
    assert "cluster_volumes" in reached("cluster")
    assert "daemon_body" in reached("daemon")
    assert {family(module) for module in MODULES} == {"", "cluster", "daemon"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_loads_its_own_family_alone(module: str) -> None:
    assert module not in reached(module), "a circle"
    assert reached(module) <= set(MODULES)
    strangers = {each for each in reached(module) if family(each) not in ("", family(module))}
    assert not strangers


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short(module: str) -> None:
    assert len((GATEWAY / f"{module}.py").read_text().splitlines()) <= MAX_LINES


def test_the_package_is_flat() -> None:
    # The chart mounts it from a ConfigMap, whose keys have no slash.
    assert not [path for path in GATEWAY.iterdir() if path.is_dir() and path.name != "__pycache__"]
