"""A deferred pod's result reaches the task also if the first try is lost: two faults of the provider."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Release


@pytest.mark.parametrize("dag_id", ["deferred_again", "deferred_without_pod"])
def test_the_second_try_has_the_result(dags: Release, dag_id: str) -> None:
    if not dags.serving("kubernetes"):
        pytest.skip("no worker group serves the Kubernetes operators")
    airflow = dags.airflow
    airflow.wait_for_dags([dag_id], 240)
    airflow.unpause(dag_id)
    run_id = airflow.trigger(dag_id)
    assert airflow.wait(dag_id, run_id, 240) == "success"
    (task,) = airflow.tasks(dag_id, run_id)
    assert task.try_number == 2
    assert airflow.xcom(task) == "the result"
