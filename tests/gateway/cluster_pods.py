"""Pods as the cluster backend builds them, for tests."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from docker_gateway import cluster_manifest
from docker_gateway.backend import Refusal
from docker_gateway.cluster_users import Users, Way
from docker_gateway.model import Create, HostConfig, parse_create
from docker_gateway.settings import Network, Registry, Settings, Tasks, Volume

TASKS = Tasks(
    namespace="tasks",
    service_account="task",
    claims={"data": Volume("data-claim", "base"), "ro": Volume("ro-claim", read_only=True)},
    binds={"/srv/shared": Volume("shared-claim")},
    networks={"backend": Network({"net": "backend"})},
    registries={"registry.example.com:5000": Registry("pull-secret")},
)


def build(
    host: dict[str, Any] | None = None,
    tasks: Tasks = TASKS,
    way: Way | None = None,
    pull: bool = False,
    query: dict[str, str] | None = None,
    **config: Any,
) -> cluster_manifest.Built:
    text = {"Image": "busybox:1.37", **config, "HostConfig": host or {}}
    request = parse_create(json.dumps(text).encode(), **(query or {}))
    settings = Settings(owner="owner-uid", worker_group="default", tasks=tasks)
    way = way or Users(tasks).ways(request)[0]
    return cluster_manifest.build(request, "c0ffee" * 10 + "abcd", settings, always_pull=pull, way=way)


def main(**arguments: Any) -> dict[str, Any]:
    container: dict[str, Any] = build(**arguments).manifest["spec"]["containers"][0]
    return container


def spec(**arguments: Any) -> dict[str, Any]:
    value: dict[str, Any] = build(**arguments).manifest["spec"]
    return value


def refusal(**arguments: Any) -> str:
    with pytest.raises(Refusal) as error:
        build(**arguments)
    return error.value.message


KEYS = {
    field.name: field.metadata["key"]
    for kind in (Create, HostConfig)
    for field in dataclasses.fields(kind)
    if field.metadata
}
