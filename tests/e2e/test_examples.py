"""The example DAGs in every mode that the cluster can serve: states, values and logs, by Airflow's API."""

from __future__ import annotations

import pytest

from scripts.live import examples
from scripts.live.examples import Result
from tests.e2e.conftest import Release

FALLBACK = "Falling back to `mount_tmp_dir=False`"


@pytest.fixture(scope="module")
def results(release: Release) -> list[Result]:
    """One run of all examples."""
    registry = "example_registry" in release.values["airflow"].get("connections", {})
    return examples.run_all(release.airflow, release.groups, registry=registry, at_once=True)


def of(results: list[Result], dag: str, task: str) -> list[Result]:
    """Every run of one task, over modes and map indices."""
    found = [result for result in results if result.dag.startswith(f"{dag}_") and result.task.task_id == task]
    if not found:
        pytest.skip(f"no mode of this cluster runs {dag}")
    return found


def test_every_task_ends_as_it_should(results: list[Result]) -> None:
    wrong = [
        f"{r.dag}.{r.task.name}: {r.task.state}, not {r.expected}"
        for r in results
        if r.task.state != r.expected
    ]
    assert not wrong
    assert {result.dag for result in results}


def test_every_mode_ran_something(release: Release, results: list[Result]) -> None:
    assert {result.mode for result in results} == {group.mode for group in release.groups}


def test_queue_decides_where_a_task_runs(release: Release, results: list[Result]) -> None:
    addresses = {
        pod["status"]["podIP"]: pod["metadata"]["labels"]["airdock.dev/worker-group"]
        for pod in release.pods("worker")
    }
    groups = {
        (result.task.queue, addresses.get(result.task.hostname or ""))
        for result in results
        if result.task.seconds
    }
    assert groups == {(group.queue, group.name) for group in release.groups}


def test_a_mapped_task_ran_once_per_element(release: Release, results: list[Result]) -> None:
    for group in release.serving("docker"):
        instances = [
            result.task.map_index
            for result in of(results, "weather_docker", "rain")
            if result.dag.endswith(f"_{group.queue}")
        ]
        assert sorted(instances) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("dag", "task", "value"),
    [
        ("weather_docker", "defaults", "2014"),
        ("weather_docker", "report", {"Q1": 489.2, "Q2": 204.9, "Q3": 122.3, "Q4": 416.4}),
        ("weather_docker", "wettest", {"quarter": "Q1", "mm": 489.2}),
        ("docker_url", "plain", "plain"),
        ("docker_url", "first_that_answers", "list"),
        ("weather_kubernetes", "summer", {"day": "2014/08/11", "celsius": 35.6}),
        ("weather_kubernetes", "spring", {"day": "2014/05/01", "celsius": 29.4}),
    ],
)
def test_values_come_back(
    release: Release, results: list[Result], dag: str, task: str, value: object
) -> None:
    for result in of(results, dag, task):
        assert release.airflow.xcom(result.task) == value, result.dag


@pytest.mark.parametrize(
    ("dag", "task", "line"),
    [
        ("weather_docker", "rain", "489.2"),
        ("docker_url", "mapped", "one"),
        ("docker_fails", "exits_with_3", "so long"),
        ("docker_skips", "nothing_to_do", "Skipping"),
        ("weather_kubernetes", "mapped", "two"),
        ("kubernetes_fails", "exits_with_3", "so long"),
        ("kubernetes_skips", "nothing_to_do", "Skipping task"),
    ],
)
def test_logs_are_readable(release: Release, results: list[Result], dag: str, task: str, line: str) -> None:
    logs = [release.airflow.log(result.task) for result in of(results, dag, task)]
    for mode in {result.mode for result in of(results, dag, task)}:
        mine = [log for log, result in zip(logs, of(results, dag, task), strict=True) if result.mode == mode]
        assert any(line in log for log in mine), mine


def test_the_temporary_directory_is_mounted_at_the_first_try(release: Release, results: list[Result]) -> None:
    """DockerOperator's default mount_tmp_dir=True: no second try without it in any task."""
    for task in ("defaults", "rain", "report", "wettest"):
        for result in of(results, "weather_docker", task):
            assert FALLBACK not in release.airflow.log(result.task), result.dag


def test_no_file_is_parsed_twice_and_all_parse(release: Release, results: list[Result]) -> None:
    """The ConfigMap's ..data links are ignored: each DAG comes from the file that a user sees."""
    assert release.airflow.import_errors() == {}
    files = {dag["fileloc"] for dag in release.airflow.dags().values()}
    assert files
    assert not [name for name in files if "/.." in name]
