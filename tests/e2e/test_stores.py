"""A database and a broker that others run: TLS only, a CA of their own, a Secret as an operator makes it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.chart.helm import CHART
from scripts.live import RELEASE, CommandError, Target
from scripts.overlays.definitions import merged
from tests.e2e.conftest import SMALL, starting, wait_until
from tests.support.certificates import authority, certificate

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-stores"
#: What a URL, a shell, the kubelet and printf would change.
PASSWORD = "p@/%:$(HOME)$$ w'\"%2F?#"
VALUES: dict[str, Any] = {
    "database": {
        "existingSecret": "cluster-app",
        "keys": {
            "host": "host",
            "port": "port",
            "user": "username",
            "password": "password",
            "name": "dbname",
        },
        "tls": {"mode": "verify-full", "ca": {"secret": "cluster-ca"}},
        "cleanup": {"enabled": True, "tables": ["log"]},
    },
    "broker": {
        "existingSecret": "queue",
        "keys": {"brokerUrl": "url", "resultBackend": "results"},
        "tls": {"enabled": True, "ca": {"configMap": "queue-ca", "key": "bundle.pem"}},
    },
    "workers": {"default": {"mode": "kubernetes", "concurrency": 1}},
    "networkPolicy": {"enabled": False},
}


def secret(
    name: str, data: dict[str, str], kind: str = "Secret", namespace: str = NAMESPACE
) -> dict[str, Any]:
    field = "stringData" if kind == "Secret" else "data"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, field: data}


def server(
    name: str, image: str, group: int, port: int, container: dict[str, Any], namespace: str = NAMESPACE
) -> list[dict[str, Any]]:
    """Give a pod that serves a port with the certificate of its Service, and the Service."""
    metadata = {"name": name, "namespace": namespace, "labels": {"store": name}}
    volume = {"name": "tls", "secret": {"secretName": f"{name}-tls", "defaultMode": 0o440}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "securityContext": {"runAsUser": group, "runAsGroup": group, "fsGroup": group},
            "containers": [
                {
                    "name": name,
                    "image": image,
                    "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
                    "readinessProbe": {"tcpSocket": {"port": port}},
                    **container,
                }
            ],
            "volumes": [volume],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"store": name}, "ports": [{"port": port}]},
    }
    return [pod, service]


def postgres(secret_name: str, *settings: str) -> dict[str, Any]:
    """Give the container of a PostgreSQL that admits clients with TLS only."""
    rules = "local all all trust\\nhostssl all all all scram-sha-256\\n"
    environment = {"POSTGRES_USER": "app", "POSTGRES_DB": "flow", "PGDATA": "/var/run/postgresql/data"}
    password = {"secretKeyRef": {"name": secret_name, "key": "password"}}
    tls = ("ssl=on", "ssl_cert_file=/tls/tls.crt", "ssl_key_file=/tls/tls.key")
    options = " ".join(f"-c {setting}" for setting in ("hba_file=/tmp/hba", *tls, *settings))
    return {
        "env": [
            *({"name": name, "value": value} for name, value in environment.items()),
            {"name": "POSTGRES_PASSWORD", "valueFrom": password},
        ],
        "command": ["bash", "-c"],
        "args": [f"printf '{rules}' > /tmp/hba; exec docker-entrypoint.sh postgres {options}"],
    }


@pytest.fixture(scope="module")
def stores(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The two servers and the Secrets, in a namespace of their own."""
    directory = tmp_path_factory.mktemp("stores")
    ca, other = authority(directory, "ca"), authority(directory, "other")
    database, queue = (certificate(directory, name, NAMESPACE, ca) for name in ("database", "queue"))
    host = f"database.{NAMESPACE}.svc"
    url = f"rediss://queue.{NAMESPACE}.svc:6379"
    checked = "ssl_cert_reqs=required&ssl_ca_certs=/opt/airdock-tls/broker/ca.crt"
    app = {"host": host, "port": "5432", "username": "app", "password": PASSWORD, "dbname": "flow"}
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    target.apply(
        secret("database-tls", database),
        secret("queue-tls", queue),
        secret("cluster-app", app),
        secret("cluster-ca", {"ca.crt": ca[1].read_text()}),
        secret("other-ca", {"ca.crt": other[1].read_text()}),
        secret("queue-ca", {"bundle.pem": ca[1].read_text()}, "ConfigMap"),
        secret("queue", {"url": f"{url}/0", "results": f"{url}/1?{checked}"}),
        *server("database", "postgres:17", 999, 5432, postgres("cluster-app")),
        *server(
            "queue", "valkey/valkey:8.1", 999, 6379,
            {
                "command": ["valkey-server"],
                "args": [
                    "--port", "0", "--tls-port", "6379", "--tls-cert-file", "/tls/tls.crt",
                    "--tls-key-file", "/tls/tls.key", "--tls-auth-clients", "no",
                    "--save", "", "--dir", "/tmp", "--protected-mode", "no",
                ],
            },
        ),
    )  # fmt: skip
    target.kubectl("wait", "pod", "--all", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=120s")
    yield target
    target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
    target.kubectl("delete", "namespace", NAMESPACE, f"{NAMESPACE}-{RELEASE}-tasks", "--ignore-not-found")


def install(target: Target, values: dict[str, Any], *options: str) -> None:
    target.helm(
        "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-", *options,
        stdin=json.dumps(merged(SMALL, values)),
    )  # fmt: skip


def sql(target: Target, statement: str) -> str:
    words = ("psql", "--username=app", "--dbname=flow", "-Atc", statement)
    return target.kubectl("exec", "database", "-n", NAMESPACE, "--", *words).strip()


def test_every_component_connects_with_tls(stores: Target) -> None:
    with starting():
        install(stores, VALUES, "--wait", "--timeout=420s")
    encrypted = sql(stores, "select ssl, count(*) from pg_stat_ssl join pg_stat_activity using (pid)"
                            " where client_addr is not null group by ssl")  # fmt: skip
    assert encrypted.startswith("t|"), encrypted
    assert "\n" not in encrypted, "a connection without TLS"
    # The URL in the worker's environment is not the database's, and no component has the password in a URL.
    assert int(sql(stores, "select count(*) from alembic_version")) == 1


def test_old_rows_go(stores: Target) -> None:
    for age in (100, 10):
        sql(stores, f"insert into log (dttm, event) values (now() - interval '{age} days', 'e2e')")
    stores.kubectl("create", "job", "now", f"--from=cronjob/{RELEASE}-database-cleanup", "-n", NAMESPACE)
    stores.kubectl(
        "wait", "job/now", "-n", NAMESPACE, "--for=condition=Complete", "--timeout=120s", timeout=130
    )
    assert sql(stores, "select extract(day from now() - dttm) from log where event = 'e2e'") == "10"


def test_a_wrong_ca_fails_in_one_sentence(stores: Target) -> None:
    install(stores, merged(VALUES, {"database": {"tls": {"ca": {"secret": "other-ca"}}}}))

    def said() -> str:
        for pod in stores.items("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=api-server"):
            try:
                log = stores.kubectl("logs", pod["metadata"]["name"], "-n", NAMESPACE, "-c", "migrate")
            except CommandError:  # not started yet
                continue
            if "database.tls.ca" in log:
                return log
        return ""

    log = wait_until(said, 120, "migrate names the value")
    assert "The database's certificate is not from the CA of database.tls.ca" in log
    secrets = stores.items("secrets", "-n", NAMESPACE)
    password = base64.b64encode(PASSWORD.encode()).decode()
    assert [each["metadata"]["name"] for each in secrets if password in json.dumps(each)] == ["cluster-app"]
