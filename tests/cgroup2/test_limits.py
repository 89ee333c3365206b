"""What bounds a task's container on cgroup v2, and that nothing does where dockerd runs as recipes have it.

Each claim has a test of the upstream pod, in which it does not hold, and one of each variant.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache

import pytest

from tests.cgroup2.conftest import UPSTREAM, VARIANTS, Node, Root
from tests.cgroup2.machine.disk import TASK_IMAGE
from tests.cgroup2.pods import CPUS, MEMORY_MIB, WORKER_MEMORY_MIB, Pod, cgroup_of

#: dd holds one block in memory. busybox has no other program that takes memory at once.
_BEYOND_THE_POD = f"dd if=/dev/zero of=/dev/null bs={MEMORY_MIB + 300}M count=1"
_KILLED = 128 + 9
_BUSY_SECONDS = 3
#: More processes than the kubelet allows a pod (podPidsLimit of kubelet.yaml).
_MANY = 450
#: Endless loops for some seconds, and what they took; then processes that wait, without end. No program is
#: started meanwhile: that takes long here, and would count.
_GREEDY = f"""
mkfifo /never
read -r began _ < /proc/uptime
for _ in 1 2 3 4; do while :; do :; done & loops="$loops $!"; done
sleep {_BUSY_SECONDS}
kill $loops
wait
read -r ended _ < /proc/uptime
times
echo "$began $ended"
i=0
while [ $i -lt {_MANY} ]; do read -r _ < /never & i=$((i + 1)); done
echo all
"""
#: Those who see nothing of the pod's cgroup but their container's.
APART = [name for name in VARIANTS if name != "privileged"]


@pytest.fixture
def upstream(node: Node) -> Pod:
    return node.pods[UPSTREAM]


@pytest.fixture
def privileged(node: Node) -> Pod:
    return node.pods["privileged"]


@pytest.fixture(params=VARIANTS)
def pod(node: Node, request: pytest.FixtureRequest) -> Pod:
    return node.pods[request.param]


@pytest.fixture(params=APART)
def apart(node: Node, request: pytest.FixtureRequest) -> Pod:
    return node.pods[request.param]


def run(pod: Pod, script: str, *options: str) -> tuple[int, str]:
    """A task: its exit code and what it printed."""
    done = pod.docker("run", "--rm", *options, TASK_IMAGE, "sh", "-c", script)
    return done.code, done.out + done.err


def sleeping(pod: Pod, seconds: int, *options: str) -> str:
    """Start a task that sleeps; its node-wide mark is the number of seconds. Gives its container's id."""
    return pod.said("run", "--detach", "--rm", *options, TASK_IMAGE, "sleep", str(seconds))


@dataclass(frozen=True)
class Greed:
    """What a task got that took all that it could.

    Attributes:
        processors: how many, for some seconds.
        held: how often the kernel held it, or others of its pod, back for their share of processors.
        said: what it said as it made processes.
    """

    processors: float
    held: int
    said: str


@cache
def greed(pod: Pod, attempt: int) -> Greed:
    """Let a task take all processors and processes that it can get: one for both, as starts are slow here.

    Each attempt is made once.
    """
    held = pod.held()
    _code, printed = run(pod, _GREEDY)
    # `times` ends with the children's user and system time: 0m4.900000s 0m0.010000s
    found = re.search(r"(\d+)m([\d.]+)s (\d+)m([\d.]+)s\n([\d.]+) ([\d.]+)\n", printed)
    assert found, printed
    minutes, seconds, system_minutes, system, began, ended = map(float, found.groups())
    taken = 60 * (minutes + system_minutes) + seconds + system
    return Greed(taken / (ended - began), pod.held() - held, printed[found.end() :].strip())


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


def test_daemons_leave_the_nodes_root_as_it_was(node: Node) -> None:
    """Once they have run tasks. docker/ is the upstream daemon's, which shows that this would be seen."""
    now = Root.of(node.machine)
    assert now.children - node.root.children == {"kubepods.slice", "docker"}
    assert now.controllers == node.root.controllers
    assert node.root.moved(node.machine) == {}
    tasks = node.machine.shell("cd /sys/fs/cgroup/docker && echo */").replace("/", "").split()
    ours = node.pods[UPSTREAM].said("ps", "--all", "--quiet", "--no-trunc").split()
    assert set(tasks) <= set(ours)


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


