"""Pulls through the gateway, as DockerOperator does them: login, then pull."""

from __future__ import annotations

import os
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError

from tests.e2e.gateway_daemon.dockerd import Dockerd
from tests.e2e.gateway_daemon.support import Gateway, native, needs_daemon
from tests.support.registry import HOST, PASSWORD, PORT, USER, with_login

pytestmark = [needs_daemon, native]

#: The node's registry's images, as the node sees them.
IMAGES = "/var/lib/registry"
IMAGE = f"{HOST}/library/busybox"


@pytest.fixture
def through(dockerd: Dockerd) -> Iterator[docker.APIClient]:
    """A client of a gateway whose daemon reaches a registry that asks for a login."""
    folder = f"/run/{dockerd.name}"
    for name, text in with_login(folder, IMAGES).items():
        (dockerd.directory / name).write_text(text)
    registry = dockerd.listen(PORT, "registry", "serve", f"{folder}/config.yml")
    raw = dockerd.client()
    gateway = Gateway(raw, f"test-{os.getpid()}-pull", socket=str(dockerd.socket), registries=[HOST])
    try:
        gateway.start()
        yield gateway.client()
    finally:
        gateway.close()
        raw.close()
        dockerd.on_node("kill", registry)


def pulled(client: docker.APIClient) -> str:
    """Pull the image, and give what the daemon says of it."""
    try:
        return str(client.pull(IMAGE, tag="1.37"))
    except APIError as error:
        return str(error.explanation)


def test_a_pull_needs_the_login_and_has_it(through: docker.APIClient) -> None:
    assert "no basic auth credentials" in pulled(through)
    through.login(USER, "wrong", registry=HOST, reauth=True)
    assert "unauthorized" in pulled(through).lower()
    assert not through.images(IMAGE)
    through.login(USER, PASSWORD, registry=HOST, reauth=True)
    assert "error" not in pulled(through)
    host = through.create_host_config(network_mode="none", cpu_shares=1024)
    container = through.create_container(f"{IMAGE}:1.37", ["echo", "pulled"], host_config=host)["Id"]
    through.start(container)
    assert through.wait(container)["StatusCode"] == 0
    assert through.logs(container) == b"pulled\n"
