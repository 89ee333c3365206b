"""What must hold of the example DAGs as files. That they run is proven on a cluster (tests/e2e)."""

from __future__ import annotations

import ast
import csv
import re
from pathlib import Path

import pytest

from scripts.live import examples
from tests.support.paths import FILES

FOLDER = FILES / "dags"
DAGS = sorted(FOLDER.glob("*.py"))
IMAGES = {"python:3.13-slim", "busybox:1.37"}
# The words of `mode:` in the chart's values, as they would stand in a queue or a condition.
MODES = {"dind", "socket", "kubernetes"}


def strings(path: Path) -> list[str]:
    """All string constants of a file but its docstrings."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef)
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
class TestFile:
    def test_reads_as_documentation(self, path: Path) -> None:
        source = path.read_text()
        assert len(source.splitlines()) < 70
        assert ast.get_docstring(ast.parse(source))

    def test_names_no_mode(self, path: Path) -> None:
        assert MODES.isdisjoint(strings(path)), "queues route; a DAG that names a mode is tied to one cluster"

    def test_queue_comes_from_the_environment(self, path: Path) -> None:
        tree = ast.parse(path.read_text())
        queues = [
            pair[1]
            for node in ast.walk(tree)
            if isinstance(node, ast.Dict)
            for pair in zip(node.keys, node.values, strict=True)
            if isinstance(pair[0], ast.Constant) and pair[0].value == "queue"
        ]
        assert queues
        assert all(isinstance(value, ast.Name) and value.id == "queue" for value in queues)
        assert {text for text in strings(path) if re.fullmatch(r"AIRDOCK_[A-Z]+_QUEUE_", text)}

    def test_images_are_the_two_that_are_there(self, path: Path) -> None:
        named = {name for text in strings(path) for name in re.findall(r"([a-z]+:\d[\w.-]*)$", text)}
        assert named
        assert named <= IMAGES


def test_the_data_file_is_the_one_that_the_readme_describes() -> None:
    with (FOLDER / "seattle-weather-2014.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 365
    assert {row["date"][:5] for row in rows} == {"2014/"}
    readme = (FOLDER / "README.md").read_text()
    assert "NOAA" in readme
    assert "public" in readme
    assert all(f"`{path.name}`" in readme for path in [*DAGS, FOLDER / "seattle-weather-2014.csv"])


def test_all_fits_into_one_configmap() -> None:
    """etcd takes 1 MiB; a key of a ConfigMap is a flat name."""
    files = [path for path in FOLDER.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 900_000
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", path.name) for path in files)


def test_examples_are_where_a_reader_looks() -> None:
    link = FOLDER.parents[3] / "examples/dags"
    assert link.is_symlink()
    assert link.resolve() == FOLDER


def test_the_table_of_expected_states_names_what_the_files_define() -> None:
    """A renamed DAG or task must not silently fall back to "success"."""
    defined: dict[str, set[str]] = {}
    for path in DAGS:
        for node in ast.walk(ast.parse(path.read_text())):
            call = node.items[0].context_expr if isinstance(node, ast.With) else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "DAG":
                name = call.args[0]
                assert isinstance(name, ast.JoinedStr)
                assert isinstance(name.values[0], ast.Constant)
                dag = str(name.values[0].value).removesuffix("_")
                defined[dag] = {
                    str(word.value.value)
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Call)
                    for word in inner.keywords
                    if word.arg == "task_id" and isinstance(word.value, ast.Constant)
                }
    assert defined.keys() == examples.EXAMPLES.keys()
    for dag, task in [*examples.EXPECTED, *examples.WITHOUT_REGISTRY]:
        assert task in defined[dag]
