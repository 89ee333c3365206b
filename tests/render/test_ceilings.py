"""docs/ceilings.md has a row for everything that a DAG author can take, and each row a test.

Four walks find what has no row: the rights of all Roles, the fields of the Docker API, the amounts in the
values, and the constants and settings of the Docker gateway.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args, get_type_hints

import pytest

from scripts.chart import CHART, render
from scripts.chart.ceilings import NONE, PAGE, Ceiling, gateway_module, page, rows
from scripts.chart.values_schema import defaults
from tests.render.values import BOTH_EXECUTORS
from tests.support.paths import ROOT

ROWS = tuple(rows())
#: Every right that values can give to workers, and the pods of KubernetesExecutor.
ALL_RIGHTS = {
    **BOTH_EXECUTORS,
    "tasks": {
        "rbac": {
            "jobs": True,
            "claims": True,
            "podExec": True,
            "rules": [
                {
                    "apiGroups": ["example.com"],
                    "resources": ["widgets"],
                    "verbs": ["create", "patch", "delete"],
                }
            ],
        },
        "admission": {"storageClasses": ["sample"]},
    },
}
#: Rights whose holder runs no code of DAG authors.
NOT_THE_AUTHORS = {"create secrets": "an init container of the api-server, with a token that it alone has"}
#: Reading these holds a connection open, and runs programs.
STREAMS = {"pods/log", "pods/exec", "pods/attach"}


def rights() -> Iterator[str]:
    """What creates, changes, or holds a connection: `create pods`."""
    manifests = render(ALL_RIGHTS)
    for role in (*manifests.all("Role"), *manifests.all("ClusterRole")):
        for rule in role.raw["rules"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    if verb in ("create", "update", "patch", "watch", "*") or resource in STREAMS:
                        yield f"{verb} {resource}"


def leaves(kind: Any, path: str = "") -> Iterator[str]:
    """Each field of the create body that can hold an amount: no boolean, and no object of known fields."""
    for field in dataclasses.fields(kind):
        if "key" not in field.metadata:
            continue
        here = f"{path}.{field.metadata['key']}".lstrip(".")
        hint = get_type_hints(kind)[field.name]
        inner = next((each for each in inside(hint) if dataclasses.is_dataclass(each)), None)
        if inner:
            yield from leaves(inner, here)
        elif bool not in inside(hint):
            yield here


def inside(hint: Any) -> set[Any]:
    """The types that a type is made of."""
    found = {hint}
    for each in get_args(hint):
        found |= inside(each)
    return found


def fields() -> Iterator[str]:
    """Those that a backend does something with."""
    model, policy = gateway_module("model"), gateway_module("policy")
    keys = {
        kind: {field.name: field.metadata["key"] for field in dataclasses.fields(kind) if field.metadata}
        for kind in (model.Create, model.HostConfig)
    }
    known = set(leaves(model.Create))
    for backend in ("cluster_policy", "daemon_policy"):
        own = gateway_module(backend)
        refused = {keys[model.HostConfig][name] for name in {**policy.HOST_REFUSED, **own.HOST_REFUSED}}
        refused = {f"HostConfig.{key}" for key in refused}
        refused |= {keys[model.Create][name] for name in {**policy.REFUSED, **own.REFUSED}}
        for field in known:
            if not any(field == each or field.startswith(f"{each}.") for each in refused):
                yield field


#: Numbers in the values that are no amount of something that an author takes.
NO_AMOUNTS = {
    "tasks.user": "a uid",
    "tasks.checkSeconds": "how often the operators look",
    "tasks.podSecurity": "a version",
    "workerDefaults.replicas": "the administrator's",
    "workerDefaults.terminationGracePeriodSeconds": "of the worker, which the administrator ends",
    "workerDefaults.dockerGateway.leaseSeconds": "0 stands for the defaults that the rows name",
    "workerDefaults.dind.minApiVersion": "a version",
    "workerDefaults.dind.init.timeoutSeconds": "of the administrator's scripts",
}
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([numk]|[KMGTPE]i?)?")


def amounts() -> Iterator[str]:
    """Numbers and quantities of the values for what tasks take; no requests of the chart's own pods."""

    def walk(found: Any, at: str) -> Iterator[str]:
        if any(at == each or at.startswith(f"{each}.") for each in NO_AMOUNTS):
            return
        if at in ("tasks.quota.hard", "workerDefaults.socket.limits.ulimits"):
            yield from (f"{at}:{key}" for key in found)
        elif at.endswith("limitRange.limits"):
            yield from (
                f"{at}:{part}.{name}"
                for item in found
                for part in item
                if part != "type"
                for name in item[part]
            )
        elif isinstance(found, dict):
            for key, value in found.items():
                yield from walk(value, f"{at}.{key}")
        elif (isinstance(found, str) and _QUANTITY.fullmatch(found)) or type(found) in (int, float):
            yield at

    values = defaults()
    for key in ("tasks", "kubernetesExecutor", "workerDefaults"):
        for each in walk(values[key], key):
            if not (each.startswith("workerDefaults.") and ".requests." in each):
                yield each.replace("workerDefaults.", "workers.<name>.")


