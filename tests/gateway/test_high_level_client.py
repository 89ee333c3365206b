"""What docker-py's own integration tests look at, beyond what tests/gateway/test_clients.py runs."""

from __future__ import annotations

import json
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.types import HostConfig, LogConfig
from docker.types.containers import ContainerConfig
from docker_gateway import description
from docker_gateway.model import parse_create

from tests.gateway.docker_py import VERSION
from tests.gateway.stand_ins.gateway import Gateway
from tests.gateway.test_clients import IMAGE, _fast, client, gateway, mine, on_daemon
from tests.support.waiting import wait_until

__all__ = ["_fast", "client", "gateway"]


@pytest.mark.parametrize("polite", [False, True])
def test_who_ends_a_container_gets_its_code(
    gateway: Gateway, client: docker.DockerClient, polite: bool
) -> None:
    """A program that ends with 0 on SIGTERM did not choose its end: in the cluster, that is no success."""
    gateway.world.term_code = 0 if polite else 143
    for name in ("kill", "stop", "kill SIGINT"):
        verb, *signal = name.split()
        container = client.containers.run(IMAGE, ["sleep"], detach=True)
        (task,) = [each for each in mine(gateway) if each.alive]
        wait_until(lambda task=task: task.state == "running", 20, "it runs", 0.01)
        getattr(container, verb)(*signal)
        if polite and not on_daemon(gateway) and name != "kill":
            with pytest.raises(APIError, match="the pod was deleted: it was"):
                container.wait()
        elif not polite or not on_daemon(gateway):
            assert container.wait()["StatusCode"] in ({137} if polite else {137, 143}), name
        container.remove()


@pytest.mark.parametrize(
    ("asked", "driver", "options"),
    [
        (None, "json-file", {}),
        (LogConfig(type="json-file", config=None), "json-file", {}),
        (LogConfig(type="", config={"max-file": "100"}), "json-file", {"max-file": "100"}),
        (LogConfig(type="local", config={"max-size": "1m"}), "local", {"max-size": "1m"}),
    ],
)
def test_inspect_shows_the_log_driver_that_was_asked_for(
    asked: Any, driver: str, options: dict[str, str]
) -> None:
    host = HostConfig(VERSION, log_config=asked)
    create = parse_create(
        json.dumps(ContainerConfig(VERSION, IMAGE, "true", host_config=host)).encode(), "", ""
    )
    assert description.host_config(create.host)["LogConfig"] == {"Type": driver, "Config": options}


def test_keys_that_detach_reach_the_daemon_or_are_an_error(
    gateway: Gateway, client: docker.DockerClient
) -> None:
    """A client would wait for ever for the detachment."""
    container = client.containers.create(IMAGE, ["cat"], stdin_open=True, tty=True)
    asked = {"stdin": 1, "stdout": 1, "stream": 1, "detachKeys": "ctrl-x"}
    if on_daemon(gateway):
        client.api.attach_socket(container.id, asked).close()
        return
    with pytest.raises(APIError, match="detachKeys"):
        client.api.attach_socket(container.id, asked)
    client.api.attach_socket(container.id, {**asked, "stdin": 0}).close()


@pytest.mark.parametrize("length", [1, 4, 12])
def test_a_name_wins_over_an_id_that_begins_so(
    gateway: Gateway, client: docker.DockerClient, length: int
) -> None:
    other = client.containers.create(IMAGE, ["sleep"])
    named = client.containers.create(IMAGE, ["sleep"], name=other.id[:length])
    assert client.containers.get(other.id[:length]) == named
    assert client.containers.get(other.id[:20]) == other


def test_what_several_have_is_no_container_that_is_missing(
    gateway: Gateway, client: docker.DockerClient
) -> None:
    """By a prefix of their ids; in the cluster also by a name."""
    ids = [client.containers.create(IMAGE, ["sleep"]).id for _ in range(17)]
    first = next(each[0] for each in ids if [other[0] for other in ids].count(each[0]) > 1)
    names = [first]
    if not on_daemon(gateway):
        for _ in range(2):
            client.containers.create(IMAGE, ["sleep"], name="twice")
        names.append("twice")
    for name in names:
        with pytest.raises(APIError, match="containers have the name or prefix") as error:
            client.containers.get(name)
        assert error.value.status_code == 400
