"""Airflow's own system DAGs, unmodified, in each mode that serves them: they succeed, or are listed.

docs/migrating.md is the list. A task that it does not list must succeed; one that it lists must fail, and its
log must have the text that the list has.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from scripts.live import FINISHED, Airflow, ApiError, TaskInstance
from scripts.overlays.definitions import merged
from tests.e2e.conftest import Release, install, wait_until
from tests.e2e.system_dags import administrator, images, sources
from tests.support.differences import SYSTEM_DAGS, rows
from tests.support.paths import ROOT

pytestmark = pytest.mark.touches("release")

#: For all DAGs together.
SECONDS = 300
#: Of a task that follows a failed one.
SKIPPED = "upstream_failed"
HELPER = "tests_common.py"


@dataclass(frozen=True)
class Ended:
    """How one task ended.

    Attributes:
        file: the name of its DAG file, as in the provider's package.
        mode: of the worker group.
        task: its last state, from the API.
        about: Airflow's description of the task (trigger_rule, downstream_task_ids).
        log: of its last try; only if it failed.
    """

    file: str
    mode: str
    task: TaskInstance
    about: dict[str, Any]
    log: str

    @property
    def key(self) -> tuple[str, str, str]:
        """File, task and mode, as the list has them."""
        return self.file, self.task.task_id, self.mode


def listed() -> dict[tuple[str, str, str], str]:
    """Give the page's table: (file, task, mode) -> what the failed task's log says."""
    found = {}
    for file, task, modes, text, _reason in rows(SYSTEM_DAGS):
        for mode in modes.split(", "):
            found[file.strip("`"), task.strip("`"), mode] = text.strip("`")
    return found


def copies(release: Release) -> dict[str, tuple[str, str, str]]:
    """Give each DAG file of the release: its name there -> (name in the package, text, mode).

    The Kubernetes provider's DAGs and one copy of the Docker provider's stay as they are: the release's
    routing sends them to the group of the default queue. Further copies are for the other groups.
    """
    found = {
        name: (name, text, "kubernetes")
        for provider in sources.FOLDERS
        for name, text in sources.system_dags(provider).items()
    }
    docker = {name: text for name, text in sources.system_dags("docker").items() if name.endswith(".py")}
    for group in release.serving("docker"):
        if group.mode != "kubernetes":
            for name, text in docker.items():
                found[f"{group.queue}__{name}"] = (name, text, group.mode)
    return found


def files(release: Release) -> dict[str, str | bytes]:
    """Give what the DAG folder gets."""
    helper = (ROOT / "tests/e2e/system_dags" / HELPER).read_text()
    texts = {name: text for name, (_, text, _) in copies(release).items()}
    return {**texts, HELPER: helper, **sources.wheels()}


def by_file(airflow: Airflow) -> dict[str, str]:
    """Give the DAG of each file: file name -> DAG id."""
    return {dag["relative_fileloc"]: dag_id for dag_id, dag in airflow.dags().items()}


def start(airflow: Airflow, ids: Set[str]) -> dict[str, str]:
    """Have DAGs run once, by their schedule if they have one: DAG id -> the run's id."""
    summaries = {dag_id: dag["timetable_summary"] for dag_id, dag in airflow.dags().items()}
    runs = {}
    for dag_id in ids:
        airflow.unpause(dag_id)
        if summaries[dag_id] is None:
            runs[dag_id] = airflow.trigger(dag_id)

    def scheduled(dag_id: str) -> str:
        found = airflow.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"]
        return str(found[0]["dag_run_id"]) if found else ""

    for dag_id in ids - runs.keys():
        what = f"a run of {dag_id} by its schedule"
        runs[dag_id] = wait_until(partial(scheduled, dag_id), 60, what)
    return runs


def run_all(airflow: Airflow, found: dict[str, tuple[str, str, str]]) -> list[Ended]:
    """Run all DAGs at once and give how each task ended."""
    wanted = {name for name in found if name.endswith(".py")}
    wait_until(lambda: wanted <= by_file(airflow).keys(), 240, lambda: missing(airflow, wanted))
    place = {dag_id: found[name] for name, dag_id in by_file(airflow).items() if name in wanted}
    runs = start(airflow, place.keys())
    ended, deadline = [], time.monotonic() + SECONDS
    while runs:
        for dag_id, run_id in list(runs.items()):
            if airflow.state(dag_id, run_id) not in FINISHED and time.monotonic() < deadline:
                continue
            del runs[dag_id]
            described = airflow.call("GET", f"/dags/{dag_id}/tasks")["tasks"]
            about = {each["task_id"]: each for each in described}
            for task in airflow.tasks(dag_id, run_id):
                log = airflow.log(task) if task.try_number and task.state != "success" else ""
                file, _, mode = place[dag_id]
                ended.append(Ended(file, mode, task, about[task.task_id], log))
        time.sleep(1)
    return ended


