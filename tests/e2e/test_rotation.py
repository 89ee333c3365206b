"""Every secret of a release is replaced by the commands of docs/operations.md, while tasks run.

The tasks run 40 seconds instead of minutes, and there are 6 at a time: what a replacement can break is a task
that runs through it, or one that starts amid it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from scripts.live import RELEASE, Airflow, Target
from tests.e2e.conftest import wait_until
from tests.e2e.own_release import OwnRelease, commands, own_release

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-rotation"
PAGE = "operations.md"
TASKS, SECONDS = 6, 40
DAG = f"""
import time
from airflow.sdk import BaseHook, dag, task

@dag(schedule=None)
def load():
    @task
    def work(number):
        for second in range({SECONDS}):
            time.sleep(1)
    work.expand(number=list(range({TASKS})))

@dag(schedule=None)
def connection():
    @task
    def read():
        return BaseHook.get_connection("warehouse").password
    read()

load()
connection()
"""
VALUES = {
    "controlPlane": {"triggerer": {"replicas": 0}},
    "workers": {
        "default": {"concurrency": 16, "dockerGateway": {"enabled": False}, "kubernetesOperators": False}
    },
}
FERNET = """
import sys
from cryptography.fernet import Fernet, InvalidToken
from airflow.models import Connection
from airflow.settings import Session
stored = Session().query(Connection).filter_by(conn_id="warehouse").one()._password
try:
    print(Fernet(sys.argv[1]).decrypt(stored.encode()).decode())
except InvalidToken:
    print("refused")
"""
LOGIN = """
import os, psycopg2, sys
try:
    host = os.environ["AIRDOCK_POSTGRES_HOST"]
    psycopg2.connect(host=host, user="airflow", dbname="airflow", password=sys.argv[1])
    print("open")
except psycopg2.OperationalError as error:
    print(error)
"""
BROKER = """
import os, redis, sys
try:
    print(redis.Redis(os.environ["AIRDOCK_REDIS_HOST"], password=sys.argv[1]).ping())
except redis.AuthenticationError as error:
    print(error)
