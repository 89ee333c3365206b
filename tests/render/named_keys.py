"""Finds the keys of the values that texts name, and looks them up in values.schema.json."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from scripts.chart import CHART, ROOT
from scripts.chart.values_schema import map_items, properties, resolved, schema

#: One step of a key: a name, or what stands for any name in a message or a page.
_STEP = r"(?:[A-Za-z][A-Za-z0-9_-]*|<[a-z -]+>|%[sqd]|\{[^{}]*\}|\*)"
_WORD = re.compile(rf"(?<![\w./$\[\]@-]){_STEP}(?:\[\]|\.{_STEP})+(?![\w/(])")
#: Names that begin like a key and are none.
_OTHER = re.compile(
    r"^(?:airflow\.(?:cfg|sdk|providers|models|exceptions|configuration|contrib|operators|dag_processing|utils|example|io|jobs|settings)\b"
    r"|\w+\.(?:py|md|yaml|yml|json|tpl|txt|sh|cfg|tgz)$)"
)


@cache
def paths() -> frozenset[tuple[str, ...]]:
    """Every key of the values, with "*" for any name."""

    def walk(found: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield at
        if len(at) > 2 and at[-1] == "tasks":
            return  # workers.<name>.tasks: `exists` goes on at the top-level one.
        for name, raw in properties(found).items():
            yield from walk(resolved(raw), (*at, name))
        for item in (*map_items(found), found.get("items", {})):
            if properties(resolved(item)) or "additionalProperties" in resolved(item):
                yield from walk(resolved(item), (*at, "*"))

    return frozenset(walk(schema(), ())) - {()}


def exists(key: str) -> bool:
    """Whether the values have a key; `workers.<name>.x` and printf's `workers.%s.x` stand for any group."""
    return _found(schema(), [step for step in re.split(r"\.(?![^{]*\})", key.replace("[]", "")) if step])


def _found(found: Mapping[str, Any], steps: list[str]) -> bool:
    if not steps:
        return True
    step, rest = steps[0], steps[1:]
    wild = not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", step)
    inner = [raw for name, raw in properties(found).items() if wild or name == step]
    if not inner:
        patterns = found.get("patternProperties", {})
        # True is a key of the official chart, which a template refuses.
        inner = [
            raw for pattern, raw in patterns.items() if raw is not True and (wild or re.search(pattern, step))
        ]
    if not inner:
        other = found.get("additionalProperties", not properties(found))
        inner = [other] if other is not False else []
    if not inner and isinstance(found.get("items"), Mapping):
        return _found(resolved(found["items"]), steps)
    return any(raw is True or _found(resolved(raw), rest) for raw in inner)


def keys(text: str) -> Iterator[str]:
    """Dotted words that are, or would be, keys: `images.airflow.tag`; `dind.variant`, without its root."""
    for match in _WORD.finditer(text):
        word = match[0]
        if not _OTHER.match(word) and (word.split(".")[0] in properties(schema()) or lacks_root(word)):
            yield word


def lacks_root(word: str) -> bool:
    """Whether it is the end of a key: a map that is not at the root, and a key in it."""
    steps = tuple(word.replace("[]", "").split("."))[:2]
    # `resources` is Kubernetes' own, and findings name fields of pods.
    if steps[0] in properties(schema()) or steps[0] in ("resources", "*") or steps[1] == "*":
        return False
    return steps in _pairs()


@cache
def _pairs() -> frozenset[tuple[str, ...]]:
    """Two steps of a key, not from the root."""
    return frozenset(path[at : at + 2] for path in paths() for at in range(1, len(path) - 1))


def texts() -> Iterator[tuple[str, str]]:
    """(where, text) of all that a user reads: messages, notes, findings, pages, descriptions."""
    for file in sorted(CHART.rglob("templates/**/*")):
        if file.suffix in (".tpl", ".yaml", ".txt"):
            yield str(file.relative_to(ROOT)), "\n".join(_said_by_template(file))
    sources = [*ROOT.glob("scripts/lint/**/*.py"), *(CHART / "files").rglob("*.py")]
    for file in sorted(path for path in sources if "dags" not in path.parts):
        yield str(file.relative_to(ROOT)), "\n".join(_said_by_python(file))
    for file in sorted((CHART / "files").rglob("*.sh")):
        yield str(file.relative_to(ROOT)), file.read_text()
    for file in [
        ROOT / "README.md",
        *sorted(ROOT.glob("docs/**/*.md")),
        *sorted(ROOT.glob("examples/**/*.yaml")),
    ]:
        yield str(file.relative_to(ROOT)), re.sub(r"(?ms)^```.*?^```$", "", _of_this_chart(file))
    yield "values.schema.json", "\n".join(_descriptions(schema()))


def official_chart(page: str) -> list[tuple[str, str]]:
    """(keys of the official chart, what to use here) of docs/official-chart.md, as the page has them."""
    return re.findall(r"(?m)^\| (.*?) \| (.*) \|$", page)


def _of_this_chart(file: Path) -> str:
    text = file.read_text()
    if file.name == "official-chart.md":
        for theirs, _ in official_chart(text):
            text = text.replace(f"| {theirs} |", "| |")
    return text


def _said_by_template(file: Path) -> Iterator[str]:
    """Strings in actions that say something, and what is outside of actions in NOTES."""
    text = re.sub(r"\{\{-? ?/\*.*?\*/ ?-?\}\}", "", file.read_text(), flags=re.S)
    for action in re.findall(r"\{\{.*?\}\}", text, re.S):
        yield from (said for said in re.findall(r'"((?:[^"\\]|\\.)*)"', action) if " " in said)
    if file.suffix == ".txt":
        yield re.sub(r"\{\{.*?\}\}", "%s", text, flags=re.S)


def _said_by_python(file: Path) -> Iterator[str]:
    """String literals of several words, and f-strings with {} for what is filled in; no docstrings."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _descriptions(found: Any) -> Iterator[str]:
    if isinstance(found, Mapping):
        if isinstance(found.get("description"), str):
            yield found["description"]
        for inner in found.values():
            yield from _descriptions(inner)
    elif isinstance(found, list):
        for inner in found:
            yield from _descriptions(inner)


def snippets(file: Path) -> Iterator[tuple[int, str]]:
    """(line, YAML) of a page's fenced YAML."""
    text = file.read_text()
    for match in re.finditer(r"(?ms)^```ya?ml\n(.*?)^```$", text):
        yield text[: match.start(1)].count("\n") + 1, match[1]
