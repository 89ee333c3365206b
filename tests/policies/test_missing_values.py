"""A missing value is the safe one: null, and a key that an older release's values do not have, open nothing.

Every key of the values is set to null (Helm then removes the chart's own) and removed, at the root and in a
worker group of each mode. Either Helm's error names it, or all policies find no more than with the defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, reduce
from typing import Any

import jsonschema
import pytest

from scripts.chart import CHART, Manifests, RenderError, load_yaml, render
from scripts.chart.values_schema import schema
from scripts.lint.engine import findings
from tests.render.values import MODES, overlaid
from tests.render.values_schema import ANY, places

Path = tuple[str, ...]
#: With a default group of mode kubernetes, and a group of each other mode and variant.
BASE: dict[str, Any] = overlaid(
    MODES, {"ingress": {"enabled": True, "host": "a.example.com", "tlsSecretName": "tls"}}
)
#: What null may open, by policy: Helm has no other way to remove a limit, and `make lint` finds each.
REMOVED_BY_NULL = ("limits", "requests")
REFUSED_BY_TEMPLATES = ("queues",)


@cache
def defaults() -> dict[str, Any]:
    found: dict[str, Any] = load_yaml((CHART / "values.yaml").read_text(), "values.yaml")[0]
    return found


def keys(values: Any, path: Path = ()) -> Iterator[Path]:
    for name, value in values.items() if isinstance(values, dict) else ():
        yield (*path, name)
        yield from keys(value, (*path, name))


def in_groups() -> Iterator[Path]:
    """Each key of a worker group, `tasks` included, in the groups of the modes that may have it."""
    tasks = [place.path[1:] for place in places() if place.path[:1] == ("tasks",) and place.path[1:]]
    own = [place.path[2:] for place in places() if place.path[:2] == ("workers", ANY) and place.path[2:]]
    for path in (*own, *(("tasks", *path) for path in tasks)):
        if not {ANY, "[]", "(one of)"} & set(path):
            for group in BASE["workers"]:
                yield ("workers", group, *path)


def nulled(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The values with null at a path."""
    result = dict(values)
    result[path[0]] = nulled(result.get(path[0]) or {}, path[1:]) if path[1:] else None
    return result


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


def judged(manifests: Manifests) -> set[tuple[str, ...]]:
    """What all policies find, accepted or not, without what the number of an item changes."""
    return {
        (f.policy.id, str(f.manifest), f.found.container, f.found.field.partition("[")[0])
        for f in findings(manifests)
    }


VALIDATOR = jsonschema.Draft202012Validator(schema())


def faults(values: dict[str, Any]) -> str:
    return " ".join(f"{error.json_path} {error.message}" for error in VALIDATOR.iter_errors(values))


#: The values as the schema sees them.
WHOLE: dict[str, Any] = overlaid(defaults(), BASE)
PATHS = tuple(dict.fromkeys((*(path for path in keys(WHOLE) if path[0] != "workers"), *in_groups())))


def refusal(path: Path) -> str:
    """Why the schema refuses null there, or "". Helm removes a null at first, except in a group."""
    values = nulled(WHOLE, path)
    return faults(values if path[0] == "workers" else without_nulls(values))


def test_null_opens_nothing() -> None:
    refused = {path: said for path in PATHS if (said := refusal(path))}
    unnamed = [f"{'.'.join(path)}: {said}" for path, said in refused.items() if path[-1] not in said]
    assert not unnamed, "\n".join(unnamed)
    taken = [path for path in PATHS if path not in refused]
    assert len(refused) > 300 and len(taken) > 50
    # All at once, each as far up as it is taken: what one of them opens would still be found.
    whole = [path for path in taken if not any(path[:n] in taken for n in range(len(path)))]
    with pytest.raises(RenderError) as caught:
        render(reduce(nulled, whole, BASE))
    for path in [path for path in whole if ".".join(path) in str(caught.value)]:
        assert path[-1] in REFUSED_BY_TEMPLATES, f"{caught.value}"
        whole.remove(path)
    new = judged(render(reduce(nulled, whole, BASE))) - judged(render(BASE))
    worse = [" ".join(found) for found in sorted(new) if found[0] not in REMOVED_BY_NULL]
    assert not worse, "\n".join(worse)
    assert {found[0] for found in new} == set(REMOVED_BY_NULL), "allowed, but null does not do it"
