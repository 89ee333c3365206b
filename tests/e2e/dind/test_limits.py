"""Mode dind: limits of tasks and of the daemon; what a task shares with its daemon and with others."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from tests.e2e.conftest import wait_until
from tests.e2e.dind.pods import (
    ALLOCATE,
    CONNECT,
    HOLD,
    IMAGE,
    PYTHON,
    DindPod,
)

SOCKET = "/run/airdock/docker.sock"


def daemons(pod: DindPod) -> set[tuple[str, int]]:
    """Give the name and the id of each process of the daemon."""
    found = pod.host("docker").process.filter()
    return {(each.comm, each.pid) for each in found if each.comm in ("dockerd", "containerd")}


def cgroups(pod: DindPod, process: str) -> dict[str, str]:
    """Give a process's cgroups, by controller; the process as the daemon's container sees it."""
    lines = pod.inside("docker", "cat", f"/proc/{process}/cgroup").splitlines()
    parts = [line.split(":", 2) for line in lines]
    return {controllers: path for _, controllers, path in parts if path != "/"}


# Limits


def test_containers_are_below_the_daemons_own_cgroup(pod: DindPod) -> None:
    task = pod.docker("run", "--detach", IMAGE, "sleep", "60").strip()
    try:
        process = pod.docker("inspect", "--format", "{{.State.Pid}}", task).strip()
        own, inner = cgroups(pod, "1"), cgroups(pod, process)
        assert own and own.keys() == inner.keys()
        for controller, path in own.items():
            below = f"{path.removesuffix('/init')}/containers/{task}"
            assert inner[controller] == below, controller
    finally:
        pod.docker("rm", "--force", task)


def test_a_tasks_own_limit_kills_the_task_alone(pod: DindPod) -> None:
    before = pod.docker("info", "--format", "{{.ID}}"), pod.restarts()
    pod.fails(
        "run", "--name", "limited", "--memory=64m", "--memory-swap=64m", PYTHON, "python", "-c", ALLOCATE
    )
    try:
        state = json.loads(pod.docker("inspect", "--format", "{{json .State}}", "limited"))
        assert (state["ExitCode"], state["OOMKilled"]) == (137, True)
    finally:
        pod.docker("rm", "limited")
    assert (pod.docker("info", "--format", "{{.ID}}"), pod.restarts()) == before


def test_a_task_beyond_the_pods_limit_dies_alone(pod: DindPod) -> None:
    """Without a limit of its own it takes what the container has, but for what is kept for the daemon."""
    before = daemons(pod), pod.restarts()
    pod.docker("run", "--detach", "--name", "neighbour", IMAGE, "sleep", "60")
    try:
        said = pod.fails("run", "--rm", PYTHON, "python", "-c", ALLOCATE)
        assert "137" in said, said
        assert pod.docker("inspect", "--format", "{{.State.Running}}", "neighbour").strip() == "true"
    finally:
        pod.docker("rm", "--force", "neighbour")
    assert (daemons(pod), pod.restarts()) == before


def test_cpu_is_bounded(pod: DindPod) -> None:
    """Two busy processes get the container's one CPU between them."""
    meter = ("cat", "/sys/fs/cgroup/cpuacct/cpuacct.usage")
    began, before = time.monotonic(), int(pod.inside("docker", *meter))
    busy = "for _ in 1 2; do timeout 5 sh -c 'while :; do :; done' & done; wait"
    pod.docker("run", "--rm", IMAGE, "sh", "-c", busy)
    used = (int(pod.inside("docker", *meter)) - before) / 1e9
    assert 1 < used < 1.1 * (time.monotonic() - began), used


def test_stats_tell_the_truth(pod: DindPod) -> None:
    """What docker stats says is what the kernel counts in the task's own cgroup."""
    given = ("--memory=64m", "--pids-limit=50")
    task = pod.docker("run", "--detach", "--rm", *given, PYTHON, "python", "-c", HOLD).strip()
    try:
        shown = wait_until(lambda: _shown(pod, task), 20, "memory in docker stats")
        counted = _counted(pod, task)
    finally:
        pod.docker("rm", "--force", task)
    assert shown.limit == counted.limit == 64
    assert 32 <= shown.memory < 64
    assert abs(shown.memory - counted.memory) < 1, (shown, counted)
    assert shown.processes == counted.processes


@dataclass(frozen=True)
class Stats:
    """What a task has: memory and its limit in MiB, processes."""

    memory: float
    limit: float
    processes: int


def _shown(pod: DindPod, task: str) -> Stats | None:
    """What `docker stats` says; None before the task has 32 MiB."""
    said = json.loads(pod.docker("stats", "--no-stream", "--format", "{{json .}}", task))
    used, limit = (float(part.strip().removesuffix("MiB")) for part in said["MemUsage"].split("/"))
    return Stats(used, limit, int(said["PIDs"])) if used >= 32 else None


def _counted(pod: DindPod, task: str) -> Stats:
    """What the kernel says of its cgroup (v1), without what it can drop at once: Docker leaves that out."""
    memory, pids = (f"/sys/fs/cgroup/{each}/containers/{task}" for each in ("memory", "pids"))
    files = [f"{memory}/memory.{name}" for name in ("limit_in_bytes", "usage_in_bytes", "stat")]
    said = pod.inside("docker", "cat", f"{pids}/pids.current", *files)
    processes, limit, used, *stat = said.splitlines()
    (idle,) = (int(line.split()[1]) for line in stat if line.startswith("total_inactive_file "))
    return Stats((int(used) - idle) / 2**20, int(limit) / 2**20, int(processes))


def test_nothing_listens_on_tcp(pod: DindPod) -> None:
    """Of all the pod's processes: they share its network."""
    listening = pod.host("docker").socket.get_listening_sockets()
    assert f"unix://{SOCKET}" in listening, "what listens is seen"
    assert [each for each in listening if each.startswith("tcp")] == []


def test_networks_have_the_pods_mtu(pod: DindPod) -> None:
    wanted = pod.host("worker").file("/sys/class/net/eth0/mtu").content_string.strip()
    pod.docker("network", "create", "own")
    try:
        for network in ("bridge", "own"):
            show = ("run", "--rm", f"--network={network}", IMAGE, "cat", "/sys/class/net/eth0/mtu")
            assert pod.docker(*show).strip() == wanted, network
    finally:
        pod.docker("network", "rm", "own")


def test_tasks_reach_dns_and_services(pod: DindPod) -> None:
    pod.docker("network", "create", "names")
    try:
        for network in ("bridge", "names"):
            run = ("run", "--rm", f"--network={network}", IMAGE)
            assert "Address" in pod.docker(*run, "nslookup", "kubernetes.default.svc.cluster.local")
            pod.docker("run", "--rm", f"--network={network}", PYTHON, "python", "-c", CONNECT)
    finally:
        pod.docker("network", "rm", "names")


def test_a_stopped_task_ends_at_once(pod: DindPod) -> None:
    """A shell that is PID 1 would not hear TERM, and be killed after 10 s."""
    pod.docker("run", "--detach", "--name", "deaf", IMAGE, "sleep", "600")
    began = time.monotonic()
    pod.docker("stop", "deaf")
    assert time.monotonic() - began < 8
    pod.docker("rm", "deaf")
