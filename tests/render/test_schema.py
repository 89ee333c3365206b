"""The schema is closed and described."""

from __future__ import annotations

import copy
import fnmatch
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from scripts.chart.values_schema import defaults
from tests.render.values_schema import ANY, LEAVES, PLACES, Place, at, concrete, samples, schema, valid

#: Objects that take any key, with the reason; everything else is closed.
FREE_FORM = {
    "global": "a parent chart's",
    "airflow.connections.*": "Airflow's own form of connections: the chart checks its keys",
    "airflow.variables.*": "a variable may be any JSON",
    "dags.bundles.[].kwargs": "the arguments of any bundle class",
    "dags.bundles.[]": "Airflow's own form of bundles",
    "metrics.airflow.mappings.[]": "statsd_exporter's own form of mappings",
    "extraObjects.[]": "any Kubernetes object: the API server, or `make lint`, checks it",
}


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_is_closed(place: Place) -> None:
    """An object takes only keys that are described; a typo is an error and not a setting without effect."""
    if "object" not in place.types:
        return
    open_to = place.schema.get("additionalProperties", True)
    name = str(place)
    if open_to is True:
        assert name in FREE_FORM, (
            f"{place} takes any key: set additionalProperties: false in values.schema.json, "
            "or say in FREE_FORM why not"
        )
    if place.fixed and name not in FREE_FORM:
        assert open_to is False, (
            f"{place} has keys of its own and takes others too: set additionalProperties: false"
        )


@pytest.mark.parametrize(
    "place", [p for p in PLACES if p.path[-1:] != (ANY,) and not {"[]", "(one of)"} & set(p.path)], ids=str
)
def test_is_described(place: Place) -> None:
    if "resources" in place.path[:-1] or "valueFrom" in place.path:
        return  # Kubernetes' own fields.
    assert len(place.description) >= 4, f"{place} has no description in values.schema.json"
    assert place.description[0] != " ", f"{place}: {place.description!r}"
    assert not place.description.endswith(","), f"{place}: {place.description!r}"


def test_free_form_places_are_there() -> None:
    there = {str(place) for place in PLACES}
    assert set(FREE_FORM) <= there, f"no longer in the schema: {set(FREE_FORM) - there}"


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "allOf", "not", "unevaluatedProperties"])
def test_messages_stay_plain(keyword: str) -> None:
    """Helm prints a fault of every branch, editors know unevaluatedProperties rarely, old Helm 3 never."""
    assert f'"{keyword}"' not in json.dumps(schema()), f"{keyword}: use a list of types, or $ref and siblings"


def test_pods_have_the_same_keys() -> None:
    """`pod` says what each is; who has one refers to it, so that additionalProperties can refuse others."""
    defs = schema()["$defs"]
    keys = set(defs["pod"]["properties"])
    of_workloads = {"replicas", "revisionHistoryLimit", "strategy"}
    assert keys | of_workloads | {"autoscaling"} == set(defs["component"]["properties"])
    assert set(defs["podDefaults"]["properties"]) < keys
    assert keys | {"storage"} == set(defs["store"]["properties"])
    assert keys | {"storage", "backup"} == set(defs["embeddedDatabase"]["properties"])
    assert keys <= set(defs["workerGroup"]["properties"])
    sizes = {"enabled", "replicas", "poolSize", "maxClientConnections", "config"}
    assert keys | of_workloads | sizes == set(defs["pooler"]["properties"])
    assert keys | of_workloads | {"admission"} == set(defs["autoscaler"]["properties"])
    exporter = {"enabled", "seriesTtl", "mappings", "strategy", "revisionHistoryLimit"}
    assert keys | exporter == set(defs["exporter"]["properties"])
    for name in ("component", "store", "embeddedDatabase", "workerGroup", "pooler", "autoscaler", "exporter"):
        for key in keys:
            reference = defs[name]["properties"][key].get("$ref", "")
            assert reference.endswith(f"/properties/{key}"), f"{name}.{key}: refer to pod's"


def test_defaults_are_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    faults = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema()).iter_errors(defaults())
    ]
    assert not faults, "values.yaml does not keep values.schema.json:\n" + "\n".join(faults)


#: Defaults that null may remove, with the reason; `resources` and what is in them besides.
REMOVABLE = {
    "controlPlane.*.replicas": "the way to leave the number to a HorizontalPodAutoscaler",
    "workerDefaults.terminationGracePeriodSeconds": "Kubernetes' default, 30 seconds",
    "workers.default": "the way to have no group of this name",
    "workers.default.mode": "workerDefaults.mode",
    "workers.default.queues": "refused by a template, which says what to give",
    "metrics.dashboard.labels.grafana_dashboard": "the way to remove the label",
    "tasks.quota.hard.*": "the way to lift one limit",
    "workerDefaults.socket.limits.ulimits.*": "the filter refuses an ulimit that has no maximum",
}


def keys(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from keys(value, (*path, name))


def test_null_cannot_remove_a_default() -> None:
    """Helm removes a key that is null: a template would read nothing, which is never the safe value."""
    validator = jsonschema.Draft202012Validator(schema())
    free = set()
    for path in keys(defaults()):
        values = copy.deepcopy(defaults())
        del at(values, path[:-1])[path[-1]]
        if validator.is_valid(values) and not {"resources"} & set(path):
            name = ".".join(path)
            free.add(next((each for each in REMOVABLE if fnmatch.fnmatchcase(name, each)), name))
    assert free == set(REMOVABLE), "add the key to `required`, or say in REMOVABLE why null is safe"


@pytest.mark.parametrize(
    "place",
    [
        p
        for p in PLACES
        if p.schema.get("additionalProperties") is False and not {"[]", "(one of)"} & set(p.path)
    ],
    ids=str,
)
def test_unknown_key_is_named(place: Place) -> None:
    """At every closed level. By jsonschema: test_bad_values shows that Helm says it too."""
    values = copy.deepcopy(defaults())
    target = values
    for step in concrete(place.path):
        target = target.setdefault(step, {})
    # No form of keys takes a space.
    key = "ty op" if "patternProperties" in place.schema else "tyop"
    if any(re.search(pattern, key) for pattern in place.schema.get("patternProperties", ())):
        key = "ty op" * 100  # the names of pools
    target[key] = 1
    errors = list(jsonschema.Draft202012Validator(schema()).iter_errors(values))
    said = " ".join(text for error in errors for text in messages(error))
    assert key in said, f"{place} accepts an unknown key, or does not name it: {said or 'no error'}"


def messages(error: jsonschema.ValidationError) -> Iterator[str]:
    yield error.message
    for inner in error.context or ():
        yield from messages(inner)


def test_samples_are_valid() -> None:
    wrong = [str(leaf) for leaf in LEAVES for value in samples(leaf, None) if not valid(leaf, value)]
    assert not wrong
