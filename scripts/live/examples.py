"""The example DAGs: which queue runs which, how their tasks must end, and a run of all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from scripts.live.airflow_api import FINISHED, Airflow, ApiError, TaskInstance
from scripts.live.target import Group

#: DAG -> what a worker group must serve to run it. The DAG's id is this name, "_" and the group's queue.
EXAMPLES: Mapping[str, str] = {
    "weather_docker": "docker",
    "docker_url": "docker",
    "docker_registry": "docker",
    "docker_skips": "docker",
    "docker_fails": "docker",
    "weather_kubernetes": "kubernetes",
    "kubernetes_skips": "kubernetes",
    "kubernetes_fails": "kubernetes",
}

#: (DAG, task) -> the state in which the task must end, where that is not "success".
EXPECTED: Mapping[tuple[str, str], str] = {
    ("docker_skips", "nothing_to_do"): "skipped",
    ("docker_skips", "after"): "skipped",
    ("docker_fails", "exits_with_3"): "failed",
    ("docker_fails", "after"): "upstream_failed",
    ("kubernetes_skips", "nothing_to_do"): "skipped",
    ("kubernetes_skips", "after"): "skipped",
    ("kubernetes_fails", "exits_with_3"): "failed",
    ("kubernetes_fails", "after"): "upstream_failed",
}
#: What becomes of the pull where the release has no connection `example_registry`.
WITHOUT_REGISTRY = {("docker_registry", "pull"): "skipped"}


@dataclass(frozen=True)
class Result:
    """How one task of one example ended."""

    dag: str
    mode: str
    task: TaskInstance
    expected: str

    @property
    def right(self) -> bool:
        """Whether it ended as it should."""
        return self.task.state == self.expected


def ids(groups: Iterable[Group]) -> dict[str, tuple[str, Group]]:
    """Give the DAGs that a release with these worker groups has: DAG id -> (example, group)."""
    return {
        f"{name}_{group.queue}": (name, group)
        for name, what in EXAMPLES.items()
        for group in groups
        if what in group.serves
    }


def run_all(
    airflow: Airflow,
    groups: Collection[Group],
    *,
    registry: bool,
    only: str = "",
    at_once: bool = False,
    seconds: float = 900,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Result]:
    """Run every example in every mode that can run it and wait for the end of all.

    Args:
        airflow: the API.
        groups: the release's worker groups.
        registry: whether the release has the connection `example_registry`.
        only: the beginning of the names of the examples to run.
        at_once: start all at the same time; the seconds of a task then include those for which it waits.
        seconds: in which all must have ended.
        progress: gets a line when a DAG's run is over.

    Raises:
        ApiError: a DAG is missing, does not parse, or runs longer.
    """
    wanted = {dag_id: found for dag_id, found in ids(groups).items() if dag_id.startswith(only)}
    airflow.wait_for_dags(wanted)
    # By default one at a time in each group, so that the seconds of a task are its alone.
    waiting = {group: [dag_id for dag_id in wanted if wanted[dag_id][1] == group] for group in groups}
    runs: dict[str, str] = {}
    results: list[Result] = []
    deadline = time.monotonic() + seconds
    while runs or any(waiting.values()):
        for group, left in waiting.items():
            while left and (at_once or not any(wanted[dag_id][1] == group for dag_id in runs)):
                dag_id = left.pop(0)
                airflow.unpause(dag_id)
                runs[dag_id] = airflow.trigger(dag_id)
        for dag_id, run_id in list(runs.items()):
            if airflow.state(dag_id, run_id) in FINISHED:
                del runs[dag_id]
                name, group = wanted[dag_id]
                for task in airflow.tasks(dag_id, run_id):
                    results.append(Result(dag_id, group.mode, task, expected(name, task.task_id, registry)))
                progress(f"{dag_id} is done, {len(runs) + sum(map(len, waiting.values()))} to go")
        if runs and time.monotonic() > deadline:
            states = [
                f"{dag_id}: "
                + ", ".join(f"{task.name} {task.state}" for task in airflow.tasks(dag_id, run_id))
                for dag_id, run_id in runs.items()
            ]
            raise ApiError(f"Still running after {seconds:.0f} s: {'; '.join(states)}")
        time.sleep(max(0.5, len(runs) / 8))  # The API server has other work.
    return results


def expected(name: str, task_id: str, registry: bool) -> str:
    """Give the state in which a task must end."""
    if not registry and (name, task_id) in WITHOUT_REGISTRY:
        return WITHOUT_REGISTRY[name, task_id]
    return EXPECTED.get((name, task_id), "success")


def table(results: Collection[Result]) -> str:
    """Write the results as a table: DAG, task, mode, state, seconds from queued to done."""
    rows = [("DAG", "TASK", "MODE", "STATE", "SECONDS")]
    for result in sorted(results, key=lambda result: (result.mode, result.dag)):
        seconds = result.task.seconds
        state = f"{result.task.state}" + ("" if result.right else f"  <- should be {result.expected}")
        rows.append(
            (
                result.dag,
                result.task.name,
                result.mode,
                state,
                "-" if seconds is None else f"{seconds:.1f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row[:4], widths[:4], strict=True))
        + "  "
        + row[4].rjust(widths[4])
        for row in rows
    )
