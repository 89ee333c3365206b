"""What a DAG author can take of nodes, Docker daemons and the API server: a ceiling, a default and a collector each.

The rows are in kubernetes.py, gateway.py and docker.py; `make docs` writes docs/ceilings.md from them.
tests/render/test_ceilings.py finds what has no row: rights, fields of the Docker API, values, settings.

No row repeats a number. In its texts, these are replaced:

    {tasks.ttlSeconds|s}            a value by its key, with its default and a unit: 600 s (`tasks.ttlSeconds`)
    {tasks.quota.hard:count/pods}   a key that contains dots, or one of a list's items, below a value
    {wire:MAX_BODY|bytes}           a constant of the Docker gateway, by module and name: 2Mi
"""

from __future__ import annotations

import importlib
import operator
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from scripts.chart.helm import CHART
from scripts.chart.values_schema import defaults

PAGE = CHART.parents[1] / "docs" / "ceilings.md"
_PLACE = re.compile(r"\{([\w.<>]+)(?::([\w./-]+))?(?:\|([\w%]+))?\}")
#: Begins the ceiling of a row that has none; the reason follows, and what stops it otherwise.
NONE = "none:"


@dataclass(frozen=True)
class Ceiling:
    """One row. `test` is the id of a test that reaches the ceiling, empty if there is none to reach.

    `covers` is what the row decides about: `create pods` for rights, `HostConfig.Memory` for fields of the
    Docker API. Values and constants count where a text names them.
    """

    resource: str
    made_by: str
    ceiling: str
    unset: str = "-"
    removed: str = "-"
    test: str = ""
    covers: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """The values and constants that the row names, as in the texts: `tasks.quota.hard:pods`."""
        texts = (self.ceiling, self.unset, self.removed, self.made_by)
        return {
            f"{place[1]}:{place[2]}" if place[2] else place[1]
            for text in texts
            for place in _PLACE.finditer(text)
        }


@dataclass(frozen=True)
class Section:
    """Rows under a heading."""

    title: str
    text: str
    rows: tuple[Ceiling, ...] = field(default_factory=tuple)


def gateway_module(name: str) -> ModuleType:
    """Give a module of the Docker gateway. Raises ImportError if there is none."""
    if (files := str(CHART / "files")) not in sys.path:
        sys.path.append(files)
    return importlib.import_module(f"docker_gateway.{name}")


def value(key: str, inner: str = "") -> Any:
    """Give the default of a value, with `inner` of something below it. Raises KeyError."""
    steps = key.replace("workers.<name>.", "workerDefaults.").split(".")
    found: Any = defaults()
    for step in steps:
        found = found[step]
    if not inner:
        return found
    if isinstance(found, list):
        part, _, rest = inner.partition(".")
        return next(item[part][rest] for item in found if rest in item.get(part, {}))
    return found[inner]


def expanded(text: str) -> str:
    """Replace the places of a row's text."""

    def place(match: re.Match[str]) -> str:
        key, inner, unit = match[1], match[2] or "", match[3] or ""
        if "." not in key:
            number = operator.attrgetter(inner)(gateway_module(key))
            return _bytes(int(number)) if unit == "bytes" else f"{number:g}{unit and f' {unit}'}"
        where = f"`{key}`"
        if inner:
            items = isinstance(value(key), list)
            where = f"`{key}`, {inner.replace('.', ' ', 1)}" if items else f"`{key}[{inner}]`"
        return f"{value(key, inner)}{unit and f' {unit}'} ({where})"

    return _PLACE.sub(place, text)


def _bytes(number: int) -> str:
    for size, unit in ((1 << 20, "Mi"), (1 << 10, "Ki")):
        if number % size == 0:
            return f"{number // size}{unit}"
    return str(number)


def sections() -> tuple[Section, ...]:
    """Give all of them."""
    from scripts.chart.ceilings import docker, gateway, kubernetes

    return (*kubernetes.SECTIONS, *gateway.SECTIONS, *docker.SECTIONS)


def rows() -> Iterator[Ceiling]:
    """Give all of them."""
    for section in sections():
        yield from section.rows


HEAD = """\
# Ceilings

<!-- `make docs` writes this file from scripts/chart/ceilings: change that. -->

What a DAG author can use up, of nodes, of Docker daemons and of the Kubernetes API server: how much at most, how
much if the author sets nothing, who removes it, and the test that reaches the ceiling. The value that sets a
number is in parentheses. Workers can create no other objects: they have no right to.

All DAG authors of a release share these ceilings, and one of them can use up what is there for all. Where a row
says *none*, it says why, and what stops it otherwise.
"""


def page() -> str:
    """Give docs/ceilings.md."""
    parts = [HEAD]
    for section in sections():
        lines = [f"## {section.title}\n", f"{expanded(section.text).rstrip()}\n"]
        lines.append("| what | who creates it | at most | if the author sets nothing | removed | test |")
        lines.append("|---|---|---|---|---|---|")
        for row in section.rows:
            texts = (row.resource, row.made_by, row.ceiling, row.unset, row.removed)
            cells = [expanded(text).replace("|", "\\|").replace("<name>", "\\<name>") for text in texts]
            cells = [re.sub(r"`[^`]*`", lambda code: code[0].replace("\\<", "<"), cell) for cell in cells]
            file, _, name = row.test.partition("::")
            test = f"[{name}](../{file})" if row.test else "-"
            lines.append(f"| {' | '.join((*cells, test))} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
