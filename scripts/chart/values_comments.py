"""The comments of values.yaml: for each key its description from values.schema.json.

Values are edited in values.yaml, descriptions in the schema. A key with a line of its own has its comment
above that line. A key without one (it is not set, or inside {...}) is listed in the comment above its
object. Keys that several objects share are explained at the first of these.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from scripts.chart.values_schema import map_items, origin, properties, resolved, schema, type_name

WIDTH = 110
HEAD = """\
# Default values of the Airdock chart. Change the values here and the descriptions in values.schema.json:
# `make docs` writes every comment of this file from there, and removes all others.
"""
#: Kubernetes' own blocks, and a group's `tasks`, which has the keys of the top-level one.
WHOLE = {"resources", "tasks"}


def commented(text: str) -> str:
    """The text of values.yaml with comments from the schema in place of those that it has."""
    bare = without_comments(text)
    root = yaml.compose(bare, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "values.yaml is no map"
    comments = Comments()
    head = [f"# {line}" for entry in comments.unlisted(root, schema(), "") for line in wrapped(entry, 0)]
    above = dict(comments.of(root, schema(), ""))
    lines = bare.splitlines()
    written = [line for number, own in enumerate(lines) for line in (*above.get(number, ()), own)]
    return HEAD + "\n".join(["#", *head, "", *written]) + "\n"


def without_comments(text: str) -> str:
    """Without lines that are comments, but for those inside a text of several lines.

    Raises:
        ValueError: if a comment stands behind a value, where it would be lost.
    """
    lines = text.splitlines()
    inside: set[int] = set()
    behind: dict[int, int] = {}
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.ScalarToken) and token.start_mark.line != token.end_mark.line:
            inside |= set(range(token.start_mark.line, token.end_mark.line))
        elif not isinstance(token, (yaml.BlockEndToken, yaml.StreamEndToken)):
            behind[token.end_mark.line] = max(behind.get(token.end_mark.line, 0), token.end_mark.column)
    for number, column in behind.items():
        rest = lines[number][column:].strip() if number < len(lines) and number not in inside else ""
        if rest and not lines[number].lstrip().startswith("#"):
            raise ValueError(f"values.yaml, line {number + 1}: put this comment into values.schema.json")
    kept = [line for n, line in enumerate(lines) if n in inside or not line.lstrip().startswith("#")]
    return "\n".join(kept).strip("\n")


class Comments:
    """Finds the comments of a tree of values, and keeps in mind what it has explained."""

    def __init__(self) -> None:
        #: Where each shared piece of the schema has been explained.
        self.explained: dict[str, str] = {}

    def of(
        self, node: yaml.MappingNode, found: Mapping[str, Any], path: str
    ) -> Iterator[tuple[int, list[str]]]:
        """Comments by the line that they stand above."""
        items = list(map_items(found))
        for key, value in node.value:
            raw = properties(found).get(key.value) or (items[0] if items else {})
            shape, inner = str(raw.get("$ref", "")), resolved(raw)
            at = f"{path}.{key.value}".removeprefix(".")
            told = self.tell(raw, at)
            known = bool(shape) and shape in self.explained
            if shape and not known:
                self.explained[shape] = at
            whole = key.value in WHOLE and bool(path)
            if not known and not whole:
                told += self.unlisted(value, inner, at)
            indent = " " * key.start_mark.column
            written = [f"{indent}# {line}" for text in told for line in wrapped(text, len(indent))]
            if written:
                yield key.start_mark.line, written
            if block(value) and not known and not whole:
                yield from self.of(value, inner, at)

    def tell(self, raw: Mapping[str, Any], at: str) -> list[str]:
        """The description, unless it has been given where another object has the same key."""
        source, text = origin(raw), str(resolved(raw).get("description", ""))
        if not text or source in self.explained:
            return []
        if source:
            self.explained[source] = at
        return [text]

    def unlisted(self, node: yaml.Node, found: Mapping[str, Any], at: str) -> Iterator[str]:
        """One entry for each key that has no line of its own."""
        listed = [key.value for key, _ in node.value] if block(node) else []
        entries: list[str] = []
        elsewhere: dict[str, list[str]] = {}
        for name, raw in properties(found).items():
            if name in listed:
                continue
            if origin(raw) in self.explained:
                elsewhere.setdefault(self.explained[origin(raw)].rpartition(".")[0], []).append(name)
            else:
                entries += self.entries(name, raw, f"{at}.{name}")
        entries += [f"  {', '.join(names)}: as in {place}" for place, names in elsewhere.items()]
        if entries and listed:
            yield "Keys that are not set by default:"
        yield from entries
        if not listed:
            yield from self.inside(found, "", at)

    def entries(self, name: str, raw: Mapping[str, Any], at: str) -> Iterator[str]:
        """A key with its type and description, then the keys in it; they count as explained."""
        found = resolved(raw)
        if "description" not in found:
            return
        if origin(raw):
            self.explained[origin(raw)] = at
        yield f"  {name} ({type_name(found).replace('`', '')}): {found['description']}"
        if name not in WHOLE:
            for key, inner in properties(found).items():
                yield from self.entries(f"{name}.{key}", inner, f"{at}.{key}")
            yield from self.inside(found, name, at)

    def inside(self, found: Mapping[str, Any], name: str, at: str) -> Iterator[str]:
        """Keys of the objects in a map or list."""
        items = [(".<name>", item) for item in map_items(found)] + [("[]", found.get("items", {}))]
        for step, item in ((step, resolved(item)) for step, item in items):
            if item.get("type") in ("object", ["object", "null"]):
                for key, inner in properties(item).items():
                    yield from self.entries(
                        f"{name}{step}.{key}".removeprefix("."), inner, f"{at}{step}.{key}"
                    )


def block(node: yaml.Node) -> bool:
    """Whether it is a map with a line for each key."""
    return isinstance(node, yaml.MappingNode) and not node.flow_style and bool(node.value)


def wrapped(text: str, indent: int) -> list[str]:
    """Lines of a comment; those of an entry in a list hang below its first."""
    first, others = ("  ", "    ") if text.startswith("  ") else ("", "")
    return textwrap.wrap(
        text.strip(),
        WIDTH - indent - 2,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
