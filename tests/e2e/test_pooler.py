"""A PostgreSQL of 20 connections, two of each component, three worker groups, and a burst of tasks.

PgBouncer stands between them, as in examples/values/connection-pooler.yaml.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from scripts.chart import load_yaml
from scripts.chart.helm import CHART
from scripts.live import RELEASE, CommandError, Target
from scripts.live.airflow_api import FINISHED, Airflow, PortForward
from scripts.overlays.definitions import merged
from tests.e2e.conftest import SMALL, starting, wait_until
from tests.e2e.test_stores import PASSWORD, postgres, secret, server
from tests.support.certificates import authority, certificate
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-pooler"
LIMIT = 20
EXAMPLE = load_yaml((EXAMPLES / "values" / "connection-pooler.yaml").read_text(), "connection-pooler.yaml")[0]
GROUPS = tuple(EXAMPLE["workers"])
POOL_SIZE = EXAMPLE["database"]["pooler"]["poolSize"]
#: Beside the example: the DAG, and what a small node has room for.
VALUES: dict[str, Any] = {
    "dags": {"examples": False, "volume": {"configMap": {"name": "burst"}}},
    "airflow": {"config": {"dag_processor": {"refresh_interval": 2}}},
    "database": {"pooler": {"resources": {"requests": {"cpu": "10m"}}}},
    "workerDefaults": {"concurrency": 8},
}
TASKS = 16
DAG = f"""
import time
from airflow.sdk import dag, task

for queue in {GROUPS!r}:
    @dag(dag_id=f"burst_{{queue}}", schedule=None)
    def burst():
        @task(queue=queue)
        def work(number):
            time.sleep(4)
        work.expand(number=list(range({TASKS})))
    burst()
"""
#: What PostgreSQL says.
REFUSED = ("too many clients", "remaining connection slots are reserved")
CLIENTS = """
import psycopg2
pooler = psycopg2.connect(dbname="pgbouncer")
pooler.autocommit = True
cursor = pooler.cursor()
cursor.execute("SHOW CLIENTS")
names = [column.name for column in cursor.description]
print(sum(row[names.index("database")].startswith("airflow") for row in cursor.fetchall()))
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3); print('open')"


@dataclass
class Pooled:
    """The release, and the highest counts of connections that were seen."""

    target: Target
    clients: int = 0
    servers: list[int] = field(default_factory=list)

    def sql(self, statement: str) -> str:
        """Run a statement in the database, without the pooler."""
        words = ("psql", "--username=app", "--dbname=flow", "-Atc", statement)
        return self.target.kubectl("exec", "database", "-n", NAMESPACE, "--", *words).strip()

    def python(self, component: str, script: str, *arguments: str) -> str:
        """Run a script in the main container of a component."""
        (pod, *_) = (
            pod["metadata"]["name"]
            for pod in self.pods(component)
            if "deletionTimestamp" not in pod["metadata"]
        )
        words = ("exec", pod, "-n", NAMESPACE, "-c", component, "--", "python", "-c", script, *arguments)
        return self.target.kubectl(*words).strip()

    def pods(self, component: str = "") -> list[dict[str, Any]]:
        """Give the pods of a component, or of the release."""
        selector = f"app.kubernetes.io/instance={RELEASE}"
        selector += f",app.kubernetes.io/component={component}" if component else ""
        return self.target.items("pods", "-n", NAMESPACE, "-l", selector)

    def count(self) -> int:
        """Note how many connections either side of the pooler has, and give those to the database."""
        self.clients = max(self.clients, int(self.python("scheduler", CLIENTS)))
        self.servers.append(
            int(self.sql("select count(*) from pg_stat_activity where client_addr is not null"))
        )
        return self.servers[-1]

    def logs(self) -> dict[str, str]:
        """Give what each container has logged, those of earlier starts too."""
        found = {}
        for pod in self.target.items("pods", "-n", NAMESPACE):
            name, spec = pod["metadata"]["name"], pod["spec"]
            for container in (*spec.get("initContainers", ()), *spec["containers"]):
                for previous in ("false", "true"):
                    key = f"{name}/{container['name']}/{previous}"
                    try:
                        found[key] = self.target.kubectl(
                            "logs", name, "-n", NAMESPACE, "-c", container["name"], f"--previous={previous}"
                        )
                    except CommandError:  # It has not started, or not twice.
                        continue
        return found


