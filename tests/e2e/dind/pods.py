"""Pods of mode dind from scripts.chart.dind_pod, in a namespace of their own: to run and to change."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from scripts.chart import dind_pod
from scripts.live import NATIVE_DIND, CommandError, Target
from tests.e2e.conftest import host

#: Each worker of xdist has its own.
NAMESPACE = f"airdock-e2e-dind-{os.getpid()}"
IMAGE = "busybox:1.37"
PYTHON = "python:3.13-slim"
#: Takes more memory than the daemon's container has.
ALLOCATE = "b = bytearray(1 << 30); print('not killed')"
CONNECT = "import socket; socket.create_connection(('kubernetes.default.svc.cluster.local', 443), 5)"
HOLD = "import time; b = bytearray(b'1') * (32 << 20); time.sleep(60)"
#: A web server of one page.
SERVER = "mkdir w; echo hello > w/index.html; httpd -f -h w"
CLIENT = "until wget -qO- http://server; do sleep 0.2; done"
#: Of the daemon's container: enough for it and a few tasks.
RESOURCES = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}


@dataclass(frozen=True)
class DindPod:
    """A running pod: the daemon in container `docker`, and a worker's place in container `worker`."""

    target: Target
    name: str

    def inside(self, container: str, *command: str, timeout: float = 120) -> str:
        """Give the output of a command in a container.

        Raises:
            CommandError: it ended with an error.
        """
        return self.target.kubectl(
            "exec", self.name, "-n", NAMESPACE, "-c", container, "--", *command, timeout=timeout
        )

    def host(self, container: str) -> Host:
        """Give testinfra's view of a container."""
        return host(self.target, self.name, container, NAMESPACE)

    def docker(self, *arguments: str, timeout: float = 120) -> str:
        """Give the output of `docker ...`, run where the worker would run it."""
        return self.inside("worker", "docker", *arguments, timeout=timeout)

    def sh(self, script: str, timeout: float = 120) -> str:
        """Give the output of a script, run where the worker would run it."""
        return self.inside("worker", "sh", "-ec", script, timeout=timeout)

    def fails(self, *arguments: str) -> str:
        """Run `docker ...`, which must fail, and give what it said."""
        try:
            said = self.docker(*arguments)
        except CommandError as error:
            return error.stderr
        raise AssertionError(f"docker {' '.join(arguments)} did not fail: {said}")

    def logs(self, container: str, *options: str) -> str:
        """Give a container's log."""
        return self.target.kubectl("logs", self.name, "-n", NAMESPACE, "-c", container, *options)

    @property
    def body(self) -> Any:
        """The pod as the API server has it."""
        return self.target.get("pod", self.name, "-n", NAMESPACE)

    def status(self, container: str) -> Any:
        """Give a container's status."""
        status = self.body["status"]
        found = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        return next(entry for entry in found if entry["name"] == container)

    def restarts(self, container: str = "docker") -> int:
        """Give how often a container was restarted."""
        return int(self.status(container)["restartCount"])

    def wait_ready(self, seconds: float = 120) -> None:
        """Wait until all its containers are ready."""
        self.target.kubectl(
            "wait", "pod", self.name, "-n", NAMESPACE, "--for=condition=Ready", f"--timeout={seconds:.0f}s",
            timeout=seconds + 10,
        )  # fmt: skip


def group(**dind: Any) -> dict[str, Any]:
    """Values with one worker group of mode dind, whose daemons pull from the test cluster's registry."""
    return dind_pod.values({**NATIVE_DIND, "resources": RESOURCES, **dind})


def objects(values: Mapping[str, Any], script: str = "exec sleep 3600") -> tuple[Any, Any]:
    """Give the scripts' ConfigMap and the group's workload, with a shell in the worker's place."""
    return dind_pod.objects(values, NAMESPACE, script)


def container(pod: Any, name: str) -> Any:
    """Give a container of a pod, to change it."""
    return next(c for c in pod["spec"]["initContainers"] + pod["spec"]["containers"] if c["name"] == name)


def set_env(pod: Any, name: str, **variables: str) -> None:
    """Set variables of a container."""
    env = container(pod, name)["env"]
    env[:] = [entry for entry in env if entry["name"] not in variables]
    env += [{"name": key, "value": value} for key, value in variables.items()]


@contextmanager
def running(target: Target, pod: Any, *others: Any, ready: bool = True) -> Iterator[DindPod]:
    """Create a pod, and objects that it needs, and take the pod away at the end."""
    name = pod["metadata"]["name"]
    delete = ("delete", "pod", name, "-n", NAMESPACE, "--ignore-not-found", "--grace-period=1")
    target.kubectl(*delete)
    target.apply(*others, pod)
    found = DindPod(target, name)
    try:
        if ready:
            found.wait_ready()
        yield found
    finally:
        target.kubectl(
            "delete", "pod", name, "-n", NAMESPACE, "--ignore-not-found", "--grace-period=1", "--wait=false"
        )


def log_of(pod: DindPod) -> str:
    """Give the log of the daemon's container, or nothing before it has one."""
    try:
        return pod.logs("docker")
    except CommandError:  # The container has not begun.
        return ""


def plain(pod: Any) -> Any:
    """Give the pod with the daemon as every recipe starts it, without the start script."""
    daemon = container(pod, "docker")
    words = daemon["command"]
    daemon["command"] = ["docker-init", "--", "dockerd", "--group=2375", *words[words.index("dockerd") + 1 :]]
    return pod


def dump(pod: DindPod) -> str:
    """Give the pod's state and the end of its logs, for messages."""
    return json.dumps(pod.body["status"], indent=1) + pod.logs("docker", "--tail=20")
