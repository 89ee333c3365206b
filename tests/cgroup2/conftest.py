"""One boot of the emulated machine, with a pod for each variant and one that is set up as others do it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from scripts import machine
from scripts.machine import Machine, MachineError
from scripts.machine.disk import TASK_ARCHIVE
from tests.cgroup2.pods import Pod, manifest, static_pod, upstream_pod

UPSTREAM = "upstream"
#: Pod -> the variant of its worker group.
VARIANTS = {"privileged": "privileged", "user-namespace": "userNamespace", "rootless": "rootless"}
#: For a pod to have a daemon and a worker.
_START_SECONDS = 300


@dataclass
class Node:
    """The machine and its pods."""

    machine: Machine
    pods: dict[str, Pod] = field(default_factory=dict)


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    if reason := machine.obstacle():
        pytest.skip(reason)
    made = {UPSTREAM: upstream_pod(UPSTREAM)}
    made |= {name: static_pod(name, variant) for name, variant in VARIANTS.items()}
    disk = machine.build()
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    started = time.monotonic()

    def say(what: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\nemulated machine: {what} after {time.monotonic() - started:.0f} s", flush=True)

    with machine.boot(disk) as booted:
        say("booted")
        booted.shell("until ctr version > /dev/null 2>&1 && pgrep -x kubelet; do sleep 0.5; done")
        found = Node(booted)
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
