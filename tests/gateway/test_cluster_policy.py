"""What the cluster backend refuses by name, and which images it runs."""

from __future__ import annotations

import dataclasses
import json

import pytest
from docker_gateway import cluster_manifest, cluster_policy, policy
from docker_gateway.backend import Refusal
from docker_gateway.cluster_users import Way
from docker_gateway.model import Create, HostConfig, parse_create
from docker_gateway.settings import Settings

from tests.support.attacks import AUTHOR

from .cluster_pods import KEYS, TASKS, build, main, refusal
from .docker_py import BY_THE_PROGRAM, HOST, body
from .escapes import ESCAPES


def test_the_tables_name_every_field_once() -> None:
    own = cluster_policy
    host = [policy.HOST_REFUSED, policy.HOST_CLIENT, own.HOST_REFUSED, own.HOST_IGNORED, own.HOST_MAPPED]
    rest = [policy.REFUSED, own.CLIENT, own.REFUSED, own.IGNORED, own.MAPPED]
    for tables, kind in ((host, HostConfig), (rest, Create)):
        names = sorted(name for table in tables for name in table)
        assert names == sorted(field.name for field in dataclasses.fields(kind))


@pytest.mark.parametrize("name", sorted({**policy.HOST_REFUSED, **cluster_policy.HOST_REFUSED}))
@pytest.mark.attack(actor=AUTHOR)
def test_each_field_that_a_pod_cannot_honour_is_refused_by_name(name: str) -> None:
    values = {**body()["HostConfig"], **BY_THE_PROGRAM}
    message = refusal(host={KEYS[name]: values[KEYS[name]]})
    assert message.startswith(f"{name}: ")
    assert len(message) > len(name) + 20


@pytest.mark.parametrize("name", sorted({**policy.REFUSED, **cluster_policy.REFUSED}))
def test_each_other_field_too(name: str) -> None:
    assert ": " in refusal(**{KEYS[name]: body()[KEYS[name]]})


def test_what_docker_py_sends_by_default_is_not_refused() -> None:
    from docker.types import HostConfig as PyHost
    from docker.types.containers import ContainerConfig

    empty = {name: type(value)() for name, value in HOST.items() if isinstance(value, bool | list | dict)}
    host = PyHost("1.47", **{**empty, "log_config": None, "restart_policy": None, "cpu_shares": 1024})
    config = ContainerConfig(
        "1.47", "busybox", "true", host_config=host, networking_config={}, ports=[], volumes=[]
    )
    request = parse_create(json.dumps(config).encode())
    assert cluster_manifest.build(request, "0" * 64, Settings(tasks=TASKS), always_pull=False, way=Way.NUMBER)


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.attack(actor=AUTHOR)
def test_escapes_are_refused(name: str) -> None:
    assert refusal(host=ESCAPES[name])


@pytest.mark.parametrize(
    "name",
    ["a b", "../etc", "/etc", "busybox@sha256:zz", "x/UPPER", "-x", "http://a/b", "a:b:c", "x" * 600, ""],
)
def test_what_is_no_image(name: str) -> None:
    with pytest.raises((Refusal, ValueError)):
        build(Image=name)


@pytest.mark.parametrize(
    "name",
    [
        "busybox",
        "library/busybox:1.37",
        "registry.example.com:5000/a/b_c/d-e:v1",
        "localhost/a",
        "a@sha256:" + "0" * 64,
        "r.io/a:b@sha256:" + "0" * 64,
    ],
)
def test_what_is_an_image(name: str) -> None:
    assert main(Image=name)["image"] == name


def test_images_may_be_limited() -> None:
    """As the admission policy does (tests/api/test_fence.py)."""
    tasks = dataclasses.replace(TASKS, images=["registry.example.com/team/*", "busybox:1.37", "alpine"])
    assert "tasks.admission.images" in refusal(tasks=tasks, Image="busybox:1.3")
    assert "tasks.admission.images" in refusal(tasks=tasks, Image="registry.example.com/team")
    for image in ("registry.example.com/team/a:1", "busybox:1.37", "alpine:3"):
        assert build(tasks=tasks, Image=image)
    assert build(tasks=dataclasses.replace(TASKS, images=["*"]))
