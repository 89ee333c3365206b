"""Walks values.schema.json: its places, its leaves, and another valid value for each leaf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema

from scripts.chart.values_schema import KUBERNETES, properties, resolved, schema

#: Any key of a map stands for all: in a path it is this one.
ANY = "*"


@dataclass(frozen=True)
class Place:
    """A schema that something in the values is held to; refs are followed."""

    path: tuple[str, ...]
    schema: Mapping[str, Any]

    def __str__(self) -> str:
        return ".".join(self.path) or "(root)"

    @property
    def description(self) -> str:
        """What it says it is for."""
        return str(self.schema.get("description", ""))

    @property
    def types(self) -> set[str]:
        """The JSON types that it takes; none where it says none."""
        found = self.schema.get("type", [])
        return {found} if isinstance(found, str) else set(found)

    @property
    def fixed(self) -> bool:
        """An object with keys of its own, as against a map with any keys."""
        return bool(properties(self.schema))

    @property
    def leaf(self) -> bool:
        """Whether a user sets it as one: everything but objects with keys of their own, and maps of such."""
        item = map_items(self.schema)
        groups = isinstance(item, Mapping) and only_object(resolved(item))
        return (
            not self.fixed
            and not groups
            and self.path[-1:] != (ANY,)
            and not {"[]", "(one of)"} & set(self.path)
        )


def only_object(found: Mapping[str, Any]) -> bool:
    """Whether it is an object with keys of its own, and never a plain value in its place."""
    return bool(found.get("properties")) and found.get("type", "object") == "object"


def places(found: Mapping[str, Any] | None = None, path: tuple[str, ...] = ()) -> Iterator[Place]:
    """Every place that the schema describes, from the root on; map keys are ANY, list items [].

    Kubernetes' own types are one place each: test_kubernetes_types.py walks what is in them.
    """
    whole = resolved(schema() if found is None else found)
    yield Place(path, whole)
    if whole.get("$comment") == KUBERNETES:
        return
    if path[-1:] == ("tasks",) and len(path) > 1:
        return  # A group's has the keys of the top-level one: test_task_namespaces.py.
    # A variable is a plain value, or an object in its place.
    alternative = isinstance(whole.get("type"), list) and not {"object", "null"} >= set(whole["type"])
    for name, inner in properties(whole).items():
        yield from places(inner, (*path, *(["(one of)"] if alternative else []), name))
    for item, step in ((map_items(whole), ANY), (whole.get("items"), "[]")):
        if isinstance(item, Mapping):
            yield from places(item, (*path, step))


def map_items(found: Mapping[str, Any]) -> Any:
    """The schema of a map's values, whether its keys have a form or not; no dict where it is no map."""
    return next(iter(found.get("patternProperties", {}).values()), found.get("additionalProperties"))


#: Values for what a type alone does not tell, by the key or its last two: Kubernetes' blocks and the like.
SAMPLES: Mapping[str, Any] = {
    "affinity": {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    },
    "bundles": [{"name": "b", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}],
    "claims": [{"name": "gpu"}],
    "config": {"core": {"parallelism": 7}},
    "connections": {"sample": "http://sample.example.com"},
    "dataVolume": {"emptyDir": {"sizeLimit": "7Gi"}},
    "defaultAddressPools": [{"base": "10.7.0.0/16", "size": 24}],
    "highThresholdPercent": 77,
    "limits.ulimits": {"nofile": 7},
    "registryCAs": {"registry.example.com:5000": {"name": "sample", "key": "ca.crt"}},
    "egressRules": [{"ports": [{"port": 7}]}],
    "metadataAddresses": ["10.7.0.0/16"],
    "dns": [{"podSelector": {}}],
    "env": {"SAMPLE": "1"},
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sample"}}],
    "limits": {"cpu": "7"},
    "limitRange.limits": [{"type": "Container", "default": {"ephemeral-storage": "7Gi"}}],
    "queues.docker": "docker",
    "queues.kubernetes": "kubernetes",
    "requests": {"cpu": "7m"},
    "tolerations": [{"key": "sample", "operator": "Exists"}],
    "topologySpreadConstraints": [
        {"maxSkew": 7, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "uiFrom": [{"podSelector": {}}],
    "logsFrom": [{"podSelector": {}}],
    "metricsFrom": [{"podSelector": {}}],
    "interval": "7s",
    "maxUnavailable": 7,
    "volume": {"emptyDir": {}},
    "volumeMounts": {"tmp": {"mountPath": "/sample"}},
    "volumes": {"sample": {"emptyDir": {}}},
}
STRINGS = (
    "sample",
    "sample7",
    "/sample",
    "https://sample.example.com/x",
    "sha256:" + "7" * 64,
    "7Gi",
    "7m",
    "10.7.0.0/16",
    "v1.31",
    "7",
    "airdock.dev/sample",
    "sample@example.com",
)


def samples(place: Place, current: Any) -> Iterator[Any]:
    """Valid values for a leaf that are not its current one: all others of an enum, else one."""
    found = place.schema
    if "enum" in found:
        yield from (value for value in found["enum"] if value != current)
        return
    keys = (".".join(place.path[-2:]), place.path[-1])
    candidates: list[Any] = [SAMPLES[key] for key in keys if key in SAMPLES][:1]
    if place.types & {"boolean"} or isinstance(current, bool):
        candidates.append(not current)
    if place.types & {"integer", "number"}:
        candidates += [found.get("minimum", 0) + 7, 7]
    if "array" in place.types:
        words = resolved(found.get("items", {})).get("enum", ())
        candidates += [[item] for item in (*words, *STRINGS, 7, {"sample": "7"})]
    if "object" in place.types:
        candidates += [{"sample": "7"}, {"SAMPLE": "7"}, {"sample": {}}, {"sample": True}]
    for candidate in (*candidates, *STRINGS):
        if candidate != current and valid(place, candidate):
            yield candidate
            return


def valid(place: Place, value: Any) -> bool:
    """Whether the schema takes the value there."""
    whole = {**place.schema, "$defs": schema()["$defs"]}
    return bool(jsonschema.Draft202012Validator(whole).is_valid(value))
