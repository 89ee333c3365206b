"""The schema is closed and described, and every value that it offers does something."""

from __future__ import annotations

import copy
import fnmatch
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema
import pytest

from scripts.chart import CHART, Manifests, RenderError, load_yaml, render
from tests.render.values import DIND, FAB_INGRESS, MODES, SOCKET, overlaid
from tests.render.values_schema import ANY, Place, places, samples, schema, valid

PLACES = tuple(places())
LEAVES = tuple(place for place in PLACES if place.leaf)

#: Objects that take any key, with the reason; everything else is closed.
FREE_FORM = {
    "global": "a parent chart's",
    "airflow.connections.*": "Airflow's own form of connections",
    "dags.bundles.[].kwargs": "the arguments of any bundle class",
    "dags.bundles.[]": "Airflow's own form of bundles",
    "extraObjects.[]": "any Kubernetes object: the API server, or `make lint`, checks it",
}
#: Leaves that change nothing in the manifests, with the reason.
SILENT: dict[str, str] = {
    "workerDefaults.dind.network.clusterCIDRs": "the daemon's ranges are checked against it",
    "workers.*.dind.network.clusterCIDRs": "the daemon's ranges are checked against it",
    "global": "a parent chart passes it to all its children",
    "enabled": "a parent chart's condition for this one",
}

