"""Reads values.schema.json: what it refers to, and a type for people; and the values themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from scripts.chart.helm import CHART
from scripts.chart.yaml import load_yaml

FILE = CHART / "values.schema.json"
#: The `$comment` of the types that kubernetes_types.py writes: their fields are not explained to anybody.
KUBERNETES = "Kubernetes' own"


@lru_cache
def schema() -> dict[str, Any]:
    """The schema as it is in the chart."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


@lru_cache
def defaults() -> dict[str, Any]:
    """The chart's own values."""
    found: dict[str, Any] = load_yaml((CHART / "values.yaml").read_text(), "values.yaml")[0]
    return found


def resolved(found: Mapping[str, Any]) -> dict[str, Any]:
    """A schema merged over what its `$ref` names."""
    result = dict(found)
    if "$ref" in result:
        inner = resolved(target(str(result.pop("$ref"))))
        properties = dict(inner.get("properties", {}))
        for name, own in result.get("properties", {}).items():
            properties[name] = {**properties.get(name, {}), **own}
        result = {**inner, **result} | ({"properties": properties} if properties else {})
    return result


def target(reference: str) -> dict[str, Any]:
    """What a `$ref` names."""
    found: Any = schema()
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def origin(found: Mapping[str, Any]) -> str:
    """The `$ref` that the description comes from, or "" if the schema has its own."""
    reference = ""
    while "description" not in found and "$ref" in found:
        reference = str(found["$ref"])
        found = target(reference)
    return reference


def properties(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The keys of an object, without those that are refused by name, and without Kubernetes' own."""
    if found.get("$comment") == KUBERNETES:
        return {}
    return {name: raw for name, raw in found.get("properties", {}).items() if raw is not False}


def map_items(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema of a map's values, if it has one."""
    for item in (*found.get("patternProperties", {}).values(), found.get("additionalProperties")):
        if isinstance(item, Mapping):
            yield item


def type_name(found: Mapping[str, Any]) -> str:
    """A type for people: enums by their values, maps and lists by what is in them."""
    if "enum" in found:
        words = (value if isinstance(value, str) and value else json.dumps(value) for value in found["enum"])
        return " or ".join(f"`{word}`" for word in words)
    if found.get("title") == "quantity":
        return "quantity"
    types = found.get("type", [])
    kinds = [kind for kind in ([types] if isinstance(types, str) else types) if kind != "null"]
    if kinds == ["array"]:
        return f"list of {type_name(resolved(found.get('items', {}))) or 'anything'}"
    if kinds == ["object"]:
        items = [resolved(item) for item in map_items(found)]
        inner = type_name(items[0]) if items else ""
        return f"map of {inner}" if inner and inner not in ("object", "map") else "map"
    return " or ".join("map" if kind == "object" else kind for kind in kinds)
