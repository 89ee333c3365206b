"""Refusals name the value that allows what was refused, and it exists.

tests/render/test_named_keys.py looks up all keys in the gateway's texts; here is what they say at run time.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from docker_gateway.backend import Refusal
from docker_gateway.daemon_images import Images

from tests.render.named_keys import exists, keys

from . import cluster_pods as cluster
from . import test_daemon_body as daemon


def bind(source: str) -> dict[str, Any]:
    return {"Mounts": [{"Type": "bind", "Source": source, "Target": "/d"}]}


def volume(source: str) -> dict[str, Any]:
    return {"Mounts": [{"Type": "volume", "Source": source, "Target": "/d"}]}


GPU = {"DeviceRequests": [{"Count": 1, "Capabilities": [["gpu"]]}]}
ONE_IMAGE = ["registry.example.com/a:1"]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"host": bind("/etc")}, "tasks.binds"),
        ({"host": volume("other")}, "tasks.claims"),
        ({"host": volume("")}, "tasks.claims"),
        ({"host": {"NetworkMode": "other"}}, "tasks.networks"),
        ({"User": "0"}, "tasks.userNamespaces"),
        ({"tasks": dataclasses.replace(cluster.TASKS, images=ONE_IMAGE)}, "tasks.admission.images"),
    ],
)
def test_refusals_of_the_cluster_name_the_value_that_allows_it(arguments: dict[str, Any], key: str) -> None:
    message = cluster.refusal(**arguments)
    assert key in set(keys(message))
    assert all(map(exists, keys(message)))
    assert "ask the administrator" in message


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"host": bind("/etc")}, "allowed.binds"),
        ({"host": {"Binds": ["/etc:/d"]}}, "allowed.binds"),
        ({"host": volume("other")}, "allowed.volumes"),
        ({"host": {"NetworkMode": "other"}}, "allowed.networks"),
        ({"host": GPU}, "allowed.gpus"),
        ({"host": {"Memory": 1 << 40}}, "limits.memory"),
        ({"host": {"ShmSize": 1 << 40}}, "limits.memory"),
        ({"host": {"PidsLimit": 1 << 20}}, "limits.pids"),
        ({"host": {"NanoCpus": 1 << 40}}, "limits.cpu"),
        ({"host": {"CpuQuota": 1 << 40}}, "limits.cpu"),
        (
            {"host": {"Ulimits": [{"Name": "nofile", "Soft": 1 << 21, "Hard": 1 << 21}]}},
            "limits.ulimits.nofile",
        ),
        ({"host": {"Ulimits": [{"Name": "unknown", "Soft": 1, "Hard": 1}]}}, "limits.ulimits"),
        ({"Volumes": {f"/{number}": {} for number in range(17)}}, "limits.anonymousVolumes"),
    ],
)
def test_refusals_of_the_filter_name_the_value_that_allows_it(arguments: dict[str, Any], key: str) -> None:
    check(daemon.refusal(**arguments), key)


def check(message: str, key: str) -> None:
    assert list(keys(message)) == [f"workers.g.socket.{key}"]
    assert all(map(exists, keys(message)))


@pytest.mark.parametrize(
    ("image", "key"), [("busybox", "allowed.images"), ("r.example/x", "allowed.registries")]
)
def test_refusals_of_images_name_the_value_that_allows_it(image: str, key: str) -> None:
    rules = dataclasses.replace(daemon.RULES, images=["r.example.com/x", "r.example/x"], registries=[])
    images = Images(rules, "workers.g.socket")
    images._registries.discard("r.example")
    with pytest.raises(Refusal) as error:
        images.check_pull(image)
    check(error.value.message, key)