# Processors and processes.


def test_upstream_task_takes_more_processors_than_the_pod_may(upstream: Pod) -> None:
    """Once is enough to show that nothing holds it: on a busy machine others take their share."""
    assert any(greed(upstream, attempt).processors > 1.1 * CPUS for attempt in (1, 2, 3))


def test_processors_of_the_pod_bound(pod: Pod) -> None:
    """On a busy machine it may get few of them for another reason, too."""
    assert greed(pod, 1).processors < 1.1 * CPUS
    assert greed(pod, 1).held > 0


def test_upstream_task_has_more_processes_than_the_pod_may(upstream: Pod) -> None:
    assert greed(upstream, 1).said == "all"


def test_processes_of_the_pod_bound(pod: Pod) -> None:
    said = greed(pod, 1).said
    assert "can't fork" in said and "all" not in said, said
    assert pod.docker("version").code == 0, "the daemon has none left for itself"


# What the daemon says.


def test_stats_tell_the_truth(pod: Pod) -> None:
    """They are what the kernel counts in the task's cgroup: the sidecar's own with a rootless daemon."""
    mib = 2**20
    seconds = 90020 + [*VARIANTS].index(pod.name)
    given = ("--memory", "100m", "--memory-swap", "100m", "--cpus", "0.5", "--pids-limit", "50")
    hold = f"dd if=/dev/zero of=/dev/shm/held bs=1M count=40 2> /dev/null; exec sleep {seconds}"
    task = pod.said("run", "--detach", "--rm", *given, TASK_IMAGE, "sh", "-c", hold)
    pod.machine.shell(f"until pgrep -f -x 'sleep {seconds}'; do sleep 0.2; done", timeout=60)
    cgroup = cgroup_of(pod.machine, f"sleep {seconds}")
    stats = json.loads(pod.said("stats", "--no-stream", "--format", "{{json .}}", task))
    read = "cat memory.max cpu.max pids.max pids.current memory.current memory.stat"
    said = pod.machine.shell(f"cd /sys/fs/cgroup{cgroup} && {read}").splitlines()
    most, processors, most_processes, processes, now, *counted = said
    pod.said("rm", "--force", task)
    # Docker leaves out what the kernel can drop at once.
    (idle,) = (int(line.split()[1]) for line in counted if line.startswith("inactive_file "))
    used, limit = (float(part.removesuffix("MiB")) for part in stats["MemUsage"].split(" / "))
    assert limit == int(most) / mib
    assert used > 40
    if pod.name == "rootless":
        assert limit == MEMORY_MIB
        assert abs(used - (int(now) - idle) / mib) < 16, "the daemon's own changes"
    else:
        assert (limit, processors, most_processes) == (100, "50000 100000", "50")
        assert abs(used - (int(now) - idle) / mib) < 1
        assert stats["PIDs"] == processes


# From here on, what is tested ends or spoils what it is tested on.


def test_allocation_beyond_the_pod_dies_in_the_pod_with_its_daemon(apart: Pod) -> None:
    """By systemd, as the node's kubelet has no singleProcessOOMKill; the daemon is started anew."""
    killed, (daemon, *_) = apart.killed(), apart.daemon().split()
    code, said = run(apart, _BEYOND_THE_POD)
    assert code != 0, said
    assert apart.killed() > killed
    assert apart.most_memory() <= MEMORY_MIB + WORKER_MEMORY_MIB
    apart.machine.shell(f"while [ -e /proc/{daemon} ]; do sleep 0.2; done", timeout=60)


def test_the_node_itself_never_ran_out_of_memory(node: Node) -> None:
    assert "constraint=CONSTRAINT_NONE" not in node.machine.shell("dmesg")


def test_the_nesting_script_of_the_image_divides_the_nodes_root(node: Node, upstream: Pod) -> None:
    """What the entrypoint of docker:dind does before dockerd: it takes the node's root for its own.

    It moves none of its processes as long as it sees none: they are 0 in a pod without hostPID, its own echo.
    """
    before = Root.of(node.machine)
    done = upstream.inside("docker", "sh", "/opt/airdock/dind", "true")
    assert done.code == 0, done.err
    assert Root.of(node.machine).children - before.children == {"init"}
    assert before.moved(node.machine) == {}
