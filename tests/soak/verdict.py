"""What must hold at the end: nothing is false, lost or left, and no part grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts import tools
from scripts.check.cluster import run
from scripts.cluster import DOCKER_SOCKET
from scripts.lint.report import columns
from scripts.live import RELEASE, ApiError
from scripts.live.airflow_api import FINISHED
from tests.e2e.own_release import OwnRelease
from tests.soak.memory import HEAD, Memory

RETRIES = 4
#: Lines of the log of a run that is wrong.
LINES = 12
OWNER, DAG = "airdock.dev/gateway", "airdock.dev/dag-id"


def words(run_id: str) -> str:
    """Give what the container of a run prints at its end."""
    return f"the end of {run_id}"


@dataclass
class Outcome:
    """The runs of one DAG."""

    states: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    most_tries: int = 0
    spent: int = 0
    false: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def outcomes(release: OwnRelease, dag_ids: Sequence[str]) -> dict[str, Outcome]:
    """Look at every run: a success without its result is false, a failure with tries left is lost."""
    found = {dag_id: Outcome() for dag_id in dag_ids}
    for dag_id, outcome in found.items():
        for run_id, state in release.runs(dag_id).items():
            outcome.states[state if state in FINISHED else "open"] += 1
            # A run that was never begun has none.
            task = next(iter(release.airflow.tasks(dag_id, run_id)), None)
            if task is None:
                outcome.lost.append(run_id)
                continue
            outcome.retried += task.try_number > 1
            outcome.most_tries = max(outcome.most_tries, task.try_number)
            if state == "failed" and task.try_number > RETRIES:
                outcome.spent += 1
            elif state != "success":
                outcome.lost.append(run_id)
            elif result(release, task) != words(run_id):
                outcome.false.append(run_id)
    return found


def result(release: OwnRelease, task: Any) -> str:
    """Give what a task has returned."""
    try:
        return str(release.airflow.xcom(task)).strip()
    except ApiError:
        return ""


def tail(release: OwnRelease, dag_id: str, run_id: str) -> str:
    """Give the state of a run's task and the end of the log of its last try."""
    task = next(iter(release.airflow.tasks(dag_id, run_id)), None)
    if task is None:
        return "  it has no task"
    try:
        lines = release.airflow.log(task).splitlines()[-LINES:]
    except ApiError as error:
        lines = [str(error)]
    return "\n    ".join((f"  state {task.state}, try {task.try_number}:", *lines))


def left(release: OwnRelease) -> list[str]:
    """Give pods, containers, Leases and volumes that belong to nobody."""
    target, tasks = release.target, f"{release.namespace}-{RELEASE}-tasks"
    pods = target.items("pods", "-A", "--field-selector=status.phase!=Failed,status.phase!=Succeeded")
    living = {pod["metadata"]["uid"] for pod in pods}
    found = [
        f"pod {pod['metadata']['name']}"
        for pod in target.items("pods", "-n", tasks)
        if pod["status"]["phase"] in ("Pending", "Running")
    ]
    leases = (lease["metadata"]["name"] for lease in target.items("leases", "-n", tasks))
    found += [f"Lease {name}" for name in leases if name.removeprefix("airdock-gateway-") not in living]
    found += [
        f"PersistentVolume {volume['metadata']['name']}"
        for volume in target.items("persistentvolumes")
        if volume["status"]["phase"] in ("Released", "Failed")
        and volume["spec"]["claimRef"]["namespace"] == release.namespace
    ]
    for pod in release.pods("worker"):
        if pod["metadata"]["labels"]["airdock.dev/worker-group"] == "dind":
            name = pod["metadata"]["name"]
            if pod["status"]["phase"] == "Running":
                docker = ("exec", name, "-c", "docker", "--", "docker")
                for command in (("ps", "-q"), ("volume", "ls", "-q")):
                    lines = release.kubectl(*docker, *command).split()
                    found += [f"{name}: {' '.join(command)}: {line}" for line in lines]
    return found + left_on_node(living)


def left_on_node(living: set[str]) -> list[str]:
    """Give what the node's Docker daemon has of DAGs that have ended, and of gateways that have."""
    docker = [str(tools.path("docker")), f"--host=unix://{DOCKER_SOCKET}"]
    labels = f'{{{{.Label "{DAG}"}}}} {{{{.ID}}}}'
    containers = run([*docker, "ps", f"--filter=label={DAG}", f"--format={labels}"]).splitlines()
    volumes = run([*docker, "volume", "ls", f"--filter=label={OWNER}", "--format={{.Name}}"]).split()
    return [
        *(f"container {line}" for line in containers if line.startswith("soak_")),
        *(f"volume {name}" for name in volumes if name.removeprefix("airdock-gateway-") not in living),
    ]


def table(head: Sequence[str], rows: list[tuple[Any, ...]]) -> str:
    """Give rows under a head, in columns."""
    text = [tuple(map(str, row)) for row in (head, *rows)]
    return "\n".join(columns(text)) + "\n"


def report(
    release: OwnRelease,
    results: Mapping[str, Outcome],
    hits: Mapping[str, Counter[str]],
    memory: Memory,
    orphans: list[str],
) -> int:
    """Print the tables; 1 if something does not hold."""
    print(
        table(("fault", "hit", "missed"), [(name, hit["hit"], hit["missed"]) for name, hit in hits.items()])
    )
    runs = [
        (
            *(dag_id, each.states.total(), each.states["success"], each.retried, each.most_tries),
            *(each.spent, len(each.false), len(each.lost)),
        )
        for dag_id, each in results.items()
    ]
    head = "DAG", "runs", "success", "retried", "most tries", "failed after all tries", "false", "lost"
    print(table(head, runs))
    print(table(HEAD, list(memory.rows())))
    wrong = [
        f"{what}: {dag_id} {run_id}\n{tail(release, dag_id, run_id)}"
        for dag_id, each in results.items()
        for what, run_ids in (("false success", each.false), ("lost", each.lost))
        for run_id in run_ids
    ]
    wrong += [f"left: {each}" for each in orphans]
    wrong += [f"grows: {life.part}" for life in memory.lives.values() if life.grows]
    wrong += [] if any(each.states["success"] for each in results.values()) else ["no run has succeeded"]
    print("\n".join(wrong) or "No false success, no lost task, nothing left, no container grows.")
    return int(bool(wrong))
