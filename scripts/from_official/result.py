"""Values of this chart as they are made, and what to tell the user about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from scripts.chart.values_schema import map_items, properties, resolved, schema
from scripts.from_official.source import Path, Source

_WIDTH = 110


class _Dumper(yaml.SafeDumper):
    """YAML with indented lists, and texts of several lines as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key."""
        super().increase_indent(flow, False)


def _string(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _string)


@dataclass
class Result:
    """The values, with what the user must decide or know."""

    source: Source
    values: dict[str, Any] = field(default_factory=dict)
    #: What the user has to look at before an installation.
    decisions: list[str] = field(default_factory=list)
    #: Secrets of the user that apply as they are.
    secrets: list[str] = field(default_factory=list)
    #: Keys without effect, with the reason.
    dropped: list[str] = field(default_factory=list)
    _origins: dict[Path, Path] = field(default_factory=dict)

    def put(self, here: str | Path, value: Any, origin: Path = ()) -> None:
        """Set one of our keys; the comments of `origin` go with it."""
        path = tuple(here.split(".")) if isinstance(here, str) else here
        target = self.values
        for step in path[:-1]:
            target = target.setdefault(step, {})
        target[path[-1]] = value
        if origin:
            self._origins[path] = origin
        for up in range(1, min(len(path), len(origin))):
            self._origins.setdefault(path[:-up], origin[:-up])

    def get(self, here: str) -> Any:
        """One of our keys that was set."""
        value: Any = self.values
        for step in here.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def decide(self, text: str) -> None:
        """Add a decision, once."""
        if text not in self.decisions:
            self.decisions.append(text)

    def text(self) -> str:
        """The values as YAML, in the order of the chart's own."""
        order = list(schema()["properties"])
        values = dict(sorted(self.values.items(), key=lambda pair: order.index(pair[0])))
        return "\n".join(self._lines(values, ())) + "\n" if values else "{}\n"

    def _lines(self, values: dict[str, Any], path: Path) -> Iterator[str]:
        indent = "  " * len(path)
        for key, value in values.items():
            here = (*path, key)
            for line in self.source.comments.get(self._origins.get(here, ()), ()):
                yield f"{indent}# {line}".rstrip()
            nested = isinstance(value, dict) and value
            if nested and (self._commented(here) or len(_flow({key: value})) > _WIDTH - len(indent)):
                yield f"{indent}{_flow(key)}:"
                yield from self._lines(value, here)
            elif isinstance(value, (dict, list)) and len(_flow({key: value})) <= _WIDTH - len(indent):
                yield f"{indent}{_flow(key)}: {_flow(value)}"
            else:
                text = yaml.dump(
                    {key: value}, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True
                )
                yield from (f"{indent}{line}".rstrip() for line in text.splitlines())

    def _commented(self, path: Path) -> bool:
        return len(path) < 2 or any(
            here[: len(path)] == path and self.source.comments.get(origin)
            for here, origin in self._origins.items()
        )


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
    )
    return text.removesuffix("...\n").strip()


def has(key: str) -> bool:
    """Whether this chart has a key, spelled from the root of the values."""
    found: dict[str, Any] = schema()
    for step in key.split("."):
        inner = properties(found).get(step) or next(iter(map_items(found)), None)
        if inner is None:
            return False
        found = resolved(inner)
    return True
