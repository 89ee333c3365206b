"""What makes text imports nothing that reaches a cluster: `make overlays` and `make lint` run without one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.chart import ROOT

#: Packages that turn files into text or verdicts.
TEXT = (
    "scripts.chart",
    "scripts.overlays",
    "scripts.lint",
    "scripts.from_official",
    "scripts.mirror",
    "scripts.other_cluster",
    "scripts.cli",
    "scripts.release",
)
#: Packages that start, or talk to, a cluster, and what one talks to it with.
LIVE = ("scripts.live", "scripts.cluster", "scripts.bench", "scripts.up", "requests", "kubernetes", "socket")


def _file(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _imports(file: Path) -> Iterator[str]:
    """The modules that a file imports, inside of functions too. Each with the packages that contain it."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file}: imports are absolute"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: length + 1]) for length in range(len(parts)))


@pytest.mark.parametrize("package", TEXT)
def test_text_is_made_without_a_cluster(package: str) -> None:
    start = [path for path in (ROOT / package.replace(".", "/")).rglob("*.py")]
    left = {str(path.relative_to(ROOT).with_suffix("")).replace("/", "."): path for path in start}
    assert left
    way = {module: module for module in left}
    while left:
        module, file = left.popitem()
        for name in _imports(file):
            assert name not in LIVE, f"{way[module]} imports {name}"
            found = _file(name) if name.partition(".")[0] == "scripts" else None
            if found and name not in way:
                way[name] = f"{way[module]} -> {name}"
                left[name] = found
