"""YAML as Kubernetes reads it (sigs.k8s.io/yaml), not as PyYAML does by default.

A key that occurs twice is an error, `1e3` is a number, and a date is a string.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import yaml

from scripts.chart.frozen import freeze


class ManifestError(Exception):
    """YAML that cannot be read, or an object that is not there; the message is one sentence."""


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A YAML loader that refuses duplicate keys and resolves scalars as Kubernetes' does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As PyYAML's, but a key that occurs twice is an error."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} occurs twice in one mapping", key_node.start_mark
                )
            seen.add(key)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return {_key(key): value for key, value in found.items()}


def _key(key: object) -> str:
    """JSON's keys are strings: go-yaml turns the others into them."""
    return key if isinstance(key, str) else json.dumps(key)


def _go_scalars() -> None:
    """Replace PyYAML's rules for numbers, dates, `y` and `n` by those of go-yaml."""
    replaced = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp")}
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag not in replaced]
        for first, rules in Loader.yaml_implicit_resolvers.items()
    }
    integer = re.compile(r"^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)$")
    number = re.compile(
        r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    )
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", integer, list("-+0123456789"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    # PyYAML's own constructor knows no 0o.
    Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: _integer(node.value))
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
    Loader.add_constructor("tag:yaml.org,2002:bool", lambda _, node: node.value.lower() in _TRUE)
    Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: _number(node.value))


_TRUE = ("y", "yes", "true", "on")


def _number(text: str) -> float | int:
    """A float, or an integer where it is whole, as in JSON."""
    value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):
        raise ValueError(f"{text} has no form in JSON")
    return int(value) if value.is_integer() else value


def _integer(text: str) -> int:
    plain = text.replace("_", "")
    sign = -1 if plain.startswith("-") else 1
    digits = plain.lstrip("+-")
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * int(digits, 0)


_go_scalars()


def load_yaml(text: str, name: str = "the YAML") -> list[Any]:
    """All documents of a YAML (or JSON) text. `name` says in errors what was read.

    Raises:
        ManifestError: if it is not YAML, or has a key twice.
    """
    return [copy.deepcopy(document) for _, document in documents(text, name)]


def documents(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """Each document, read-only, with the line on which it starts, from 0."""
    line = 0
    # A line that begins so ends a document wherever it is; one with directives is left whole.
    for part in [text] if re.search("^%", text, re.MULTILINE) else re.split(r"(?m)^(?=---(?:\s|$))", text):
        try:
            for start, document in _part(part):
                yield line + start, document
        except (yaml.YAMLError, UnicodeError, ValueError, TypeError) as error:
            mark = getattr(error, "problem_mark", None)
            place = f", line {line + mark.line + 1}" if mark else ""
            reason = getattr(error, "problem", None) or str(error)
            raise ManifestError(f"{name}{place}: {reason}") from error
        line += part.count("\n")


@lru_cache(maxsize=4096)
def _part(text: str) -> tuple[tuple[int, Any], ...]:
    """Documents with their lines. Kept: most objects of a render are those of the one before."""
    loader = Loader(text)
    found = []
    try:
        while loader.check_node():
            node = loader.get_node()
            found.append((node.start_mark.line, freeze(loader.construct_document(node))))
    finally:
        loader.dispose()
    return tuple(found)
