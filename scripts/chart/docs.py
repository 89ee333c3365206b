"""Writes charts/airdock/README.md, docs/values.md and the comments of values.yaml, from values.schema.json.

The tables of docs/official-chart.md are from files/official-chart.yaml, docs/ceilings.md is from ceilings/.

Before that, it writes Kubernetes' own types into values.schema.json (kubernetes_types.py).

python -m scripts.chart.docs            # write
python -m scripts.chart.docs --check    # exit 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.chart import ceilings, kubernetes_types, official
from scripts.chart.helm import CHART
from scripts.chart.values_comments import WHOLE, commented
from scripts.chart.values_schema import FILE, map_items, properties, resolved, schema, type_name
from scripts.chart.yaml import load_yaml

README, VALUES = CHART / "README.md", CHART / "values.yaml"
#: All values. Not in the chart: Helm would keep it in the Secret of every release.
PAGE = CHART.parents[1] / "docs" / "values.md"
HEAD = """\
# Airdock, the chart

{description}.

In a clone of the repository:

```console
helm install airdock charts/airdock --namespace airdock --create-namespace --wait
```

Kubernetes {kubernetes}, Helm 3 or 4; Airflow {airflow}. The modes: [docs/modes.md](../../docs/modes.md).
Secrets, upgrades, logs: [docs/operations.md](../../docs/operations.md).

All values: [docs/values.md](../../docs/values.md), or `helm show values charts/airdock`.

<!-- `make docs` writes this file from Chart.yaml. -->
"""
HEAD_OF_PAGE = """\
# Values

Helm rejects an unknown key and a value of the wrong type, and its message names the key. This includes the
fields of blocks in the format of Kubernetes (`affinity`, volume sources, ...). Options in `airflow.config`
are passed on unchecked. Your maps are merged into the defaults, your lists replace them. `<...>` stands for
a name.

<!-- `make docs` writes this file from values.schema.json and values.yaml: change those. -->
"""


#: Stands for any key of a map.
ITEM = "<name>"


@dataclass
class Table:
    """Rows of (key, type, default, description) under a heading."""

    title: str
    text: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)


class Reader:
    """Turns the schema into tables."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def tables(self) -> Iterator[Table]:
        """One for each top-level object, after one for the plain keys."""
        plain = Table("Top level", "")
        tables = []
        for name, raw in schema()["properties"].items():
            found = resolved(raw)
            if name == "workerDefaults":
                continue  # Its rows are those of workers.<name>.
            if not properties(found) and name != "workers":
                plain.rows.append(self.row(name, found, self.values.get(name)))
                continue
            table = Table(f"`{name}`", found.get("description", ""))
            tables.append(table)
            if name == "workers":
                group = resolved(next(map_items(found)))
                table.text += " " + schema()["properties"]["workerDefaults"]["description"]
                table.text += " The defaults below are those of `workerDefaults`."
                table.rows += self.rows("workers.<name>", group, self.values["workerDefaults"])
            else:
                table.rows += self.rows(name, found, self.values.get(name))
        yield plain
        yield from tables

    def rows(self, path: str, found: Mapping[str, Any], default: Any) -> Iterator[tuple[str, str, str, str]]:
        """Rows of an object's keys, depth first; neighbours of one shape share the rows of their keys."""
        siblings = properties(found)
        for name, raw in siblings.items():
            inner = resolved(raw)
            own = default.get(name) if isinstance(default, Mapping) else None
            if name in WHOLE or not properties(inner):
                yield self.row(f"{path}.{name}", inner, own)
                items = [(f".{ITEM}", item) for item in map_items(inner)] + [("[]", inner.get("items", {}))]
                for step, item in ((step, resolved(item)) for step, item in items):
                    if item.get("type") in ("object", ["object", "null"]) and described(item):
                        yield from self.rows(f"{path}.{name}{step}", item, None)
                continue
            yield (f"`{path}.{name}`", "", "", cell(inner.get("description", "")))
            shape = raw.get("$ref", "")
            alike = [other for other, their in siblings.items() if shape and their.get("$ref") == shape]
            if len(alike) < 2:
                yield from self.rows(f"{path}.{name}", inner, own)
                continue
            # Keys beside the shape are not those of its neighbours.
            yield from self.rows(f"{path}.{name}", {"properties": raw.get("properties", {})}, own)
            if name == alike[-1]:
                defaults = [default.get(other) for other in alike] if isinstance(default, Mapping) else []
                yield from self.rows(f"{path}.<{shape.rpartition('/')[2]}>", inner, common(defaults))

    def row(self, path: str, found: Mapping[str, Any], default: Any) -> tuple[str, str, str, str]:
        """One value's row."""
        shown = (
            "" if default is None else f"`{json.dumps(default, ensure_ascii=False, default=lambda _: None)}`"
        )
        if varies(default):
            shown = "each its own"
        if len(shown) > 60:
            shown = "see values.yaml"
        return (f"`{path}`", cell(type_name(found)), cell(shown), cell(found.get("description", "")))


def described(found: Mapping[str, Any]) -> bool:
    """Whether an object has keys of its own that the schema explains."""
    return any(resolved(raw).get("description") for raw in properties(found).values())


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
    """The whole README."""
    chart = load_yaml((CHART / "Chart.yaml").read_text(), "Chart.yaml")[0]
    kubernetes = chart["kubeVersion"].replace(">=", ">= ").removesuffix(".0-0")
    return HEAD.format(description=chart["description"], kubernetes=kubernetes, airflow=chart["appVersion"])


def page() -> str:
    """The whole page of values."""
    values = load_yaml(VALUES.read_text(), "values.yaml")[0]
    parts = [HEAD_OF_PAGE]
    for table in Reader(values).tables():
        rows = "".join(f"| {' | '.join(row)} |\n" for row in table.rows)
        text = f"{table.text.strip()}\n\n" if table.text else ""
        parts.append(f"## {table.title}\n\n{text}| key | type | default | |\n|---|---|---|---|\n{rows}")
    return "\n".join(parts)


def main() -> int:
    """Writes the files, or says which are not up to date."""
    parser = argparse.ArgumentParser(
        description="Write the pages and comments that are made from the schema."
    )
    parser.add_argument("--check", action="store_true", help="only say whether they are up to date")
    check = parser.parse_args().check
    # In this order: the later ones are made from the earlier ones.
    writers: tuple[tuple[Path, Callable[[], str]], ...] = (
        (FILE, lambda: kubernetes_types.written(FILE.read_text())),
        (VALUES, lambda: commented(VALUES.read_text())),
        (README, readme),
        (PAGE, page),
        (ceilings.PAGE, ceilings.page),
        (official.PAGE, lambda: official.page(official.PAGE.read_text())),
    )
    stale = []
    for file, wanted in writers:
        text = wanted()
        if not check:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            stale.append(file)
    for file in stale:
        print(f"{file.relative_to(CHART.parents[1])} is not up to date: run `make docs`.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
