"""The Postgres image: as the chart runs it, an unprivileged user on a read-only root."""

from __future__ import annotations

import signal

import pytest

from tests.images.conftest import Run
from tests.images.container import Container
from tests.images.processes import own_address, serving, stop
from tests.support.ports import free_port

DATA = "/var/lib/postgresql/data"
WRITABLE = ("/tmp", "/var/run/postgresql", DATA)
POSTGRES = (999, 999)


def postgres(container: Run, user: tuple[int, int] = POSTGRES, **env: str) -> Container:
    return container(
        "postgres",
        user=user,
        writable=WRITABLE,
        env={"PGDATA": f"{DATA}/pgdata", "PGPORT": "5432"} | env,
        files={
            "/docker-entrypoint-initdb.d/1.sql": "CREATE TABLE one AS SELECT 'ärger'::text AS word;",
            "/docker-entrypoint-initdb.d/2.sh": "#!/bin/sh\n"
            "psql -U $POSTGRES_USER -d $POSTGRES_DB -c 'CREATE TABLE two ()'",
            "/run/secret": "from a file\n",
        },
    )


def ask(container: Run, port: int, password: str, question: str, user: str = "airflow") -> tuple[int, str]:
    client = container("postgres", user=(999, 999), env={"PGPASSWORD": password})
    # Postgres trusts the loopback, in the official image, too.
    arguments = ["--host", own_address(), "--port", str(port), "--username", user, "--dbname", "work"]
    return client.run(*arguments, "--tuples-only", "--no-align", "--command", question, entrypoint=["psql"])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.mark.parametrize("user", [POSTGRES, (1000680000, 0)], ids=["postgres", "a uid of OpenShift"])
def test_first_start(container: Run, port: int, user: tuple[int, int]) -> None:
    env = {"POSTGRES_USER": "airflow", "POSTGRES_DB": "work", "POSTGRES_PASSWORD_FILE": "/run/secret"}
    image = postgres(container, user, POSTGRES_INITDB_ARGS="--encoding=UTF8 --data-checksums", **env)
    with serving(image, port, "postgres", "-p", str(port)) as server:
        assert ask(container, port, "wrong", "SELECT 1")[0] != 0
        facts = "SHOW server_encoding; SHOW data_checksums; SHOW listen_addresses"
        facts += "; SELECT word FROM one; SELECT count(*) FROM two"
        code, said = ask(container, port, "from a file", facts)
        assert (code, said.split()) == (0, ["UTF8", "on", "*", "ärger", "0"])
        assert ask(
            container, port, "from a file", "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        ) == (0, "t\n")
        code, said = stop(server, signal.SIGINT)
        assert code == 0, said
        assert "database system is shut down" in said
        assert "from a file" not in said


def test_locale_makes_utf8(container: Run, port: int) -> None:
    image = postgres(container, POSTGRES_PASSWORD="secret", POSTGRES_USER="airflow", POSTGRES_DB="work")
    with serving(image, port, "-p", str(port)):
        assert ask(container, port, "secret", "SHOW server_encoding; SHOW lc_messages")[1].split() == [
            "UTF8",
            "en_US.utf8",
        ]


def test_no_password(container: Run) -> None:
    code, said = postgres(container).run("postgres")
    assert code == 1
    assert "POSTGRES_PASSWORD" in said


def test_password_given_twice(container: Run) -> None:
    code, said = postgres(container, POSTGRES_PASSWORD="a", POSTGRES_PASSWORD_FILE="/run/secret").run(
        "postgres"
    )
    assert code == 1
    assert "POSTGRES_PASSWORD_FILE" in said


def test_any_command(container: Run) -> None:
    assert postgres(container).run("sh", "-c", "echo $PG_MAJOR") == (0, "17\n")