"""
LOGS = """
import os, sys, urllib.error, urllib.request
from airflow.api_fastapi.auth.tokens import JWTGenerator
generator = JWTGenerator(secret_key=sys.argv[1], valid_for=60, audience="task-instance-logs")
token = generator.generate({"filename": "x"})
request = urllib.request.Request(f"http://{sys.argv[2]}:8793/log/x", headers={"Authorization": token})
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    print(error.code)
"""


class Load:
    """Tasks that run all the time."""

    def __init__(self, release: OwnRelease):
        self.release = release
        self.runs: list[str] = []

    def start(self) -> None:
        """Start tasks, and wait until they run."""
        airflow = self.release.airflow
        self.runs.append(airflow.trigger("load"))
        wait_until(
            lambda: [task.state for task in airflow.tasks("load", self.runs[-1])].count("running") == TASKS,
            180,
            "the tasks run",
        )

    def ended(self) -> None:
        """Assert that all have succeeded at their first try."""
        for run in self.runs:
            assert self.release.airflow.wait("load", run, 300) == "success"
            assert {task.try_number for task in self.release.airflow.tasks("load", run)} == {1}


@pytest.fixture(scope="module")
def release(target: Target) -> Iterator[OwnRelease]:
    """A release with a connection in its database."""
    with own_release(target, NAMESPACE, VALUES, {"load.py": DAG}) as release:
        release.airflow.wait_for_dags(["load", "connection"], 240)
        for dag_id in ("load", "connection"):
            release.airflow.unpause(dag_id)
        body = {"connection_id": "warehouse", "conn_type": "http", "password": "kept"}
        release.airflow.call("POST", "/connections", json=body)
        yield release


@pytest.fixture
def load(release: OwnRelease) -> Iterator[Load]:
    """Tasks that a test starts, and that must succeed."""
    load = Load(release)
    yield load
    load.ended()


def replace(release: OwnRelease, heading: str) -> Callable[[], str]:
    """Give what runs the next block of commands below a heading, each time that it is called."""
    (functions,) = commands(PAGE, "Replace a secret")
    blocks = iter(commands(PAGE, heading))
    return lambda: release.shell(functions + next(blocks))


def value(release: OwnRelease, secret: str, key: str) -> str:
    return release.target.secret(f"{RELEASE}-{secret}", NAMESPACE)[key]


def python(release: OwnRelease, script: str, *arguments: str, component: str = "api-server") -> str:
    words = ("exec", f"deployment/{RELEASE}-{component}", "-c", component, "--", "python", "-c", script)
    return release.kubectl(*words, *arguments).strip().splitlines()[-1]


def answer(airflow: Airflow, method: str, path: str, **arguments: Any) -> requests.Response:
    """Ask the api-server, again where the way to its former pod has ended."""
    found: list[requests.Response] = []

    def asked() -> bool:
        try:
            found.append(requests.request(method, f"{airflow._url()}{path}", timeout=30, **arguments))
        except requests.ConnectionError:
            return False
        return True

    wait_until(asked, 60, f"the api-server answers to {path}")
    return found[-1]


def test_fernet_key(release: OwnRelease, load: Load) -> None:
    old = value(release, "fernet-key", "fernet-key")
    assert python(release, FERNET, old) == "kept"
    load.start()
    replace(release, "Fernet key")()
    new = value(release, "fernet-key", "fernet-key")
    assert new != old
    assert "," not in new
    assert (python(release, FERNET, old), python(release, FERNET, new)) == ("refused", "kept")
    run = release.airflow.trigger("connection")
    assert release.airflow.wait("connection", run) == "success"
    (task,) = release.airflow.tasks("connection", run)
    assert release.airflow.xcom(task) == "kept"


def test_jwt_secret(release: OwnRelease, load: Load) -> None:
    airflow = release.airflow

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return answer(airflow, "GET", "/api/v2/dags", headers=headers).status_code

    def token() -> str:
        return str(answer(airflow, "POST", "/auth/token", json=airflow._user).json()["access_token"])

    old = token()
    load.start()
    step = replace(release, "JWT secret")
    step()
    new = token()
    assert (status(old), status(new)) == (200, 200)
    load.start()
    load.ended()
    step()
    assert (status(old), status(new)) == (403, 200)


def test_api_secret_key(release: OwnRelease, load: Load) -> None:
    old = value(release, "api-secret-key", "api-secret-key")
    load.start()
    replace(release, "API secret key, which signs requests for logs")()
    (worker,) = release.pods("worker")
    address = worker["status"]["podIP"]
    assert python(release, LOGS, old, address) == "403"
    assert python(release, LOGS, value(release, "api-secret-key", "api-secret-key"), address) == "404"
    load.start()
    task = next(iter(release.airflow.tasks("load", load.runs[-1])))
    assert "Could not read" not in release.airflow.log(task)


def test_broker(release: OwnRelease, load: Load) -> None:
    old = value(release, "redis", "password")
    assert python(release, BROKER, old, component="scheduler") == "True"
    load.start()
    replace(release, "Password of the embedded broker")()
    assert "invalid username-password" in python(release, BROKER, old, component="scheduler")
    new = value(release, "redis", "password")
    assert python(release, BROKER, new, component="scheduler") == "True"
    # A new pod of the broker has the new password alone, too.
    release.kubectl("delete", "pod", f"{RELEASE}-redis-0")
    release.rolled()
    assert "invalid username-password" in python(release, BROKER, old, component="scheduler")
    load.start()


def test_database(release: OwnRelease, load: Load) -> None:
    old = value(release, "postgres", "password")
    assert python(release, LOGIN, old) == "open"
    load.start()
    replace(release, "Password of the embedded database")()
    assert "password authentication failed" in python(release, LOGIN, old)
    assert python(release, LOGIN, value(release, "postgres", "password")) == "open"
    load.start()


def test_administrator(release: OwnRelease, load: Load) -> None:
    old = release.airflow._user
    load.start()
    replace(release, "Password of the administrator")()
    assert answer(release.airflow, "POST", "/auth/token", json=old).status_code == 401
    assert value(release, "admin", "password") != old["password"]
    release.airflow = release.signed_on()
    assert release.airflow.dags()