def missing(airflow: Airflow, wanted: set[str]) -> str:
    """Say which DAG files are not there, and which do not parse."""
    return f"{sorted(wanted - by_file(airflow).keys())} parsed; {airflow.import_errors()}"


@pytest.fixture(scope="module")
def ended(dags: Release) -> Iterator[list[Ended]]:
    """How each task of each system DAG ended."""
    target = dags.target
    if not target.native:
        pytest.skip("the images of the system DAGs are tags in the native cluster's registry")
    found, content = copies(dags), files(dags)
    assert not images.unknown([text for name, (_, text, _) in found.items() if name.endswith(".py")]), (
        "images that nothing here stands for"
    )
    images.push()
    with contextlib.ExitStack() as stack:
        stack.enter_context(images.mirrored())
        stack.enter_context(administrator.prepared(target))
        stack.callback(install, target, dict(dags.values))
        install(target, merged(dags.values, administrator.VALUES))
        # The processor of the release as it was would give all copies of a DAG the same id.
        stack.callback(forget, dags, content)
        administrator.put_files(target, content)
        arrive(dags, content.keys())
        yield run_all(dags.airflow, found)


def arrive(release: Release, names: Set[str]) -> None:
    """Wait until the files are in the pods that read them: else a task may start where its DAG is not."""
    release.poke()

    def there(pod: str, component: str) -> bool:
        return names <= set(release.inside(pod, component, "ls", administrator.DAGS_PATH).split())

    for component in ("worker", "triggerer", "dag-processor"):
        for pod in release.staying(component):
            name = pod["metadata"]["name"]
            if pod["status"]["phase"] == "Running":
                wait_until(partial(there, name, component), 90, f"DAG files in {name}")


def forget(release: Release, content: dict[str, str | bytes]) -> None:
    """Take the files and their DAGs away, so that one with schedule @once can run again."""
    ids = by_file(release.airflow)
    administrator.remove_files(release.target, content)
    for name in content.keys() & ids.keys():
        with contextlib.suppress(ApiError):
            release.airflow.call("DELETE", f"/dags/{ids[name]}")


def expected(ended: list[Ended], fails: set[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """Give the state in which each task must end, if exactly the tasks of `fails` fail by themselves."""
    by_key = {each.key: each for each in ended}

    def state(key: tuple[str, str, str]) -> str:
        file, task, mode = key
        above = [
            state(other)
            for other, each in by_key.items()
            if (other[0], other[2]) == (file, mode) and task in each.about["downstream_task_ids"]
        ]
        failed = {"failed", SKIPPED} & set(above)
        rule = by_key[key].about["trigger_rule"]
        if rule == "one_failed":
            return "failed" if failed else "skipped"
        if rule == "all_success" and failed:
            return SKIPPED
        return "failed" if key in fails else "success"

    return {key: state(key) for key in by_key}


def test_every_listed_task_is_there(ended: list[Ended]) -> None:
    assert listed().keys() <= {each.key for each in ended}


@pytest.mark.parametrize("mode", ["kubernetes", "dind", "socket"])
def test_they_succeed_or_are_listed(ended: list[Ended], mode: str) -> None:
    mine, list_ = [each for each in ended if each.mode == mode], listed()
    if not mine:
        pytest.skip(f"the release has no worker group of mode {mode}")
    states = expected(mine, set(list_))
    wrong = [
        f"{each.file} {each.task.task_id}: {each.task.state}, not {states[each.key]}: {each.log[-1500:]}"
        for each in mine
        if each.task.state != states[each.key]
    ]
    wrong += [
        f"{each.file} {each.task.task_id}: its log does not say {list_[each.key]!r}: {each.log[-1500:]}"
        for each in mine
        if each.task.state == states[each.key] == "failed" and list_.get(each.key, "") not in each.log
    ]
    assert not wrong, "\n\n".join(wrong)
