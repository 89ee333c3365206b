"""One boot of the emulated machine, with a pod for each variant and one that is set up as others do it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cgroup2 import machine
from tests.cgroup2.machine import Machine, MachineError
from tests.cgroup2.machine.disk import TASK_ARCHIVE
from tests.cgroup2.pods import Pod, manifest, static_pod, upstream_pod

UPSTREAM = "upstream"
#: Pod -> the variant of its worker group.
VARIANTS = {"privileged": "privileged", "user-namespace": "userNamespace", "rootless": "rootless"}
#: For a pod to have a daemon and a worker.
_START_SECONDS = 300


@dataclass(frozen=True)
class Root:
    """The node's root cgroup: the children, the controllers that it hands down, the processes in it."""

    children: frozenset[str]
    controllers: frozenset[str]
    processes: frozenset[str]

    @classmethod
    def of(cls, machine: Machine) -> Root:
        """As it is now. Those in it are the kernel's."""
        script = "cd /sys/fs/cgroup; echo */; cat cgroup.subtree_control; echo $(cat cgroup.procs)"
        children, controllers, processes = (line.split() for line in machine.shell(script).splitlines())
        return cls(
            frozenset(name.strip("/") for name in children), frozenset(controllers), frozenset(processes)
        )

    def moved(self, machine: Machine) -> dict[str, str]:
        """Those of its processes that are in another cgroup now: process -> cgroup."""
        script = f"""for pid in {" ".join(self.processes)}; do
            {{ read -r cgroup < /proc/$pid/cgroup; }} 2> /dev/null && echo "$pid ${{cgroup#0::}}"
        done; :"""
        found = dict(line.split() for line in machine.shell(script).splitlines())
        return {process: cgroup for process, cgroup in found.items() if cgroup != "/"}


@dataclass
class Node:
    """The machine and its pods.

    Attributes:
        root: its root cgroup before there was a pod.
    """

    machine: Machine
    root: Root
    pods: dict[str, Pod] = field(default_factory=dict)


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    if reason := machine.obstacle():
        pytest.skip(reason)
    made = {name: static_pod(name, variant) for name, variant in VARIANTS.items()}
    made[UPSTREAM] = upstream_pod(UPSTREAM)
    disk = machine.build()
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    started = time.monotonic()

    def say(what: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\nemulated machine: {what} after {time.monotonic() - started:.0f} s", flush=True)

    with machine.boot(disk) as booted:
        say("booted")
        booted.shell("until ctr version > /dev/null 2>&1 && pgrep -x kubelet; do sleep 0.5; done")
        # What runc does with a node's first container.
        booted.shell(
            "cd /sys/fs/cgroup && sed 's/ / +/g; s/^/+/' cgroup.controllers > cgroup.subtree_control"
        )
        found = Node(booted, Root.of(booted))
        # One by one: a daemon gives its containerd 15 s to start, which is not much here.
        for name, (pod, files) in made.items():
            try:
                _start(found, name, pod, files)
            except MachineError as error:
                pytest.fail(f"{error}\n{_diagnosis(booted)}")
            say(f"{name} ready")
        yield found
        say("all done")


def _start(node: Node, name: str, pod: dict[str, Any], files: dict[str, str]) -> None:
    """Start a pod and wait until it has a daemon that answers, a worker and the image of the tasks."""
    for path, content in files.items():
        node.machine.write(path, content)
    sockets = f"/var/lib/kubelet/pods/{name}/volumes/kubernetes.io~empty-dir/docker-socket"
    node.machine.shell(f"mkdir -p /run/pods && ln -s {sockets} /run/pods/{name}")
    node.machine.write(f"/etc/kubernetes/manifests/{name}.json", manifest(pod))
    # The worker starts when the daemon's startup probe has succeeded.
    node.machine.shell(
        f"until [ -e /var/log/pods/airdock_{name}-*/worker/0.log ]; do sleep 1; done", timeout=_START_SECONDS
    )
    node.pods[name] = Pod(node.machine, name)
    node.pods[name].said("load", "--quiet", "--input", str(TASK_ARCHIVE))


def _diagnosis(booted: Machine) -> str:
    script = """tail -n 30 /var/log/kubelet.log; ctr -n k8s.io tasks ls
    for log in /var/log/pods/*/*/*.log; do echo "== $log"; tail -n 15 "$log"; done"""
    done = booted.run(script)
    return done.out + done.err


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add what the machine's logs say to the report of a failed test."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    found = getattr(item, "funcargs", {}).get("node")
    if report.failed and isinstance(found, Node):
        report.sections.append(("emulated machine", _diagnosis(found.machine)))


__all__ = ["UPSTREAM", "VARIANTS", "Node"]
