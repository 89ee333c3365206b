"""Writes charts/airdock/README.md: every value, from values.schema.json, with its default from values.yaml.

python -m scripts.chart.docs            # write
python -m scripts.chart.docs --check    # exit 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.chart.helm import CHART
from scripts.chart.yaml import load_yaml

README = CHART / "README.md"
HEAD = """\
# Airdock, the chart

{description}.

```console
helm install airdock charts/airdock --namespace airdock --create-namespace --wait
```

Kubernetes {kubernetes}, Helm 3 or 4; Airflow {airflow}. The modes: [docs/modes.md](../../docs/modes.md).
Secrets, upgrades, logs: [docs/operations.md](../../docs/operations.md).

## Values

A key that is not in these tables is an error, and so is a value of another type. Maps are merged into the
defaults, lists replace them. `<...>` stands for a name.

<!-- Made by `make docs` from values.schema.json and values.yaml: change those. -->
"""


@dataclass
class Table:
    """Rows of (key, type, default, description) under a heading."""

    title: str
    text: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)


#: Kubernetes' own blocks, and a group's `tasks`, which is described under the top-level one: one row each.
WHOLE = {"resources", "tasks"}


class Reader:
    """Turns the schema into tables."""

    def __init__(self, schema: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self.schema = schema
        self.values = values

    def tables(self) -> Iterator[Table]:
        """One for each top-level object, after one for the plain keys."""
        plain = Table("Top level", "")
        tables = []
        for name, raw in self.schema["properties"].items():
            found = self.resolved(raw)
            if name == "workerDefaults":
                continue  # Its rows are those of workers.<name>.
            if not self.keys(found) and name != "workers":
                plain.rows.append(self.row(name, found, self.values.get(name)))
                continue
            table = Table(f"`{name}`", found.get("description", ""))
            tables.append(table)
            if name == "workers":
                group = self.resolved(next(iter(self.map_items(found))))
                table.text += " " + self.schema["properties"]["workerDefaults"]["description"]
                table.text += " The defaults are those of `workerDefaults`, which takes the same keys."
                table.rows += self.rows("workers.<name>", group, self.values["workerDefaults"])
            else:
                table.rows += self.rows(name, found, self.values.get(name))
        yield plain
        yield from tables

    def rows(self, path: str, found: Mapping[str, Any], default: Any) -> Iterator[tuple[str, str, str, str]]:
        """Rows of an object's keys, depth first; neighbours of one shape share the rows of their keys."""
        properties = {name: raw for name, raw in found["properties"].items() if raw is not False}
        for name, raw in properties.items():
            inner = self.resolved(raw)
            own = default.get(name) if isinstance(default, Mapping) else None
            if name in WHOLE or not self.keys(inner):
                yield self.row(f"{path}.{name}", inner, own)
                for item in map(self.resolved, self.map_items(inner)):
                    if item.get("type") == "object" and self.keys(item):
                        yield from self.rows(f"{path}.{name}.<name>", item, None)
                continue
            yield (f"`{path}.{name}`", "", "", cell(inner.get("description", "")))
            shape = raw.get("$ref", "")
            alike = [other for other, their in properties.items() if shape and their.get("$ref") == shape]
            if len(alike) < 2:
                yield from self.rows(f"{path}.{name}", inner, own)
            elif name == alike[-1]:
                defaults = [default.get(other) for other in alike] if isinstance(default, Mapping) else []
                yield from self.rows(f"{path}.<{shape.rpartition('/')[2]}>", inner, common(defaults))

    @staticmethod
    def keys(found: Mapping[str, Any]) -> list[str]:
        """An object's own keys, without those that are refused by name."""
        return [name for name, raw in found.get("properties", {}).items() if raw is not False]

    def row(self, path: str, found: Mapping[str, Any], default: Any) -> tuple[str, str, str, str]:
        """One value's row."""
        shown = (
            "" if default is None else f"`{json.dumps(default, ensure_ascii=False, default=lambda _: None)}`"
        )
        if varies(default):
            shown = "each its own"
        if len(shown) > 60:
            shown = "see values.yaml"
        return (f"`{path}`", cell(self.type(found)), cell(shown), cell(found.get("description", "")))

    def type(self, found: Mapping[str, Any]) -> str:
        """A type for people: enums by their values, maps and lists by what is in them."""
        if "enum" in found:
            return " or ".join(f"`{value}`" for value in found["enum"])
        if found.get("title") == "quantity":
            return "quantity"
        types = found.get("type", [])
        kinds = [kind for kind in ([types] if isinstance(types, str) else types) if kind != "null"]
        if kinds == ["array"]:
            item = self.resolved(found.get("items", {}))
            return f"list of {self.type(item) or 'anything'}"
        if kinds == ["object"]:
            items = [self.resolved(item) for item in self.map_items(found)]
            inner = self.type(items[0]) if items else ""
            return f"map of {inner}" if inner and inner != "object" else "map"
        return " or ".join("map" if kind == "object" else kind for kind in kinds)

    @staticmethod
    def map_items(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The schema of a map's values, if it has one."""
        for item in (*found.get("patternProperties", {}).values(), found.get("additionalProperties")):
            if isinstance(item, Mapping):
                yield item

    def resolved(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """With what `$ref` names laid under it."""
        result = dict(found)
        if "$ref" in result:
            target: Any = self.schema
            for step in result.pop("$ref").removeprefix("#/").split("/"):
                target = target[step]
            inner = self.resolved(target)
            merged = {**inner.get("properties", {})}
            for name, extra in result.get("properties", {}).items():
                merged[name] = {**merged.get(name, {}), **extra} if isinstance(extra, Mapping) else extra
            result = {**inner, **result} | ({"properties": merged} if merged else {})
        return result


#: Stands for defaults that are not the same for all keys that share a row.
DIFFERENT = object()


def common(defaults: list[Any]) -> Any:
    """What defaults have in common, with DIFFERENT where they have not."""
    if defaults and all(isinstance(value, Mapping) for value in defaults):
        keys = dict.fromkeys(key for value in defaults for key in value)
        return {key: common([value.get(key) for value in defaults]) for key in keys}
    return defaults[0] if defaults and all(value == defaults[0] for value in defaults) else DIFFERENT


def varies(default: Any) -> bool:
    """Whether DIFFERENT is anywhere in a default."""
    if isinstance(default, Mapping):
        return any(varies(value) for value in default.values())
    return default is DIFFERENT


def cell(text: str) -> str:
    """Text inside a table."""
    return text.replace("|", "\\|").replace("<", "\\<").replace("\n", " ")


def readme() -> str:
    """The whole file."""
    chart = load_yaml((CHART / "Chart.yaml").read_text(), "Chart.yaml")[0]
    values = load_yaml((CHART / "values.yaml").read_text(), "values.yaml")[0]
    schema = json.loads((CHART / "values.schema.json").read_text())
    kubernetes = chart["kubeVersion"].replace(">=", ">= ").removesuffix(".0-0")
    parts = [
        HEAD.format(description=chart["description"], kubernetes=kubernetes, airflow=chart["appVersion"])
    ]
    for table in Reader(schema, values).tables():
        rows = "".join(f"| {' | '.join(row)} |\n" for row in table.rows)
        text = f"{table.text.strip()}\n\n" if table.text else ""
        parts.append(f"### {table.title}\n\n{text}| key | type | default | |\n|---|---|---|---|\n{rows}")
    return "\n".join(parts)


def main() -> int:
    """Writes the file, or says whether it is up to date."""
    parser = argparse.ArgumentParser(description="Write charts/airdock/README.md from the schema.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    text = readme()
    if not parser.parse_args().check:
        README.write_text(text)
        return 0
    if README.is_file() and README.read_text() == text:
        return 0
    print(f"{README.relative_to(CHART.parents[1])} is not up to date: run `make docs`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