#: Constants of the gateway that bound something else than what clients take.
NO_CEILINGS = {
    "cluster_log_lines:_LONGEST_STAMP": "a time in a log line",
    "cluster_retrieval:_LONGEST_LINE": "a line that the sidecar writes",
    "daemon_room:KEPT": "seconds, a minimum",
}


def constants() -> Iterator[str]:
    """Module-level numbers whose names say that they are a maximum."""
    for path in sorted((CHART / "files" / "docker_gateway").glob("*.py")):
        for name in re.findall(
            r"^(_?[A-Z_]*(?:MAX|MOST|LONGEST|KEPT|REMEMBERED|PULLED)[A-Z_]*)\b.* = ", path.read_text(), re.M
        ):
            if f"{path.stem}:{name}" not in NO_CEILINGS:
                yield f"{path.stem}:{name}"


@cache
def wanted() -> dict[str, tuple[str, ...]]:
    """By walk: everything that needs a row."""
    return {
        "rights": tuple(sorted(set(rights()) - NOT_THE_AUTHORS.keys())),
        "fields": tuple(sorted(set(fields()))),
        "values": tuple(sorted(set(amounts()))),
        "constants": tuple(sorted(set(constants()))),
    }


def lacking(table: Iterable[Ceiling]) -> list[str]:
    """What has no row in a table."""
    covered: set[str] = set()
    for row in table:
        covered |= {*row.covers, *row.names}
    return [each for walk in wanted().values() for each in walk if each not in covered]


def test_everything_has_a_row() -> None:
    assert not lacking(ROWS), "add rows in scripts/chart/ceilings"
    assert all(wanted().values())
    assert {"create jobs", "patch leases", "get pods/exec", "watch pods"} <= set(wanted()["rights"])
    assert {"HostConfig.Memory", "HostConfig.Ulimits.Hard", "Env"} <= set(wanted()["fields"])


#: Rows of what Kubernetes or Docker alone bound, or that share all that they name with another row.
NOT_MISSED = {
    "CPU and memory of all tasks in a worker",
    "all objects together, and writes per second",
    "containers, variables and volumes of a pod",
    "disk and network throughput",
    "disk and network throughput, entries of connection tables",
    "emptyDirs",
    "events",
    "files in directories of the node and in named volumes",
    "images on the node",
    "log file of a container",
    "named volumes",
    "named volumes and networks, build cache",
    "networks",
    "other resources of nodes, such as hugepages",
    "pods",
    "pods, with ended ones",
    "processes",
    "time that a pod runs",
}