@pytest.fixture(scope="module")
def database(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """PostgreSQL as an operator makes it, with few connections and TLS only."""
    directory = tmp_path_factory.mktemp("pooler")
    ca = authority(directory, "ca")
    tls = certificate(directory, "database", NAMESPACE, ca)
    app = {
        "host": f"database.{NAMESPACE}.svc",
        "port": "5432",
        "username": "app",
        "password": PASSWORD,
        "dbname": "flow",
    }
    namespaces = (NAMESPACE, f"{NAMESPACE}-{RELEASE}-tasks")
    target.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", timeout=180)
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        target.apply(
            secret("database-tls", tls, namespace=NAMESPACE),
            secret("airflow-db-app", app, namespace=NAMESPACE),
            secret("airflow-db-ca", {"ca.crt": ca[1].read_text()}, namespace=NAMESPACE),
            secret("burst", {"burst.py": DAG}, "ConfigMap", NAMESPACE),
            *server(
                "database",
                "postgres:17",
                999,
                5432,
                postgres("airflow-db-app", f"max_connections={LIMIT}"),
                NAMESPACE,
            ),
        )
        target.kubectl("label", "pod", "database", "-n", NAMESPACE, "cnpg.io/cluster=airflow-db")
        target.kubectl("wait", "pod/database", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=120s")
        yield target
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
        target.kubectl(
            "delete",
            "pods",
            "--all",
            "-n",
            NAMESPACE,
            "--grace-period=1",
            "--wait=false",
            "--ignore-not-found",
        )
        target.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def pooled(database: Target) -> Pooled:
    """The release of the example."""
    with starting():
        database.helm(
            "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
            "--wait", "--timeout=600s", stdin=json.dumps(merged(SMALL, EXAMPLE, VALUES)),
        )  # fmt: skip
    return Pooled(database)


@pytest.fixture
def airflow(pooled: Pooled) -> Iterator[Airflow]:
    """Its API."""
    target = pooled.target
    admin = target.secret(f"{RELEASE}-admin", NAMESPACE)
    with PortForward(target.kubectl_command, NAMESPACE, f"svc/{RELEASE}-api-server", 8080) as forward:
        yield Airflow(forward.url, admin["username"], admin["password"])


def burst(airflow: Airflow, pooled: Pooled) -> dict[str, str]:
    """Start a run in each group, and give their states at the end."""
    dags = [f"burst_{group}" for group in GROUPS]
    airflow.wait_for_dags(dags, 240)
    for dag_id in dags:
        airflow.unpause(dag_id)
    runs = {dag_id: airflow.trigger(dag_id) for dag_id in dags}
    deadline = time.monotonic() + 600
    while True:
        pooled.count()
        states = {dag_id: airflow.state(dag_id, run_id) for dag_id, run_id in runs.items()}
        if set(states.values()) <= FINISHED or time.monotonic() > deadline:
            return states
        time.sleep(3)


def test_a_burst_of_tasks(pooled: Pooled, airflow: Airflow) -> None:
    assert set(burst(airflow, pooled).values()) == {"success"}
    # Each of these would be a connection to PostgreSQL: this is where it fails without the pooler.
    assert pooled.clients > LIMIT
    assert max(pooled.servers) <= POOL_SIZE + 5
    # The api-servers may have migrated a minute ago.
    wait_until(lambda: pooled.count() <= POOL_SIZE, 120, "the connections of migrations have ended")
    for container, log in pooled.logs().items():
        for words in REFUSED:
            assert words not in log, container


def test_an_update_of_the_pooler_amid_tasks(pooled: Pooled, airflow: Airflow) -> None:
    """No transaction is cut off: the tasks succeed, and no component restarts."""
    airflow.unpause("burst_default")
    run = airflow.trigger("burst_default")
    wait_until(
        lambda: any(task.state == "running" for task in airflow.tasks("burst_default", run)), 120, "a task"
    )
    name = f"deployment/{RELEASE}-pooler"
    pooled.target.kubectl("rollout", "restart", name, "-n", NAMESPACE)
    pooled.target.kubectl("rollout", "status", name, "-n", NAMESPACE, "--timeout=120s", timeout=130)
    assert airflow.wait("burst_default", run, 400) == "success"
    assert {task.try_number for task in airflow.tasks("burst_default", run)} == {1}
    wait_until(lambda: len(pooled.pods("pooler")) == 1, 90, "the old pod has ended")
    assert pooled.count() <= POOL_SIZE


def test_connections_are_as_the_values_say(pooled: Pooled) -> None:
    """With TLS, and with no lock that a migration has left in a connection of others."""
    encrypted = "select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid)"
    assert pooled.sql(f"{encrypted} where client_addr is not null") == "t"
    assert pooled.sql("select count(*) from pg_locks where locktype = 'advisory'") == "0"
    assert pooled.sql("select count(*) from alembic_version") == "1"


def test_the_pooler_is_the_only_way(pooled: Pooled) -> None:
    """A pod to which no policy applies does connect to the database; the release's pods do not."""
    target = pooled.target
    host = f"database.{NAMESPACE}.svc"
    pooler = f"{RELEASE}-pooler.{NAMESPACE}.svc"
    target.kubectl(
        "run", "stranger", "-n", NAMESPACE, "--image=busybox:1.37", "--restart=Never", "--command", "--",
        "sh", "-c", f"exec 2>/dev/null </dev/null; nc -w 5 {host} 5432 && echo open;"
        f" nc -w 3 {pooler} 6432 || echo closed",
    )  # fmt: skip
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    target.kubectl("wait", "pod/stranger", "-n", NAMESPACE, ended, "--timeout=90s")
    assert target.kubectl("logs", "stranger", "-n", NAMESPACE).split() == ["open", "closed"]
    for component in ("api-server", "scheduler", "dag-processor", "triggerer", "worker"):
        with pytest.raises(CommandError, match=r"timed out|TimeoutError"):
            pooled.python(component, CONNECT, host, "5432")
        if component != "worker":
            assert pooled.python(component, CONNECT, pooler, "6432") == "open"
    with pytest.raises(CommandError, match=r"timed out|TimeoutError"):
        pooled.python("worker", CONNECT, pooler, "6432")


def test_one_secret_has_the_databases_password(pooled: Pooled) -> None:
    target = pooled.target
    encoded = base64.b64encode(PASSWORD.encode()).decode()
    secrets = target.items("secrets", "-n", NAMESPACE)
    assert [each["metadata"]["name"] for each in secrets if encoded in json.dumps(each)] == ["airflow-db-app"]
    others = json.dumps(target.items("configmaps,pods,deployments", "-n", NAMESPACE))
    assert json.dumps(PASSWORD)[1:-1] not in others
    client = target.secret(f"{RELEASE}-pooler", NAMESPACE)["password"]
    assert len(client) > 30
    assert client not in others
