"""What bounds a task's container on cgroup v2, and that nothing does where dockerd runs as recipes have it.

Each claim has a test of the upstream pod, in which it does not hold, and one of each variant.
"""

from __future__ import annotations

import pytest

from scripts.machine.disk import TASK_IMAGE
from tests.cgroup2.conftest import UPSTREAM, VARIANTS, Node
from tests.cgroup2.pods import MEMORY_MIB, Pod, cgroup_of

#: dd holds one block in memory. busybox has no other program that takes memory at once.
_BEYOND_THE_POD = f"dd if=/dev/zero of=/dev/null bs={MEMORY_MIB + 300}M count=1"
_KILLED = 128 + 9


@pytest.fixture
def upstream(node: Node) -> Pod:
    return node.pods[UPSTREAM]


@pytest.fixture
def privileged(node: Node) -> Pod:
    return node.pods["privileged"]


@pytest.fixture(params=VARIANTS)
def pod(node: Node, request: pytest.FixtureRequest) -> Pod:
    return node.pods[request.param]


def run(pod: Pod, script: str, *options: str) -> tuple[int, str]:
    """A task: its exit code and what it printed."""
    done = pod.docker("run", "--rm", *options, TASK_IMAGE, "sh", "-c", script)
    return done.code, done.out + done.err


def sleeping(pod: Pod, seconds: int, *options: str) -> str:
    """Start a task that sleeps; its node-wide mark is the number of seconds. Gives its container's id."""
    return pod.said("run", "--detach", "--rm", *options, TASK_IMAGE, "sleep", str(seconds))


# Where a task's container is.


def test_upstream_puts_tasks_beside_the_pods(upstream: Pod) -> None:
    container = sleeping(upstream, 90001, "--init=false")
    assert cgroup_of(upstream.machine, "sleep 90001") == f"/docker/{container}"


def test_task_lies_within_the_pod(pod: Pod) -> None:
    seconds = 90002 + [*VARIANTS].index(pod.name)
    sleeping(pod, seconds)
    assert cgroup_of(pod.machine, f"sleep {seconds}").startswith(f"{pod.cgroup}/")


def test_worker_reaches_the_daemon(pod: Pod) -> None:
    done = pod.inside("worker", "docker", "version", "--format", "{{.Server.Version}}")
    assert done.code == 0, done.err


# Memory.


def test_upstream_task_takes_more_memory_than_the_pod_may(upstream: Pod) -> None:
    assert run(upstream, _BEYOND_THE_POD)[0] == 0


def test_allocation_beyond_the_pod_dies_in_the_pod(privileged: Pod) -> None:
    daemon, killed = privileged.daemon(), privileged.killed()
    code, said = run(privileged, _BEYOND_THE_POD)
    assert code == _KILLED, said
    assert privileged.killed() > killed
    assert privileged.daemon() == daemon, "the daemon was ended, too"


def test_memory_limit_kills_its_task_alone(privileged: Pod) -> None:
    daemon = privileged.daemon()
    neighbour = sleeping(privileged, 90010)
    name = "over-its-limit"
    allocate = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]
    done = privileged.docker("run", "--name", name, "--memory", "64m", TASK_IMAGE, *allocate)
    assert done.code == _KILLED, done.err
    assert privileged.said("inspect", "--format", "{{.State.OOMKilled}}", name) == "true"
    assert privileged.daemon() == daemon, "the daemon was ended, too"
    assert privileged.said("inspect", "--format", "{{.State.Running}}", neighbour) == "true"
    privileged.said("rm", "--force", name, neighbour)
