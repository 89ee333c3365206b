"""What is broken: each fault is one call, which names what it hit.

A container has no clock of its own (a time namespace moves only the monotonic one), so the clock that is
stepped is that of the whole machine: only on demand.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from scripts.cluster import cgroups
from scripts.live import CommandError
from tests.e2e.own_release import OwnRelease

#: Seconds for which a pod's network is cut, and for which the kubelet stands still.
CUT = 20
#: Seconds by which the clock is wrong for a while.
STEP = 60
#: Two halves of the addresses win over the default route.
HALVES = "for half in 0.0.0.0/1 128.0.0.0/1; do ip route {verb} blackhole $half; done"
#: More than the sizeLimit of a pod's /tmp.
FILL = "head -c 1100M /dev/zero > /tmp/full"
#: Fills the memory of a container's cgroup until the kernel kills the process of argument 1.
EAT = """
import os, sys
eaten = []
while os.path.exists(f"/proc/{sys.argv[1]}") and len(eaten) << 24 < int(sys.argv[2]):
    eaten.append(b"x" * (1 << 24))
"""
#: Bytes that it takes at most.
MOST = 6 << 30
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "redis", "postgres")

Pod = dict[str, Any]


class Faults:
    """Breaks parts of one release and of its node."""

    def __init__(self, release: OwnRelease, chance: random.Random, clock: bool = False):
        """`chance` chooses among several pods; `clock`: also step the clock of this machine."""
        self.release, self.chance = release, chance
        self.all: dict[str, Callable[[], str]] = {
            **{f"delete the {name}": partial(self.delete, name) for name in COMPONENTS},
            **{f"kill the {name}": partial(self.kill, name) for name in COMPONENTS},
            **{f"lose the {name}": partial(self.lose, name) for name in ("redis", "postgres")},
            "kill a gateway": partial(self.kill, "worker", "docker-gateway"),
            "kill a daemon of mode dind": partial(self.kill, "worker", "docker"),
            "kill the node's Docker daemon": partial(signalled, "dockerd", signal.SIGKILL),
            "kill the API server": partial(signalled, "kube-apiserver", signal.SIGKILL, in_pod=True),
            "kill etcd": partial(signalled, "etcd", signal.SIGKILL, in_pod=True),
            "kill the kubelet": partial(signalled, "kubelet", signal.SIGKILL),
            "stop the kubelet for a while": stop_kubelet,
            "cut a worker's network": partial(self.cut, "worker"),
            "cut the scheduler's network": partial(self.cut, "scheduler"),
            "cut the api-server's network": partial(self.cut, "api-server"),
            "fill a worker's disk": self.fill,
            "use up a worker's memory": self.eat,
        }
        if clock:
            steps = {"forward, and back": STEP, "back, and forward": -STEP}
            self.all |= {f"step the clock {way}": partial(step_clock, step) for way, step in steps.items()}

    def pod(self, component: str, container: str = "") -> Pod:
        """Choose a pod of a component in which this container (default: the main one) runs."""
        found = [
            pod
            for pod in self.release.pods(component)
            if (container or pod["spec"]["containers"][0]["name"]) in running(pod)
        ]
        if not found:
            raise LookupError(f"no pod of {component} runs")
        return self.chance.choice(found)

    def delete(self, component: str) -> str:
        """Delete a pod without a grace period."""
        name = self.pod(component)["metadata"]["name"]
        self.release.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
        return str(name)

    def lose(self, component: str) -> str:
        """Let a pod disappear as if its node had lost power: no connection of it is closed."""
        cut_off(self.pod(component))
        return self.delete(component)

    def kill(self, component: str, container: str = "") -> str:
        """Kill all processes of a container (default: the main one)."""
        pod = self.pod(component, container)
        for process in processes(pod, container):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return " ".join((pod["metadata"]["name"], container))

    def cut(self, component: str) -> str:
        """Let a pod reach nothing for some seconds; its connections hang."""
        pod = self.pod(component)
        cut_off(pod, CUT)
        return str(pod["metadata"]["name"])

    def fill(self) -> str:
        """Let a worker write more than its pod may: the kubelet evicts it."""
        name = self.pod("worker")["metadata"]["name"]
        self.release.kubectl("exec", name, "-c", "worker", "--", "sh", "-c", FILL, timeout=90)
        return str(name)

    def eat(self) -> str:
        """Let the kernel kill a worker, because its container has no memory left."""
        pod = self.pod("worker")
        first = processes(pod)[0]
        (cgroup,) = (
            mount.target / path.lstrip("/")
            for mount in cgroups.hierarchies()
            for _, names, path in (line.split(":") for line in cgroup_of(first).splitlines())
            if cgroups.unified() or names == mount.target.name == "memory"
        )
        # Rather the worker than the process that eats.
        Path(f"/proc/{first}/oom_score_adj").write_text("1000")

        def enter() -> None:
            (cgroup / "cgroup.procs").write_text(str(os.getpid()))

        eater = [sys.executable, "-c", EAT, str(first), str(MOST)]
        subprocess.run(eater, preexec_fn=enter, check=False, timeout=60)
        if Path(f"/proc/{first}").exists():
            raise LookupError("the kernel has killed something else")
        return str(pod["metadata"]["name"])


def running(pod: Pod) -> dict[str, str]:
    """Give the id of each running container of a pod, by its name."""
    found = [*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ())]
    return {
        each["name"]: each["containerID"].rpartition("/")[2] for each in found if "running" in each["state"]
    }


def cgroup_of(process: int) -> str:
    """Give the cgroups of a process."""
    return Path(f"/proc/{process}/cgroup").read_text()


def processes(pod: Pod, container: str = "") -> list[int]:
    """Give the processes of a container (default: the main one) on this host, the first one first."""
    identity = running(pod)[container or pod["spec"]["containers"][0]["name"]]
    found = []
    for process in sorted(cgroups.processes()):
        with contextlib.suppress(OSError):
            if identity in cgroup_of(process):
                found.append(process)
    if not found:
        raise LookupError(f"container {identity} has no process")
    return found


def cut_off(pod: Pod, seconds: float = 0) -> None:
    """Let a pod reach nothing, for some seconds or (0) for good; its connections hang."""
    script = HALVES.format(verb="add")
    if seconds:
        script += f"; sleep {seconds}; {HALVES.format(verb='del')}"
    # One process in the pod's network: those of the container may end meanwhile.
    enter = ["nsenter", "--net", f"--target={processes(pod)[0]}"]
    subprocess.run([*enter, "sh", "-ec", script], check=True, timeout=seconds + 30)


def signalled(name: str, sent: signal.Signals, in_pod: bool = False) -> str:
    """Send a signal to a program of the node: one that runs in a static pod, or one that runs in none."""
    for process in cgroups.processes():
        with contextlib.suppress(OSError):
            named = Path(f"/proc/{process}/comm").read_text().strip() == name
            if named and ("/kubepods/" in cgroup_of(process)) == in_pod:
                os.kill(process, sent)
                return f"process {process}"
    raise LookupError(f"{name} does not run")


def stop_kubelet() -> str:
    """Let the kubelet stand still for some seconds."""
    stopped = signalled("kubelet", signal.SIGSTOP)
    try:
        time.sleep(CUT)
    finally:
        signalled("kubelet", signal.SIGCONT)
    return stopped


def step_clock(seconds: int) -> str:
    """Let the clock of this machine be wrong for some seconds.

    Raises:
        PermissionError: this machine's clock is not ours to set.
    """
    right = time.time() - time.monotonic()
    time.clock_settime(time.CLOCK_REALTIME, right + time.monotonic() + seconds)
    try:
        time.sleep(CUT)
    finally:
        time.clock_settime(time.CLOCK_REALTIME, right + time.monotonic())
    return f"by {seconds} s, for {CUT} s"


#: What a fault may raise if what it would hit is away.
MISSED = (CommandError, LookupError, OSError, subprocess.SubprocessError)
