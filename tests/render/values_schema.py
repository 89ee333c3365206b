"""Walks values.schema.json: its places, its leaves, and another valid value for each leaf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema

from scripts.chart.values_schema import KUBERNETES, properties, resolved, schema
from tests.render.values import overlaid

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
    patterns = found.get("patternProperties", {}).values()
    # True is a key of the official chart, which a template refuses.
    return next((item for item in patterns if item is not True), found.get("additionalProperties"))


PLACES = tuple(places())
LEAVES = tuple(place for place in PLACES if place.leaf)


def concrete(path: tuple[str, ...]) -> tuple[str, ...]:
    """A path with a group's name for workers.*, and a key for any other map."""
    return tuple(("/sample" if path[1] == "binds" else "sample") if step == ANY else step for step in path)


def at(values: Any, path: tuple[str, ...]) -> Any:
    """The value at a path; None where there is none."""
    for step in path:
        values = values.get(step) if isinstance(values, dict) else None
    return values


def put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at a path."""
    for step in reversed(path):
        value = {step: value}
    merged: dict[str, Any] = overlaid(values, value)
    return merged


def known_samples(number: int) -> dict[str, Any]:
    """Values for what a type alone does not tell, by the key or its last two: Kubernetes' blocks, say."""
    return {
        "affinity": {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 7,
                        "preference": {
                            "matchExpressions": [{"key": f"samples{number}", "operator": "Exists"}]
                        },
                    }
                ]
            }
        },
        "bundles": [
            {"name": f"bundles{number}", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}
        ],
        "claims": [{"name": f"gpus{number}"}],
        "clusters": {f"samples{number}": {"kubeconfigSecret": f"samples{number}"}},
        "daemon": {"max-concurrent-downloads": number},
        "minApiVersion": "1.41",
        "manager": f"samples{number}.Manager",
        "oidc.roles": {f"samples{number}": ["Viewer"]},
        "scopes": ["openid", f"samples{number}"],
        "schedule": "5 4 * * 1",
        "config": {"core": {"parallelism": number}},
        "pooler.config": {"server_lifetime": number},
        "connections": {"sample": f"http://samples{number}.example.com"},
        "dataVolume": {"emptyDir": {"sizeLimit": f"{number}Gi"}},
        "defaultAddressPools": [{"base": "10.7.0.0/16", "size": 24}],
        "highThresholdPercent": 77,
        "registryCAs": {"registry.example.com:5000": {"name": f"samples{number}", "key": "ca.crt"}},
        "egressRules": [{"ports": [{"port": number}]}],
        "metadataAddresses": ["10.7.0.0/16"],
        "dns": [{"podSelector": {"matchLabels": {"sample": f"samples{number}"}}}],
        "dnsConfig": {"options": [{"name": f"samples{number}"}]},
        "env": {"SAMPLE": str(number)},
        "envFrom": [{"configMapRef": {"name": f"samples{number}"}}],
        "hostAliases": [{"ip": "10.7.0.1", "hostnames": [f"samples{number}"]}],
        "egress": [{"ports": [{"port": number}]}],
        "ingress": [{"ports": [{"port": number}]}],
        "noProxy": ["10.7.0.0/16"],
        "parentRefs": [{"name": f"samples{number}"}],
        "pools": {f"samples{number}": {"slots": number}},
        "variables": {"sample": f"samples{number}"},
        "initContainers": {f"samples{number}": {"image": "sample"}},
        "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"samples{number}"}}],
        "limits": {"cpu": str(number)},
        "limits.ulimits": {"nofile": number},
        "limitRange.limits": [{"type": "Container", "default": {"ephemeral-storage": f"{number}Gi"}}],
        "rbac.rules": [{"apiGroups": ["example.com"], "resources": [f"samples{number}"], "verbs": ["get"]}],
        "queues.docker": "docker",
        "queues.kubernetes": "kubernetes",
        "replicas": number,
        "knownHosts": f"git.example.com ssh-ed25519 samples{number}",
        "*.repository": f"https://samples{number}.example.com/x",
        "storage": {"emptyDir": {"sizeLimit": f"{number}Gi"}},
        "sidecars": {
            f"samples{number}": {"image": "sample", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}
        },
        "strategy": {"rollingUpdate": {"maxSurge": number}},
        "requests": {"memory": f"{number}k"},
        "pod.tolerations": [{"key": "sample", "operator": "Exists"}],
        # It admits the one above, too: a fence that does not is an error.
        "admission.tolerations": [
            {"key": "sample", "operator": "Exists"},
            {"key": f"samples{number}", "operator": "Exists"},
        ],
        "tolerations": [{"key": f"samples{number}", "operator": "Exists"}],
        "topologySpreadConstraints": [
            {"maxSkew": number, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "uiFrom": [{"podSelector": {"matchLabels": {"sample": f"samples{number}"}}}],
        "logsFrom": [{"podSelector": {"matchLabels": {"sample": f"samples{number}"}}}],
        "metricsFrom": [{"podSelector": {"matchLabels": {"sample": f"samples{number}"}}}],
        "kedaFrom": [{"podSelector": {"matchLabels": {"sample": f"samples{number}"}}}],
        "autoscaling.min": 7,
        "autoscaling.max": 777,
        "interval": f"{number}s",
        "mappings": [{"match": f"airflow.samples{number}", "name": "samples"}],
        "seriesTtl": f"{number}s",
        "maxUnavailable": number,
        "dind.volumes": ["dags"],
        "quota.hard": {f"count/samples{number}": str(number)},
        "init.scripts": {f"samples{number}": "true"},
        "volume": {"emptyDir": {"sizeLimit": f"{number}Gi"}},
        "volumeMounts": {"tmp": {"mountPath": f"/samples{number}"}},
        "volumes": {f"samples{number}": {"emptyDir": {}}},
    }


def strings(number: int) -> tuple[str, ...]:
    """One of each form that a string of the values may have to have. No number ends a hexadecimal one."""
    return (
        f"samples{number}",
        f"/samples{number}",
        f"https://samples{number}.example.com/x",
        "sha256:" + "7" * 64,
        f"{number}Gi",
        f"{number}m",
        f"airdock.dev/samples{number}",
        "10.7.0.0/16",
        "v1.31",
        str(number),
        f"samples{number}@example.com",
    )


def samples(place: Place, current: Any, number: int = 7) -> Iterator[Any]:
    """Valid values for a leaf that are not its current one: all others of an enum, else one.

    Where it can be, the number is in the value.
    """
    found = place.schema
    if "enum" in found:
        yield from (value for value in found["enum"] if value != current)
        return
    known, texts = known_samples(number), strings(number)
    keys = (".".join(place.path[-2:]), place.path[-1])
    candidates: list[Any] = [known[key] for key in keys if key in known][:1]
    if place.types & {"boolean"} or isinstance(current, bool):
        candidates.append(not current)
    if place.types & {"integer", "number"}:
        candidates += [number, found.get("minimum", 0) + 7, 7]
    if "array" in place.types:
        words = resolved(found.get("items", {})).get("enum", ())
        candidates += [[item] for item in (*words, *texts, number, {"sample": str(number)})]
    if "object" in place.types:
        candidates += [
            {"sample": str(number)},
            {"SAMPLE": str(number)},
            {f"samples{number}": {}},
            {f"samples{number}": True},
        ]
    for candidate in (*candidates, *texts):
        if candidate != current and valid(place, candidate):
            yield candidate
            return


def valid(place: Place, value: Any) -> bool:
    """Whether the schema takes the value there."""
    whole = {**place.schema, "$defs": schema()["$defs"]}
    return bool(jsonschema.Draft202012Validator(whole).is_valid(value))
