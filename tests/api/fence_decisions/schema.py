"""The fields that the API server has, by its own schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.api.fence_decisions.decision import NESTED, Decision


def fields(
    schemas: Mapping[str, Any], schema: Any, decisions: Mapping[str, Decision], path: str = ""
) -> Iterator[str]:
    """The paths below metadata and spec of a kind's schema, down to those that have a decision."""
    for wrapped in schema.get("allOf", ()):
        schema = {**schema, **wrapped}
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if schema.get("type") == "array" and path not in decisions:
        yield from fields(schemas, schema["items"], decisions, f"{path}[]")
        return
    if path:
        yield path
        if decisions.get(path) is not NESTED:
            return
    for name, inner in schema.get("properties", {}).items():
        if path or name in ("metadata", "spec"):
            yield from fields(schemas, inner, decisions, f"{path}.{name}" if path else name)