def test_a_row_that_is_removed_is_missed() -> None:
    idle = [row.resource for row in ROWS if not lacking(each for each in ROWS if each is not row)]
    assert set(idle) == NOT_MISSED


#: Settings of the gateway that have another name than their value.
RENAMED = {
    "tmpSizeLimit": "tasks.tmp.sizeLimit",
    "maxGraceSeconds": "tasks.admission.maxTerminationGracePeriodSeconds",
    "scheduleTimeoutSeconds": "tasks.timeouts.scheduleSeconds",
    "mountTimeoutSeconds": "tasks.timeouts.mountSeconds",
    "pullTimeoutSeconds": "tasks.timeouts.pullSeconds",
    "createTimeoutSeconds": "tasks.timeouts.createSeconds",
}


@pytest.mark.parametrize(("name", "below"), [("Tasks", "tasks."), ("Daemon", "workers.<name>.socket.")])
def test_every_amount_in_the_gateways_settings_has_a_row(name: str, below: str) -> None:
    kind = getattr(gateway_module("settings"), name)
    named = {each for row in ROWS for each in row.names}
    for field in dataclasses.fields(kind):
        default = getattr(kind, field.name, None)
        amount = type(default) is int or (isinstance(default, str) and _QUANTITY.fullmatch(default))
        if not amount or field.name == "user":
            continue
        key = gateway_module("settings").camel(field.name)
        keys = {f"{below}{key}", f"{below}limits.{key}", RENAMED.get(key), f"settings:{name}.{field.name}"}
        assert keys & named, f"{name}.{field.name}"


def test_rows_name_nothing_else() -> None:
    """What a row covers is found by a walk, or it covers nothing."""
    found = {name for walk in wanted().values() for name in walk}
    stale = {name for row in ROWS for name in row.covers} - found
    # Ignored by one backend, and refused by the other; or not an amount.
    assert not stale


def named_tests() -> set[str]:
    return {
        f"{path.relative_to(ROOT)}::{node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_each_row_has_a_test_or_a_reason() -> None:
    there = named_tests()
    for row in ROWS:
        assert row.test in there or (not row.test and NONE in row.ceiling), f"{row.resource}: {row.test}"
        assert row.removed, row.resource
        assert not row.ceiling.startswith(NONE) or len(row.ceiling) > 40, f"{row.resource}: no reason"


def test_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs` and commit docs/ceilings.md"


# What a render shows


def test_workers_have_their_limits() -> None:
    """Of the worker and of what runs beside it; every emptyDir of the pod has a size."""
    release = render(
        {
            "workers": {
                "default": {
                    "queues": ["default"],
                    "concurrency": 3,
                    "resources": {"limits": {"cpu": "3", "memory": "3Gi"}},
                },
                "dind": {"mode": "dind", "queues": ["dind"], "tmp": {"sizeLimit": "3Gi"}},
            }
        }
    )
    workers = {
        each.labels["airdock.dev/worker-group"]: each
        for each in release.all("Deployment", component="worker")
    }
    worker = workers["default"].pod
    assert worker
    container = worker.container("worker")
    assert container.raw["resources"]["limits"] == {"cpu": "3", "memory": "3Gi"}
    assert container.raw["args"][-2:] == ["--concurrency", "3"]
    prune = defaults()["workerDefaults"]["dind"]["prune"]["resources"]["limits"]
    dind = workers["dind"].pod
    assert dind
    assert dind.container("docker-prune").raw["resources"]["limits"] == prune
    for each in workers.values():
        assert each.pod
        for volume in each.pod.raw["volumes"]:
            if "emptyDir" in volume:
                assert volume["emptyDir"].get("sizeLimit"), volume["name"]


def test_the_daemons_log_files_have_a_size() -> None:
    text = (CHART / "templates" / "workers" / "_dind_daemon.tpl").read_text()
    assert re.search(r'"max-size" "50m"', text)
    assert re.search(r'"max-file" "2"', text)
