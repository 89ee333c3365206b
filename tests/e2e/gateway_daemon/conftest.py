"""The daemon, and gateways before it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests.e2e.gateway_daemon.support import (
    BUSYBOX,
    SOCKET,
    Gateway,
    Start,
)

#: No two gateways of a process have the same name.
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def raw() -> Iterator[docker.APIClient]:
    """The daemon itself, as the raw mount gives it."""
    client = docker.APIClient(f"unix://{SOCKET}", timeout=60)
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
