"""The Airflow image: entrypoint, log cleaner, and the commands that the official Airflow chart runs in it."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.chart import versions
from scripts.images import choose_official
from tests.images.conftest import Run
from tests.images.container import Container
from tests.images.processes import serving, stop
from tests.support.ports import free_port
from tests.support.waiting import wait_until

AIRFLOW = (50000, 0)
#: Listens nowhere: what waits for it gives up.
NOWHERE = "127.0.0.1:1"
ONCE = {"CONNECTION_CHECK_MAX_COUNT": "1", "CONNECTION_CHECK_SLEEP_TIME": "0"}


def airflow(
    container: Run,
    env: dict[str, str] | None = None,
    *,
    user: tuple[int, int] = AIRFLOW,
    files: dict[str, str] | None = None,
) -> Container:
    """As the chart runs it: only /tmp and the logs are writable, the configuration file is mounted."""
    return container(
        "airflow",
        user=user,
        writable=("/tmp", "/opt/airflow/logs"),
        files={"/opt/airflow/airflow.cfg": ""} | (files or {}),
        env={
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow:x@{NOWHERE}/airflow",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }
        | (env or {}),
    )


@pytest.fixture(scope="module")
def database(container: Run) -> Iterator[str]:
    """The address of an empty Postgres, from the project's own image."""
    port = free_port()
    image = container(
        "postgres",
        user=(999, 999),
        writable=("/tmp", "/var/run/postgresql", "/var/lib/postgresql/data"),
        env={
            "POSTGRES_PASSWORD": "x",
            "POSTGRES_USER": "airflow",
            "PGDATA": "/var/lib/postgresql/data/pgdata",
        },
    )
    with serving(image, port, "postgres", "-p", str(port), "-c", "fsync=off"):
        yield f"postgresql+psycopg2://airflow:x@127.0.0.1:{port}/airflow"


@pytest.mark.parametrize("arguments", [["airflow", "version"], ["version"]])
def test_subcommands(container: Run, arguments: list[str]) -> None:
    code, said = airflow(container).run(*arguments)
    assert (code, said.split()[-1]) == (0, versions.AIRFLOW), said


def test_bash_and_python(container: Run) -> None:
    code, said = airflow(container).run(
        "bash", "-c", "id -u; id -g; pwd; umask; command -v airflow; echo $HOME"
    )
    expected = "50000 0 /opt/airflow 0002 /home/airflow/.local/bin/airflow /home/airflow"
    assert (code, said.split()[:-1]) == (0, expected.split()[:-1])
    assert airflow(container).run("python", "-c", "print(6 * 7)") == (0, "42\n")


def test_arbitrary_uid(container: Run) -> None:
    """OpenShift's: any uid, group 0; here the root is read-only, so the uid gets no name but the home."""
    code, said = airflow(container, user=(1234560000, 0)).run(
        "bash", "-c", "id -u; echo $HOME; airflow version"
    )
    assert (code, said.split()) == (0, ["1234560000", "/home/airflow", versions.AIRFLOW]), said


def test_arbitrary_uid_gets_a_name(container: Run) -> None:
    image = airflow(
        container, user=(1234560000, 0), files={"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"}
    )
    code, said = image.run("bash", "-c", "whoami; tail -n 1 /etc/passwd")
    entry = "default:x:1234560000:0:default user:/home/airflow:/sbin/nologin"
    assert (code, said.splitlines()) == (0, ["default", entry])


def test_wrong_group(container: Run) -> None:
    code, said = airflow(container, user=(4321, 4321)).run("version")
    assert code == 1
    assert "GID=4321" in said or "gid 4321" in said
    code, said = airflow(container, user=(50000, 50000)).run("bash", "-c", "echo goes on")
    assert (code, "WARNING" in said, said.endswith("goes on\n")) == (0, True, True)


@pytest.mark.parametrize("command", [["scheduler"], ["bash", "-c", "exec airflow triggerer"]])
def test_waits_for_the_database(container: Run, command: list[str]) -> None:
    code, said = airflow(container, ONCE).run(*command)
    assert code == 1
    assert "Maximum number of retries (1) reached" in said


def test_wait_can_be_switched_off(container: Run) -> None:
    code, said = airflow(container, {"CONNECTION_CHECK_MAX_COUNT": "0"}).run("scheduler", "--help")
    assert (code, "usage:" in said.lower()) == (0, True), said


