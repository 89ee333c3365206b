"""A Docker gateway as a process here, before the native cluster, and docker-py before the gateway.

Airflow's own operators run in test_gateway_differential.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from kubernetes.client.exceptions import ApiException

from scripts.cluster import KUBECONFIG
from tests.support.paths import GATEWAY
from tests.support.waiting import wait_until

#: Each worker of xdist has its own.
NAMESPACE = f"gateway-test-{os.getpid()}"
BUSYBOX, PYTHON = "busybox:1.37", "python:3.13-slim"
OWNER = "airdock.dev/gateway"
#: Ends with 0 when asked to end, as many servers do: the hard case for exit codes.
POLITE = ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"]
#: The longest that a pod takes from `start` to its first line here, with others at work.
PATIENCE = 90.0
needs_native = pytest.mark.skipif(not KUBECONFIG.exists(), reason="needs the native cluster")


@dataclass
class Cluster:
    """The task namespace that the tests have to themselves, and an account that may do what it must."""

    core: Any
    server: str
    ca: Path
    token: Path

    def pods(self, owner: str) -> list[Any]:
        return list(self.core.list_namespaced_pod(NAMESPACE, label_selector=f"{OWNER}={owner}").items)

    def pod(self, owner: str) -> Any:
        return wait_until(lambda: self.pods(owner), PATIENCE, "a pod")[0]


def ignore_conflict(create: Callable[..., Any], *arguments: Any) -> None:
    try:
        create(*arguments)
    except ApiException as error:
        if error.status != 409:
            raise


@dataclass
class Gateway:
    """A gateway process."""

    cluster: Cluster
    owner: str
    directory: Path
    settings: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    clients: list[docker.APIClient] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    def start(self) -> None:
        file = self.directory / "gateway.json"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        file.write_text(
            json.dumps(
                {
                    **self.settings,
                    "socket": str(self.socket),
                    "healthHost": "127.0.0.1",
                    "healthPort": self.port,
                }
            )
        )
        environment = {
            "AIRDOCK_GATEWAY_CONFIG": str(file),
            "AIRDOCK_GATEWAY_OWNER": self.owner,
            "MALLOC_ARENA_MAX": "2",
        }
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-SE", str(GATEWAY)], env=environment, stderr=log
            )
        wait_until(lambda: self.get("readyz") == "ok\n", 20, "the gateway is ready: " + self.log())

    def get(self, path: str) -> str:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer,
        ):
            return str(answer.read().decode())
        return ""

    def kibibytes(self, name: str) -> int:
        """Give a figure of the process's memory: VmRSS, or VmHWM for the highest so far."""
        assert self.process
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def pods_ended(self) -> bool:
        return all(pod.status.phase in ("Succeeded", "Failed") for pod in self.cluster.pods(self.owner))

    def metric(self, name: str) -> float:
        return sum(
            float(line.split()[-1])
            for line in self.get("metrics").splitlines()
            if line.startswith(f"airdock_gateway_{name}")
        )

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(30)

    def client(self) -> docker.APIClient:
        client = docker.APIClient(f"unix://{self.socket}", timeout=60)
        self.clients.append(client)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()
        if self.process and self.process.poll() is None:
            self.kill(signal.SIGTERM)
        self.cluster.core.delete_collection_namespaced_pod(
            NAMESPACE, label_selector=f"{OWNER}={self.owner}", grace_period_seconds=0
        )


Start = Callable[..., Gateway]


@dataclass
class Task:
    """What DockerOperator does with one container, step by step."""

    client: docker.APIClient
    id: str
    stream: Any = None
    output: bytes = b""

    def attach(self) -> None:
        self.stream = self.client.attach(self.id, stdout=True, stderr=True, stream=True)

    def start(self) -> None:
        self.client.start(self.id)

    def read(self) -> bytes:
        for chunk in self.stream:
            self.output += chunk
        return self.output

    def read_until(self, text: bytes) -> None:
        for chunk in self.stream:
            self.output += chunk
            if text in self.output:
                return
        pytest.fail(f"the output ended without {text!r}: {self.output!r}")

    def wait(self) -> int:
        return int(self.client.wait(self.id)["StatusCode"])


def create(
    client: docker.APIClient,
    command: Any,
    image: str = BUSYBOX,
    host: dict[str, Any] | None = None,
    **config: Any,
) -> Task:
    options = {"cpu_shares": 1024, **(host or {})}
    return Task(
        client,
        client.create_container(image, command, host_config=client.create_host_config(**options), **config)[
            "Id"
        ],
    )


def begin(client: docker.APIClient, command: Any, *arguments: Any, **options: Any) -> Task:
    task = create(client, command, *arguments, **options)
    task.attach()
    task.start()
    return task


def run(client: docker.APIClient, command: Any, *arguments: Any, **options: Any) -> tuple[int, bytes]:
    task = begin(client, command, *arguments, **options)
    task.read()
    return task.wait(), task.output


def fails(task: Task) -> str:
    """Read to the end and give the reason of a /wait that is no exit code."""
    task.read()
    with pytest.raises(APIError) as error:
        task.wait()
    assert error.value.status_code == 500
    return str(error.value.explanation)


def polite(gateway: Gateway) -> tuple[Task, Any]:
    """Give a running container that will answer SIGTERM with exit code 0, and its pod."""
    task = begin(gateway.client(), POLITE)
    task.read_until(b"ready")
    return task, wait_until(
        lambda: [
            p
            for p in gateway.cluster.pods(gateway.owner)
            if p.metadata.annotations["airdock.dev/container-id"] == task.id
        ],
        10,
        "the container's pod",
    )[0]
