"""Keys of the official Airflow chart and ours: files/official-chart.yaml, for the schema and the docs.

The table is in the chart, because an error of the chart names the key to use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from scripts.chart.helm import CHART, ROOT
from scripts.chart.values_schema import schema
from scripts.chart.yaml import load_yaml

TABLE = CHART / "files" / "official-chart.yaml"
PAGE = ROOT / "docs" / "official-chart.md"
#: What stands for every component in a key.
COMPONENT = "*."
_BEGIN, _END = "<!-- begin: written by `make docs` from files/official-chart.yaml -->\n", "<!-- end -->\n"
#: Places of values.schema.json that let keys of the official chart through, by the beginning of the key.
PLACES = {
    "": ("properties",),
    "images.": ("properties", "images"),
    "ingress.": ("properties", "ingress"),
    "dags.": ("properties", "dags"),
    "logs.": ("properties", "logs"),
    "workers.": ("properties", "workers"),
    COMPONENT: ("$defs", "component"),
}


@dataclass(frozen=True)
class Row:
    """A key of the official chart; `here` are ours, none if there is none."""

    section: str
    key: str
    here: tuple[str, ...]
    note: str


@lru_cache
def rows() -> tuple[Row, ...]:
    """The whole table."""
    found = load_yaml(TABLE.read_text(), TABLE.name)[0]
    return tuple(
        Row(section, key, tuple(entry.get("here", ())), entry.get("note", ""))
        for section, keys in found.items()
        for key, entry in keys.items()
    )


def pattern(beginning: str) -> str:
    """The pattern of patternProperties at one of PLACES: keys of the official chart that are none of ours."""
    ours = set(schema()["properties"]) if not beginning else set()
    wanted = {beginning, COMPONENT} if beginning == "workers." else {beginning}
    names = {
        row.key.removeprefix(each)
        for row in rows()
        for each in wanted
        if row.key.startswith(each) and "." not in row.key.removeprefix(each) and row.key not in row.here
    }
    return f"^({'|'.join(sorted(names - ours))})$"


def page(text: str) -> str:
    """The page with its tables written anew."""
    before, rest = text.split(_BEGIN)
    return before + _BEGIN + "\n".join(_tables()) + "\n" + _END + rest.split(_END)[1]


def _tables() -> Iterator[str]:
    section = ""
    for row in rows():
        if row.section != section:
            section = row.section
            yield f"\n### {section}\n\n| official chart | here | |\n|---|---|---|"
        key = f"`{row.key.removeprefix(COMPONENT)}`"
        if row.key.startswith(COMPONENT):
            key += " of a component"
        here = ", ".join(f"`{each.removeprefix(COMPONENT)}`" for each in row.here)
        yield f"| {key} | {here or '-'} | {row.note} |"


def relative(key: str) -> str:
    """A key with one component in the place of all, so that it can be looked up."""
    return re.sub(r"^\*\.", "controlPlane.scheduler.", key).replace("<component>", "scheduler")
