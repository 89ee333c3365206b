"""The daemon, and gateways before it."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from scripts.cluster import DOCKER_SOCKET
from tests.e2e.gateway_daemon.dockerd import ENGINE, Dockerd
from tests.e2e.gateway_daemon.support import (
    BUSYBOX,
    OTHER,
    SOCKET,
    Gateway,
    Start,
)

#: No two gateways of a process have the same name.
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """The daemon of the variable DOCKER, with the image of these tests."""
    if not OTHER:
        yield
        return
    daemon = Dockerd(OTHER)
    daemon.start()
    try:
        with contextlib.closing(docker.APIClient(f"unix://{DOCKER_SOCKET}", timeout=60)) as client:
            daemon.load(b"".join(client.get_image(BUSYBOX)))
        yield
    finally:
        daemon.close()


@pytest.fixture(scope="module")
def raw(engine: None) -> Iterator[docker.APIClient]:
    """The daemon itself, as the raw mount gives it."""
    client = docker.APIClient(f"unix://{SOCKET}", timeout=60)
    assert client.version()["Version"].startswith(ENGINE)
    if not client.images(name=BUSYBOX):
        client.pull(BUSYBOX)
    yield client
    client.close()


@pytest.fixture(scope="module")
def starter(raw: docker.APIClient) -> Iterator[Start]:
    gateways: list[Gateway] = []

    def start(**rules: Any) -> Gateway:
        gateway = Gateway(raw, f"test-{os.getpid()}-{next(NUMBERS)}", **rules)
        gateways.append(gateway)
        gateway.start()
        return gateway

    yield start
    for gateway in gateways:
        gateway.close()


@pytest.fixture(scope="module")
def gateway(starter: Start) -> Gateway:
    return starter(memory="256Mi", pids=64)


@pytest.fixture
def dockerd(raw: docker.APIClient) -> Iterator[Dockerd]:
    """A daemon that may be killed, with the image of these tests."""
    daemon = Dockerd(f"e2e-{os.getpid()}")
    daemon.start()
    daemon.load(b"".join(raw.get_image(BUSYBOX)))
    yield daemon
    daemon.close()