def test_waits_for_the_broker(container: Run) -> None:
    settings = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": f"redis://{NOWHERE}/0",
    }
    code, said = airflow(container, ONCE | settings).run("celery", "worker", "--help")
    assert code == 1
    assert "Maximum number of retries (1) reached" in said
    port = free_port()
    settings["AIRFLOW__CELERY__BROKER_URL"] = f"redis://:secret@127.0.0.1:{port}/0"
    with serving(container("valkey", user=(999, 999), writable=("/data",)), port, "--port", str(port)):
        code, said = airflow(container, ONCE | settings).run("celery", "worker", "--help")
    assert (code, "--queues" in said) == (0, True), said


def test_official_chart(container: Run, database: str) -> None:
    """What the official chart runs: its init containers' wait for migrations, and its probes."""
    waiting = ["airflow", "db", "check-migrations", "--migration-wait-timeout=0"]
    empty = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database}
    code, said = airflow(container, empty).run(*waiting, timeout=300)
    assert code != 0, "an empty database is not migrated"
    prepare = {
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "_AIRFLOW_DB_MIGRATE": "true",
        "_AIRFLOW_WWW_USER_CREATE": "true",
        "_AIRFLOW_WWW_USER_USERNAME": "grace",
        "_AIRFLOW_WWW_USER_PASSWORD_CMD": "echo secret",
    }
    code, said = airflow(container, empty | prepare).run(*waiting, timeout=300)
    assert code == 0, said
    assert 'User "grace" created with role "Admin"' in said
    probe = (
        "CONNECTION_CHECK_MAX_COUNT=0 AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR "
        "exec /entrypoint airflow jobs check --job-type SchedulerJob --local"
    )
    code, said = airflow(container, empty).run("-c", probe, entrypoint=["sh"])
    assert (code, "No alive jobs found." in said) == (1, True), said


def test_signals_reach_all_processes(container: Run) -> None:
    """dumb-init and DUMB_INIT_SETSID=1: TERM goes to the whole group, as the image's documentation says."""
    child = "sh -c 'trap \"echo child; exit\" TERM; sleep 60 & wait'"
    script = f"trap 'wait; echo parent; exit 3' TERM; {child} & sleep 60 & wait"
    process = airflow(container).start("bash", "-c", script)
    # dumb-init, bash, sh, and a sleep of each, the last thing that they start.
    wait_until(lambda: _children(process.pid) >= 5, 30, "5 processes")
    code, said = stop(process, signal.SIGTERM)
    assert (code, said) == (3, "child\nparent\n")


def _children(pid: int) -> int:
    """How many processes descend from ``pid``."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return len(children) + sum(_children(int(child)) for child in children)


def test_clean_logs(container: Run) -> None:
    script = """
    cd /opt/airflow/logs && mkdir -p empty/deeper kept/old
    touch -d '3 days ago' kept/old/1.log kept/other.txt && touch -d '1 day ago' kept/2.log
    timeout 2 /clean-logs
    find . | sort
    """
    code, said = airflow(container, {"AIRFLOW__LOG_RETENTION_DAYS": "2"}).run(
        "-c", script, entrypoint=["bash"]
    )
    assert code == 0, said
    assert said.splitlines()[-4:] == [".", "./kept", "./kept/2.log", "./kept/other.txt"]
    assert "older than 2880 minutes" in said


def test_clean_logs_by_size(container: Run) -> None:
    script = """
    cd /opt/airflow/logs
    for days in 1 2 3 4; do
        head -c 100000 /dev/zero > $days.log
        touch -d "$days days ago 1 minute ago" $days.log
    done
    timeout 2 /clean-logs > /dev/null
    ls
    """
    image = airflow(container, {"AIRFLOW__LOG_RETENTION_DAYS": "9", "AIRFLOW__LOG_MAX_SIZE_BYTES": "250000"})
    assert image.run("-c", script, entrypoint=["bash"])[1].split() == ["1.log", "2.log"]


def test_bytecode(container: Run) -> None:
    """On a read-only root nothing can be compiled later: a start would take three times as long."""
    if choose_official():
        pytest.skip("the official image has no bytecode")
    image = airflow(container)
    code, said = image.run("python", "-v", "-c", "import airflow.jobs.scheduler_job_runner")
    assert code == 0, said
    loaded = re.findall(r"^# code object from '?([^'\n]*)", said, re.MULTILINE)
    assert len(loaded) > 500
    assert [file for file in loaded if not file.endswith(".pyc")] == []
