"""What must hold at the end: nothing is false, lost or left, and no part grows."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts import tools
from scripts.check.cluster import run
from scripts.live import RELEASE, CommandError
from tests.e2e.own_release import OwnRelease

RETRIES = 4
#: A container grows if its last samples have this many times, and this many bytes, more than its first ones.
FACTOR, BYTES = 1.3, 64 << 20
#: Samples at either end that are compared, and the first minutes, in which a process fills its caches.
SAMPLES, WARM_UP = 5, 5


def words(run_id: str) -> str:
    """What the container of a run prints at its end."""
    return f"the end of {run_id}"


@dataclass
class Outcome:
    """The runs of one DAG."""

    runs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    most_tries: int = 0
    false: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def outcomes(release: OwnRelease, dag_ids: list[str]) -> dict[str, Outcome]:
    """Look at every run: a success without its result is false, a failure with tries left is lost."""
    found = {dag_id: Outcome() for dag_id in dag_ids}
    for dag_id, outcome in found.items():
        for run_id, state in release.runs(dag_id).items():
            (task,) = release.airflow.tasks(dag_id, run_id)
            outcome.runs += 1
            outcome.states[state] += 1
            outcome.most_tries = max(outcome.most_tries, task.try_number)
            if state == "success" and words(run_id) != str(release.airflow.xcom(task)).strip():
                outcome.false.append(run_id)
            if state != "success" and task.try_number <= RETRIES:
                outcome.lost.append(run_id)
    return found


class Memory:
    """The memory of each container, minute by minute, for as long as it lives."""

    def __init__(self, release: OwnRelease):
        self.release = release
        self.samples: dict[tuple[str, str], list[int]] = {}

    def sample(self) -> None:
        """Ask the kubelet."""
        started = {
            (pod["metadata"]["name"], status["name"]): status["restartCount"]
            for pod in self.release.pods()
            for status in (
                *pod["status"].get("initContainerStatuses", ()),
                *pod["status"].get("containerStatuses", ()),
            )
        }
        for node in self.release.target.items("nodes"):
            path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
            for pod in json.loads(self.release.target.kubectl("get", "--raw", path))["pods"]:
                for container in pod.get("containers", ()):
                    key = pod["podRef"]["name"], container["name"]
                    if pod["podRef"]["namespace"] == self.release.namespace and key in started:
                        used = container.get("memory", {}).get("rssBytes", 0)
                        life = (f"{key[0]} #{started[key]}", key[1])
                        self.samples.setdefault(life, []).append(used)

    def growing(self) -> Iterator[str]:
        """Give the containers whose memory is not flat."""
        for (pod, container), samples in self.samples.items():
            if len(samples) < WARM_UP + 2 * SAMPLES:
                continue
            first = statistics.median(samples[WARM_UP : WARM_UP + SAMPLES])
            last = statistics.median(samples[-SAMPLES:])
            if last > first * FACTOR and last - first > BYTES:
                yield f"{pod}/{container}: from {first / 2**20:.0f} to {last / 2**20:.0f} MiB"


def left(release: OwnRelease) -> list[str]:
    """Give pods, containers, Leases and volumes that belong to nobody."""
    target, tasks = release.target, f"{release.namespace}-{RELEASE}-tasks"
    found = [
        f"pod {pod['metadata']['name']}"
        for pod in target.items("pods", "-n", tasks)
        if pod["status"]["phase"] in ("Pending", "Running")
    ]
    workers = release.pods("worker")
    living = {f"airdock-gateway-{pod['metadata']['uid']}" for pod in workers}
    leases = (lease["metadata"]["name"] for lease in target.items("leases", "-n", tasks))
    found += [f"Lease {name}" for name in leases if name not in living]
    found += [
        f"PersistentVolume {volume['metadata']['name']}"
        for volume in target.items("persistentvolumes")
        if volume["status"]["phase"] in ("Released", "Failed")
        and volume["spec"]["claimRef"]["namespace"] == release.namespace
    ]
    for pod in workers:
        name = pod["metadata"]["name"]
        containers = {each["name"] for each in pod["spec"].get("initContainers", ())}
        if "docker-daemon" in containers:
            docker = ("exec", name, "-c", "docker-daemon", "--", "docker")
            for what in (("ps", "-q"), ("volume", "ls", "-q")):
                found += [f"{what[0]} {line} of {name}" for line in release.kubectl(*docker, *what).split()]
    try:
        words = ("ps", "-q", "--filter", "label=airdock.dev/gateway", "--filter", "label=airdock.dev/dag-id")
        found += [f"container {line}" for line in run([str(tools.path("docker")), *words]).split()]
    except CommandError:
        found.append("the node's Docker daemon does not answer")
    return found


def table(rows: list[tuple[Any, ...]], head: tuple[str, ...]) -> str:
    """Give rows under a head, in columns."""
    text = [tuple(map(str, row)) for row in (head, *rows)]
    widths = [max(len(row[column]) for row in text) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in text
    )


def report(
    results: Mapping[str, Outcome], hits: Mapping[str, Counter[str]], growing: list[str], orphans: list[str]
) -> int:
    """Print the table; 1 if something does not hold."""
    rows = [(name, hit["hit"], hit["missed"]) for name, hit in hits.items()]
    print(table(rows, ("fault", "hit", "missed")), end="\n\n")
    columns = ("DAG", "runs", "success", "failed after all tries", "most tries", "false", "lost")
    print(
        table(
            [
                (dag_id, each.runs, each.states["success"],
                 each.runs - each.states["success"] - len(each.lost), each.most_tries,
                 len(each.false), len(each.lost))
                for dag_id, each in results.items()
            ],
            columns,
        ),
        end="\n\n",
    )  # fmt: skip
    wrong = [f"false success: {dag_id} {run_id}" for dag_id, each in results.items() for run_id in each.false]
    wrong += [f"lost: {dag_id} {run_id}" for dag_id, each in results.items() for run_id in each.lost]
    wrong += [f"left: {each}" for each in orphans] + [f"grows: {each}" for each in growing]
    print("\n".join(wrong) or "No false success, no lost task, nothing left, no container grows.")
    return int(bool(wrong))
