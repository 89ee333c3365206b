"""tasks.user: assigned, as the chart sets it on OpenShift: the cluster decides about a pod's uid."""

from __future__ import annotations

import json
from typing import Any

import pytest
from docker_gateway import cluster_manifest
from docker_gateway.backend import Refusal
from docker_gateway.cluster_users import Users, Way
from docker_gateway.labels import RETRIEVE
from docker_gateway.model import Create, parse_create
from docker_gateway.settings import Settings, Tasks

TASKS = Tasks(user="assigned", user_namespaces="off")


def request(**body: Any) -> Create:
    given = {"Image": "busybox:1", "Cmd": ["true"], "HostConfig": {}, **body}
    return parse_create(json.dumps(given).encode())


def pod(tasks: Tasks = TASKS, **body: Any) -> dict[str, Any]:
    create = request(**body)
    (way,) = Users(tasks).ways(create)
    settings = Settings(owner="owner", tasks=tasks)
    built = cluster_manifest.build(create, "c" * 64, settings, always_pull=False, way=way)
    spec: dict[str, Any] = built.manifest["spec"]
    return spec


def test_no_container_has_a_uid_and_each_has_a_home() -> None:
    spec = pod(Labels={RETRIEVE: "/out/result"})
    assert len(spec["initContainers"]) > 0, "the sidecar that returns the file"
    assert "runAsUser" not in json.dumps(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    (main,) = spec["containers"]
    env = {each["name"]: each["value"] for each in main["env"]}
    assert "/" != env["HOME"] in {mount["mountPath"] for mount in main["volumeMounts"]}
    assert env["USER"]


def test_there_is_no_trial() -> None:
    """Whatever the image's user is: OpenShift sets another one."""
    assert Users(TASKS).ways(request()) == [Way.NUMBER]
    assert not Users(TASKS).note(request(), Way.NUMBER)


def test_a_number_of_the_author_is_left_to_openshift() -> None:
    assert pod(User="1000680007")["securityContext"]["runAsUser"] == 1000680007


def test_root_is_refused_and_told_why() -> None:
    with pytest.raises(Refusal, match="OpenShift assigns the user; remove it"):
        Users(TASKS).ways(request(User="root"))


def test_in_a_user_namespace_if_the_administrator_wants_it() -> None:
    spec = pod(Tasks(user="assigned", user_namespaces="on"), User="0")
    assert spec["hostUsers"] is False
