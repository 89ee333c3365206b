"""Brings Airflow's database to this image's revision (`migrate`), or waits until it is there (`wait`).

`clean DAYS [OPTION...]` removes old rows, with options of `airflow db clean`.

A database that a newer Airflow has migrated is left alone: Airflow's own migration fails on a revision
that it does not know, without saying what to do.
"""

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy

TIMEOUT_SECONDS = 600
REVISION = re.compile(r"""^revision(?:\s*:\s*str)?\s*=\s*["'](\w+)["']""", re.MULTILINE)
# Table that holds the revision -> package whose migrations/versions define the known ones.
MIGRATIONS = {"alembic_version": "airflow", "alembic_version_fab": "airflow.providers.fab"}


def connect() -> sqlalchemy.Connection:
    """A connection to the metadata database, waited for; exits when none comes within TIMEOUT_SECONDS."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    if url.startswith("postgres://"):
        sys.exit("The database's URL begins with postgres://. SQLAlchemy needs postgresql://")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            return engine.connect()
        except sqlalchemy.exc.OperationalError as error:
            # str(error) would end with SQLAlchemy's own hints; the driver's words are the ones that help.
            reason = str(error.orig).strip()
            if "could not translate host name" in reason:
                reason += " (networkPolicy.dns lists the DNS servers that pods may use)"
            if "certificate verify failed" in reason:
                sys.exit(f"The database's certificate is not from the CA of database.tls.ca: {reason}")
            if time.monotonic() > deadline:
                sys.exit(f"The database does not answer after {TIMEOUT_SECONDS} s: {reason}")
            print(f"Waiting for the database: {reason}", flush=True)
            time.sleep(2)


def known_revisions(package: str) -> set[str]:
    """The revisions that this image's migrations define."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return set()
    versions = Path(spec.submodule_search_locations[0]) / "migrations" / "versions"
    return {match for file in versions.glob("*.py") for match in REVISION.findall(file.read_text())}


def unknown_revision(connection: sqlalchemy.Connection) -> str | None:
    """A sentence about the first revision that this image does not know, or None."""
    version = sqlalchemy.column("version_num")
    tables = sqlalchemy.inspect(connection).get_table_names()
    for table, package in MIGRATIONS.items():
        if table not in tables:
            continue
        known = known_revisions(package)
        query = sqlalchemy.select(version).select_from(sqlalchemy.table(table))
        for revision in connection.execute(query).scalars():
            if known and revision not in known:
                return f"The database is at revision {revision} of {package}, which this image does not know"
    return None


def take_turn() -> sqlalchemy.Connection:
    """A connection with a lock that one api-server has at a time, as long as it is open.

    Airflow's own lock would do, but those that wait for it keep two connections each. PgBouncer has few for
    migrations, and the one that migrates could get no more.
    """
    while True:
        connection = connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.execute(sqlalchemy.text("SELECT pg_try_advisory_lock(7214056)")).scalar():
            return connection
        connection.close()
        print("Waiting for another api-server, which migrates the database", flush=True)
        time.sleep(2)


def migrate() -> None:
    """Runs `airflow db migrate`, then sets the pools; exits with the way out if the database is ahead."""
    _turn = take_turn() if os.environ.get("AIRDOCK_MIGRATE_IN_TURN") else None
    with connect() as connection:
        problem = unknown_revision(connection)
    if problem:
        version = os.environ.get("AIRFLOW_VERSION") or importlib.metadata.version("apache-airflow")
        sys.exit(
            f"{problem}: a newer Airflow has migrated it. Nothing was changed.\n"
            "Either go back to the newer image, or downgrade with it first, from one of its pods:\n"
            f"  airflow db downgrade --to-version {version} --yes\n"
            "and then roll back again."
        )
    done = subprocess.run(["airflow", "db", "migrate"])
    if done.returncode == 0 and os.environ.get("AIRDOCK_POOLS"):
        set_pools(json.loads(os.environ["AIRDOCK_POOLS"]))
    sys.exit(done.returncode)


def set_pools(pools: dict[str, dict[str, Any]]) -> None:
    """Creates or changes pools in the database.

    Args:
        pools: `airflow.pools` of the values, by name: slots, description and includeDeferred.
    """
    from airflow.models.pool import Pool

    for name, pool in pools.items():
        Pool.create_or_update_pool(
            name=name,
            slots=int(pool["slots"]),
            description=pool.get("description", ""),
            include_deferred=pool.get("includeDeferred", False),
        )
        print(f"Set the pool {name}: {int(pool['slots'])} slots.", flush=True)


def wait() -> None:
    """Runs `airflow db check-migrations`, in place of this process, once the database answers."""
    connect().close()
    command = ["airflow", "db", "check-migrations", "--migration-wait-timeout", str(TIMEOUT_SECONDS)]
    os.execvp("airflow", command)  # noqa: S606


def clean() -> None:
    """Runs `airflow db clean`, in place of this process, for rows that are older than DAYS."""
    with connect() as connection:
        problem = unknown_revision(connection)
    if problem:
        sys.exit(f"{problem}. Nothing was removed.")
    from airflow.cli import cli_config

    days, *options = sys.argv[2:]
    before = datetime.now(UTC) - timedelta(days=int(days))
    # Older versions of Airflow have no such option.
    if hasattr(cli_config, "ARG_DB_ERROR_ON_CLEANUP_FAILURE"):
        options.append("--error-on-cleanup-failure")
    command = ["airflow", "db", "clean", "--yes", "--skip-archive"]
    os.execvp("airflow", [*command, "--clean-before-timestamp", before.isoformat(), *options])  # noqa: S606


if __name__ == "__main__":
    {"migrate": migrate, "wait": wait, "clean": clean}[sys.argv[1]]()
