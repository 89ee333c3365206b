"""What docs/security.md says that nothing stops: shown here, so that the page stays true."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Release
from tests.e2e.test_dag_code import found, searched
from tests.support.attacks import AUTHOR, PROCESSOR

#: The environment of a process in the container.
READ = "import sys; sys.stdout.write(open('/proc/self/environ').read().replace(chr(0), chr(10)))"


__all__ = ["searched"]


@pytest.mark.attack(actor=PROCESSOR, finding=(8,), by_design="all Airflow connections and variables")
def test_connections_and_variables(searched: Release) -> None:
    """Airflow's own interface gives them to every DAG file, task and trigger."""
    assert found(searched, "dag-processor")["values"] == ["a variable", "a password"]


@pytest.mark.attack(actor=AUTHOR, finding=(8,))
def test_a_workers_code_has_neither(release: Release) -> None:
    (pod, *_) = release.staying("worker")
    found = release.inside(pod["metadata"]["name"], "worker", "python", "-c", READ)
    assert "SQL_ALCHEMY_CONN" not in found
    assert "FERNET_KEY" not in found


@pytest.mark.attack(
    actor=AUTHOR,
    finding=(8,),
    by_design="the broker's URL and the API secret key",
)
def test_a_workers_code_has_these(release: Release) -> None:
    """The worker's main process uses them, and the task is its grandchild."""
    (pod, *_) = release.staying("worker")
    found = release.inside(pod["metadata"]["name"], "worker", "python", "-c", READ)
    assert "AIRFLOW__CELERY__BROKER_URL=" in found
    assert "AIRFLOW__API__SECRET_KEY=" in found
