"""What is broken: each fault is one call, which names what it hit."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scripts.live import CommandError
from tests.e2e.own_release import OwnRelease

#: Seconds for which a pod's network is cut.
CUT = 20
#: Half of the addresses each: they win over the default route, and the way back stays.
ALL = ("0.0.0.0/1", "128.0.0.0/1")
FILL = "head -c 1100M /dev/zero > /tmp/full"
EAT = "x = []\nwhile True: x.append(bytearray(1 << 24))"

Pod = dict[str, Any]


class Faults:
    """Breaks parts of one release, or of its node."""

    def __init__(self, release: OwnRelease, chance: random.Random, node: bool):
        """`node`: also the kubelet and the API server, which others may use."""
        self.release, self.chance = release, chance
        self.all: Mapping[str, Callable[[], str]] = {
            **{f"delete the {name}": lambda name=name: self.delete(name) for name in self.components},
            **{f"kill the {name}": lambda name=name: self.kill(name) for name in self.components},
            "kill a gateway": lambda: self.kill_sidecar("docker-gateway"),
            "kill a daemon": lambda: self.kill_sidecar("docker-daemon"),
            "cut the network of a worker": lambda: self.cut("worker"),
            "cut the network of the api-server": lambda: self.cut("api-server"),
            "fill the disk of a worker": lambda: self.inside("sh", "-c", FILL),
            "use up the memory of a worker": lambda: self.inside("python", "-c", EAT),
            **(
                {"kill the API server": self.kill_api_server, "kill the kubelet": self.kill_kubelet}
                if node
                else {}
            ),
        }

    components = ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "redis", "postgres")

    def pod(self, component: str, container: str = "") -> Pod:
        """Choose a running pod of a component, with this container."""
        found = [
            pod
            for pod in self.release.pods(component)
            if pod["status"]["phase"] == "Running" and (not container or container in statuses(pod))
        ]
        if not found:
            raise CommandError(["soak"], f"no pod of {component} runs")
        return self.chance.choice(found)

    def delete(self, component: str) -> str:
        """Delete a pod without a grace period."""
        name = self.pod(component)["metadata"]["name"]
        self.release.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
        return str(name)

    def kill(self, component: str) -> str:
        """Kill all processes of a pod's main container."""
        pod = self.pod(component)
        return self.kill_container(pod, pod["spec"]["containers"][0]["name"])

    def kill_sidecar(self, container: str) -> str:
        """Kill all processes of a worker's sidecar."""
        return self.kill_container(self.pod("worker", container), container)

    def kill_container(self, pod: Pod, container: str) -> str:
        """Kill all processes of a container."""
        for process in processes(statuses(pod)[container]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return f"{pod['metadata']['name']}/{container}"

    def cut(self, component: str) -> str:
        """Let a pod reach nothing for some seconds; its connections hang."""
        pod = self.pod(component)
        (first, *_) = processes(statuses(pod)[pod["spec"]["containers"][0]["name"]])
        routes = [["nsenter", "-t", str(first), "-n", "ip", "route"]] * len(ALL)
        for command, network in zip(routes, ALL, strict=True):
            subprocess.run([*command, "add", "blackhole", network], check=True)
        time.sleep(CUT)
        for command, network in zip(routes, ALL, strict=True):
            subprocess.run([*command, "del", "blackhole", network])
        return str(pod["metadata"]["name"])

    def inside(self, *command: str) -> str:
        """Run a command in a worker, which ends it."""
        name = self.pod("worker")["metadata"]["name"]
        with contextlib.suppress(CommandError):
            self.release.kubectl("exec", name, "-c", "worker", "--", *command, timeout=90)
        return str(name)

    def kill_api_server(self) -> str:
        """Kill the cluster's API server."""
        return kill_program("kube-apiserver")

    def kill_kubelet(self) -> str:
        """Kill the node's kubelet."""
        return kill_program("kubelet")


def statuses(pod: Pod) -> dict[str, str]:
    """Give the id of each running container of a pod, by its name."""
    found = [*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ())]
    return {
        each["name"]: each["containerID"].rpartition("/")[2] for each in found if "running" in each["state"]
    }


def processes(container: str) -> list[int]:
    """Give the processes of a container on this host, by its id."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if container in path.read_text():
                found.append(int(path.parent.name))
    return sorted(found)


def kill_program(name: str) -> str:
    """Kill the processes of a program of this host."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text().strip() == name[:15]:
                os.kill(int(path.parent.name), signal.SIGKILL)
    return name