CLAIM_AND_CA = {"claim": {"size": "1Gi"}, "registryCAs": {"sample": {"name": "a", "key": "b"}}}
#: A group of each executor, beside the default one, which leaves it open.
EXECUTORS: dict[str, Any] = {
    "executor": "CeleryExecutor,KubernetesExecutor",
    "workers": {
        "celery": {"executor": "CeleryExecutor", "queues": ["celery"]},
        "pods": {"executor": "KubernetesExecutor", "queues": ["pods"]},
    },
}
#: Without a control plane, which is most of a render: enough for most settings of worker groups.
ALONE: dict[str, Any] = {
    "controlPlane": {"enabled": False, "executionApiUrl": "http://a.b:8080/execution/"},
    "broker": {"existingSecret": "broker"},
    "secrets": {"apiSecretKey": "api"},
}
#: Values in which a leaf may be at work; tried in this order.
BASES: dict[str, dict[str, Any]] = {
    "default": {},
    "fab-ingress": {**FAB_INGRESS, "logs": {"claim": {"size": "1Gi"}, "remote": {"baseLogFolder": "s3://b"}}},
    "dind": DIND,
    "rootless": overlaid(DIND, {"workers": {"docker": {"dind": {"variant": "rootless"}}}}),
    "dind-full": {"workerDefaults": {"dind": CLAIM_AND_CA}},
    "dind-full-group": {"workers": {"sample": {"mode": "dind", "queues": ["sample"], "dind": CLAIM_AND_CA}}},
    "socket": SOCKET,
    "modes": MODES,
    "elsewhere": {"workers": {"sample": {"namespace": "elsewhere"}}},
    "elsewhere-by-default": {"workerDefaults": {"namespace": "elsewhere"}},
    "gateway": {
        "tasks": {
            "claims": {"sample": {"claimName": "claim"}},
            "binds": {"/sample": {"claimName": "claim"}},
            "networks": {"sample": {"labels": {}}},
            "registries": {"sample": {"pullSecret": "pull"}},
            "admission": {
                "priorityClasses": ["*"],
                "runtimeClasses": ["*"],
                "schedulers": ["*"],
                "tolerations": [{"key": "sample", "operator": "Exists"}],
            },
        },
    },
    "no-default-needed": {"tasks": {"quota": {"hard": {"limits.ephemeral-storage": None}}}},
    "strict": {"networkPolicy": {"egress": "strict", "apiServerCIDR": "10.0.0.1/32"}},
    "cilium": {"networkPolicy": {"cilium": "always"}},
    "readers": {"networkPolicy": {"metricsFrom": [{"podSelector": {}}]}},
    "watched": {
        "metrics": {"podMonitor": {"enabled": True}},
        "networkPolicy": {"metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]},
        "podDisruptionBudget": {"enabled": True},
    },
    "executors": EXECUTORS,
    "executors-reversed": {**EXECUTORS, "executor": "KubernetesExecutor,CeleryExecutor"},
    "executors-by-default": {
        **EXECUTORS,
        "executor": "KubernetesExecutor,CeleryExecutor",
        "workerDefaults": {"executor": "CeleryExecutor"},
    },
    "host-without-ingress": {"ingress": {"host": "a.example.com"}},
    "attachable": {
        "controlPlane": {"executionApiUrl": "http://a.b:8080/execution/"},
        "broker": {"existingSecret": "broker"},
        "secrets": {"apiSecretKey": "api"},
    },
    "attached": {
        **ALONE,
        "workers": {"node": {"mode": "socket", "queues": ["node"], "socket": {"gid": 999}}},
    },
}


@lru_cache
def defaults() -> dict[str, Any]:
    found: dict[str, Any] = load_yaml((CHART / "values.yaml").read_text(), "values.yaml")[0]
    return found


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
    assert keys | {"replicas"} == set(defs["component"]["properties"])
    assert keys | {"storage"} == set(defs["store"]["properties"])
    assert keys <= set(defs["workerGroup"]["properties"])
    for name in ("component", "store", "workerGroup"):
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
    "workerDefaults.terminationGracePeriodSeconds": "Kubernetes' default, 30 seconds",
    "workers.default": "the way to have no group of this name",
    "workers.default.mode": "workerDefaults.mode",
    "workers.default.queues": "refused by a template, which says what to give",
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
    target[key] = 1
    errors = list(jsonschema.Draft202012Validator(schema()).iter_errors(values))
    said = " ".join(text for error in errors for text in messages(error))
    assert key in said, f"{place} accepts an unknown key, or does not name it: {said or 'no error'}"


def messages(error: jsonschema.ValidationError) -> Iterator[str]:
    yield error.message
    for inner in error.context or ():
        yield from messages(inner)


def concrete(path: tuple[str, ...]) -> tuple[str, ...]:
    """A path with a group's name for workers.*, and a key for any other map."""
    return tuple(("/sample" if path[1] == "binds" else "sample") if step == ANY else step for step in path)


@pytest.mark.parametrize("place", [leaf for leaf in LEAVES if str(leaf) not in SILENT], ids=str)
def test_leaf_changes_the_output(place: Place) -> None:
    tried: list[str] = []
    assert list(samples(place, None)), f"no valid value is known for {place}: add one to SAMPLES"
    left: list[Any] | None = None
    of_workers = place.path[0] in ("workers", "workerDefaults")
    for name, base in ({"alone": ALONE, **BASES} if of_workers else BASES).items():
        values = with_group(base, place)
        effective = overlaid(defaults(), values)
        for group, own in effective["workers"].items():
            effective["workers"][group] = overlaid(effective["workerDefaults"], own)
        current = at(effective, concrete(place.path))
        wanted = list(samples(place, current)) if left is None else left
        left = []
        for value in wanted:
            changed = put(values, concrete(place.path), value)
            before, after = outcome(values), outcome(changed)
            differs = isinstance(after, Manifests) and (
                isinstance(before, RenderError) or after.text != before.text
            )
            if not differs:
                said = "no change" if isinstance(after, Manifests) else str(after)[:400]
                tried.append(f"{name} with {value!r}: {said}")
                left.append(value)
        if not left:
            return
    pytest.fail(
        f"{place} changes no manifest when set to {left!r}: use it in a template, remove it from the schema, "
        "or give the reason in SILENT (or a base in which it works in BASES). Tried:\n" + "\n".join(tried)
    )


def outcome(values: dict[str, Any]) -> Manifests | RenderError:
    """What it renders to, or why it does not: a value may be what makes others valid."""
    try:
        return render(values)
    except RenderError as error:
        return error


def with_group(base: dict[str, Any], place: Place) -> dict[str, Any]:
    """The base with a worker group `sample` of the mode that the leaf belongs to."""
    if place.path[0] not in ("workers", "workerDefaults"):
        return base
    group: dict[str, Any] = {"queues": ["sample"], "mode": "kubernetes"}
    if "socket" in place.path:
        group |= {"mode": "socket", "socket": {"gid": 999, "filter": place.path[-1] != "kubeletRootDir"}}
    elif {"dind", "tmp"} & set(place.path):
        group |= {"mode": "dind"}
    if place.path == ("workerDefaults", "mode"):
        del group["mode"]
        group["socket"] = {"gid": 999}
    if place.path == ("workers", ANY, "mode"):
        group["socket"] = {"gid": 999}
    if place.path[0] == "workerDefaults":
        group.pop(place.path[1], None) if place.path[1] != "socket" else None
    if place.path == ("workerDefaults", "socket", "gid"):
        group["socket"] = {}
    values = {"workers": {"default": None, "sample": group}}
    return overlaid(base, values)  # type: ignore[no-any-return]


def at(values: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        values = values.get(step) if isinstance(values, dict) else None
    return values


def put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for step in reversed(path):
        value = {step: value}
    merged: dict[str, Any] = overlaid(values, value)
    return merged


def test_silent_leaves_are_there() -> None:
    assert set(SILENT) <= {str(leaf) for leaf in LEAVES}


def test_samples_are_valid() -> None:
    wrong = [str(leaf) for leaf in LEAVES for value in samples(leaf, None) if not valid(leaf, value)]
    assert not wrong
