"""PgBouncer with the configuration that the chart's program writes, before a real PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.images.conftest import Run
from tests.images.container import Container
from tests.images.processes import own_address, serving, stop
from tests.support.paths import FILES
from tests.support.ports import free_port
from tests.support.waiting import wait_until

DATA = "/var/lib/postgresql/data"
#: What a URL, a shell, PgBouncer's two files and SQL would change.
PASSWORD = "p@/%:$(HOME)$$ w'\"%2F?#;"
CLIENT = "c\"l'i ent"
LIMIT, SIZE = 20, 6


@dataclass(frozen=True)
class Servers:
    """PostgreSQL of LIMIT connections, and PgBouncer before it."""

    container: Run
    port: int
    pooler_port: int
    pooler: subprocess.Popen[str]

    def psql(self, pooler: str = "", password: str = "") -> Container:
        """Give psql, connected to the database, or to one of the pooler."""
        env = {
            "PGHOST": own_address(),
            "PGPORT": str(self.pooler_port if pooler else self.port),
            "PGUSER": "airflow" if pooler else "app",
            "PGPASSWORD": password or (CLIENT if pooler else PASSWORD),
            "PGDATABASE": pooler or "flow",
        }
        return self.container("postgres", user=(999, 999), env=env)

    def ask(self, statement: str, pooler: str = "", password: str = "") -> tuple[int, str]:
        """Run statements in one session; the exit code and what was printed."""
        words = ("--no-psqlrc", "--tuples-only", "--no-align", "--quiet")
        commands = [word for line in statement.split(";;") for word in ("--command", line)]
        return self.psql(pooler=pooler, password=password).run(*words, *commands, entrypoint=["psql"])

    def together(self, count: int, pooler: str = "", seconds: int = 2) -> list[str]:
        """Run as many clients at the same time; give their lines."""
        one = f"psql --tuples-only --no-align --quiet --command \"SELECT 'slept' FROM pg_sleep({seconds})\""
        script = f"for n in $(seq {count}); do {one} 2>&1 & done; wait"
        return self.psql(pooler=pooler).run("-c", script, entrypoint=["sh"])[1].splitlines()


@pytest.fixture(scope="module")
def servers(container: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    port, pooler_port = free_port(), free_port()
    database = container(
        "postgres",
        user=(999, 999),
        writable=("/tmp", "/var/run/postgresql", DATA),
        env={
            "PGDATA": f"{DATA}/pgdata",
            "POSTGRES_USER": "app",
            "POSTGRES_DB": "flow",
            "POSTGRES_PASSWORD": PASSWORD,
        },
    )
    directory = tmp_path_factory.mktemp("pgbouncer")
    settings = {
        "listen_port": pooler_port,
        "default_pool_size": SIZE,
        "max_client_conn": 100,
    }
    environ = {
        "PGHOST": own_address(),
        "PGPORT": str(port),
        "PGUSER": "app",
        "PGPASSWORD": PASSWORD,
        "PGDATABASE": "flow",
        "AIRDOCK_POOLER_PASSWORD": CLIENT,
        "AIRDOCK_POOLER_SETTINGS": json.dumps(settings),
    }
    program = str(FILES / "scripts" / "pooler.py")
    subprocess.run([sys.executable, "-SE", program, str(directory)], env=environ, check=True)
    assert {file.name for file in directory.iterdir()} == {"pgbouncer.ini", "userlist.txt"}
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}
    ini = (directory / "pgbouncer.ini").read_text().replace(str(directory), "/etc/pgbouncer")
    pgbouncer = container(
        "pgbouncer",
        user=(50000, 0),
        writable=(),
        files={
            "/etc/pgbouncer/pgbouncer.ini": ini,
            "/etc/pgbouncer/userlist.txt": (directory / "userlist.txt").read_text(),
        },
    )
    # As in templates/data/pooler.yaml.
    command = ("pgbouncer", "/etc/pgbouncer/pgbouncer.ini")
    with contextlib.ExitStack() as stack:
        stack.enter_context(serving(database, port, "-p", str(port), "-c", f"max_connections={LIMIT}"))
        run = Container(**{**vars(pgbouncer), "config": {**pgbouncer.config, "Entrypoint": []}})
        process = stack.enter_context(serving(run, pooler_port, *command))
        yield Servers(container, port, pooler_port, process)


def test_logins(servers: Servers) -> None:
    """Each password is read as it was written, and no other one works."""
    assert servers.ask("SELECT current_user, current_database()", "airflow") == (0, "app|flow\n")
    code, said = servers.ask("SELECT 1", "airflow", password="wrong")
    assert code != 0
    assert "SASL authentication failed" in said
    assert servers.ask("SELECT 1", "airflow", password=PASSWORD)[0] != 0, "the database's is not a client's"
    assert servers.ask("SELECT 1", "flow")[0] != 0, "no other database"


def test_many_clients(servers: Servers) -> None:
    """More than PostgreSQL admits: they fail without the pooler, and wait with it."""
    direct = servers.together(LIMIT + 10, seconds=10)
    assert any("too many clients" in said for said in direct)
    pooled = servers.together(LIMIT + 10, "airflow")
    assert pooled == ["slept"] * (LIMIT + 10)
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND pid <> pg_backend_pid()"
    assert int(servers.ask(f"{count} AND client_port IS NOT NULL")[1]) == SIZE


def test_a_migration_waits_for_nobody(servers: Servers) -> None:
    """It has connections apart, while the others keep theirs."""
    assert servers.together(SIZE, "airflow") == ["slept"] * SIZE
    assert servers.together(SIZE, "airflow-migrations") == ["slept"] * SIZE
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND pid <> pg_backend_pid()"
    assert int(servers.ask(f"{count} AND client_port IS NOT NULL")[1]) <= SIZE + 5


def test_a_session_keeps_its_lock(servers: Servers) -> None:
    """In the database for migrations it ends with the session; in the other one it stays behind."""
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert servers.ask("SELECT pg_advisory_lock(7)", "airflow-migrations")[0] == 0
    assert wait_until(lambda: servers.ask(held)[1] == "0\n", 10, "the lock is free")
    assert servers.ask("SELECT pg_advisory_lock(7)", "airflow")[0] == 0
    time.sleep(1)
    assert servers.ask(held)[1] == "1\n", "so migrations need the other one"
    servers.ask("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")


def test_statistics(servers: Servers) -> None:
    code, said = servers.ask("SHOW POOLS", "pgbouncer")
    assert code == 0, said
    assert servers.ask("SHUTDOWN", "pgbouncer")[0] != 0, "a client may only look"


def test_the_end_waits_for_transactions(servers: Servers) -> None:
    """At SIGINT, which the container's preStop sends. It is the last test: the pooler ends."""
    client = servers.psql(pooler="airflow").start(
        "--tuples-only", "--no-align", "--command", "SELECT 'slept' FROM pg_sleep(5)", entrypoint=["psql"]
    )
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(5)' AND state = 'active'"
    wait_until(lambda: servers.ask(running)[1] == "1\n", 30, "the transaction runs")
    code, said = stop(servers.pooler, signal.SIGINT)
    assert client.communicate(timeout=20)[0].strip() == "slept"
    assert code == 0, said
    assert PASSWORD not in said
    assert CLIENT not in said
