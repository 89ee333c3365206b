"""A rollback over a migration: the database is at a revision that the image does not know."""

from __future__ import annotations

import re

import pytest

from scripts.chart import versions
from scripts.live import NAMESPACE, CommandError
from tests.e2e.conftest import Release, wait_until

pytestmark = pytest.mark.touches("release")

UNKNOWN = "ffffffffffff"


def sql(release: Release, statement: str) -> str:
    """Run a statement in the embedded database and give its bare answer."""
    return release.inside(
        "airdock-postgres-0", "postgres", "psql", "--username=airflow", "--dbname=airflow", "-Atc", statement
    ).strip()


def test_an_unknown_revision_stops_the_rollout_and_says_how_to_go_on(release: Release) -> None:
    revision = sql(release, "select version_num from alembic_version")
    assert re.fullmatch(r"[0-9a-f]{12}", revision)
    tables = "select count(*) from information_schema.tables where table_schema = 'public'"
    counts = f"select ({tables}), (select count(*) from dag_run), (select count(*) from task_instance)"
    before = sql(release, counts)
    old = {pod["metadata"]["name"] for pod in release.staying("api-server")}
    release.target.kubectl(
        "exec", "airdock-postgres-0", "-n", NAMESPACE, "-c", "postgres", "--",
        "psql", "--username=airflow", "--dbname=airflow", "-c",
        f"update alembic_version set version_num = '{UNKNOWN}'",
    )  # fmt: skip
    try:
        release.target.kubectl("rollout", "restart", "deployment/airdock-api-server", "-n", NAMESPACE)

        def message() -> str:
            for pod in release.pods("api-server"):
                if pod["metadata"]["name"] in old:
                    continue
                try:
                    log = release.target.kubectl(
                        "logs", pod["metadata"]["name"], "-n", NAMESPACE, "-c", "migrate", "--tail=20"
                    )
                except CommandError:  # not started yet
                    continue
                if UNKNOWN in log:
                    return log
            return ""

        said = wait_until(message, 120, "the migrating container names the unknown revision")
        assert f"airflow db downgrade --to-version {versions.AIRFLOW}" in said
        assert "Nothing was changed" in said
        assert sql(release, counts) == before
        assert sql(release, "select version_num from alembic_version") == UNKNOWN
        # The old API server still serves: the rollout waits for the new one.
        still = {
            pod["metadata"]["name"]
            for pod in release.staying("api-server")
            if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"])
        }
        assert still == old
    finally:
        sql(release, f"update alembic_version set version_num = '{revision}'")
        # The kubelet's back-off may be minutes by now.
        for pod in release.pods("api-server"):
            if pod["metadata"]["name"] not in old:
                release.target.kubectl(
                    "delete", "pod", pod["metadata"]["name"], "-n", NAMESPACE, "--wait=false"
                )
        release.rolled("deployment/airdock-api-server")
    assert release.airflow.dags()
