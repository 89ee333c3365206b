"""The embedded database: dumped, deleted, and restored into the next major version of PostgreSQL.

By the commands of docs/databases.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from scripts.live import RELEASE, Target
from tests.e2e import next_postgres
from tests.e2e.conftest import wait_until
from tests.e2e.own_release import OwnRelease, commands, own_release

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-backup"
DAG_ID = "history"
DAG = f"""
from airflow.sdk import dag, task

@dag(schedule=None)
def {DAG_ID}():
    @task
    def remember():
        return "remembered"
    remember()
{DAG_ID}()
"""
VALUES = {
    "database": {"embedded": {"backup": {"enabled": True, "keep": 1, "claim": "airflow-backups"}}},
    "controlPlane": {"triggerer": {"replicas": 0}},
    "workers": {"default": {"dockerGateway": {"enabled": False}, "kubernetesOperators": False}},
}


@pytest.fixture(scope="module")
def release(target: Target) -> Iterator[OwnRelease]:
    """A release that backs its database up."""
    claim, _ = commands("databases.md", "Back up the embedded database")
    body = yaml.safe_load(claim.partition("\n")[2].rpartition("END")[0])
    body["metadata"]["namespace"] = NAMESPACE
    with own_release(target, NAMESPACE, VALUES, {"history.py": DAG}, body) as release:
        release.airflow.wait_for_dags([DAG_ID], 240)
        release.airflow.unpause(DAG_ID)
        yield release


def run(release: OwnRelease) -> str:
    run_id = release.airflow.trigger(DAG_ID)
    assert release.airflow.wait(DAG_ID, run_id, 240) == "success"
    return run_id


def psql(release: OwnRelease, query: str) -> str:
    command = ("psql", "--username=airflow", "-Atc", query)
    return release.kubectl("exec", f"{RELEASE}-postgres-0", "--", *command)


def major(release: OwnRelease) -> int:
    return int(psql(release, "show server_version").partition(".")[0])


def test_what_is_deleted_comes_back(release: OwnRelease) -> None:
    """The steps to the next major version of PostgreSQL, which are those of a lost claim, too."""
    next_postgres.push()
    assert major(release) < next_postgres.MAJOR
    _, dump = commands("databases.md", "Back up the embedded database")
    (restore,) = commands("databases.md", "Restore a dump")
    (delete,) = commands("databases.md", "The next major version of PostgreSQL")
    stop = restore[: restore.index("kubectl", 1)]
    run(release)
    first = release.shell(dump)
    kept = {run(release): "success", **release.runs(DAG_ID)}
    (task,) = release.airflow.tasks(DAG_ID, min(kept))
    release.kubectl("delete", "job", "backup-now")
    second = release.shell(dump)
    assert "Wrote airflow-" in second
    assert f"Removed {first.split('Wrote ')[1].split(',')[0]}." in second
    lost = run(release)
    assert release.runs(DAG_ID).keys() == {*kept, lost}

    release.shell(stop)
    release.shell(delete)
    release.upgrade({"images": {"postgres": next_postgres.IMAGE}})
    release.rolled()
    wait_until(lambda: DAG_ID in release.airflow.dags(), 120, "the DAG in an empty database")
    assert not release.runs(DAG_ID)
    assert major(release) == next_postgres.MAJOR

    assert "Restored airflow-" in release.shell(restore)
    release.rolled()
    assert release.runs(DAG_ID) == kept
    (again,) = release.airflow.tasks(DAG_ID, min(kept))
    assert again == task
    assert release.airflow.xcom(again) == "remembered"
    run(release)


def test_a_dump_that_cannot_be_read_changes_nothing(release: OwnRelease) -> None:
    before = release.runs(DAG_ID)
    (restore,) = commands("databases.md", "Restore a dump")
    create = restore[restore.index("kubectl", 1) : restore.index("kubectl --namespace airdock wait")]
    release.shell(create.replace("=latest", "=../etc/passwd").replace("job restore", "job broken"))
    release.kubectl("wait", "--for=condition=Failed", "--timeout=180s", "job/broken")
    log = release.kubectl("logs", "job/broken")
    assert "valid archive" in log
    assert release.runs(DAG_ID) == before
    assert "airflow" in psql(release, "select datname from pg_database").split()
