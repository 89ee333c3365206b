"""database.pooler: who connects to it, who to PostgreSQL, and who has which password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import Manifests, RenderError, render
from scripts.lint import reach
from scripts.lint.reach import Endpoint
from tests.render.scenarios import BY_NAME
from tests.render.values import EXTERNAL_STORES, POOLER, TLS_STORES, overlaid
from tests.support.paths import FILES

ON = POOLER
CLIENTS = ("api-server", "scheduler", "dag-processor", "triggerer", "database-cleanup")
SHAPES = {
    "embedded": ({}, "airdock-postgres"),
    "url": (EXTERNAL_STORES, "airflow-database"),
    "parts": (TLS_STORES, "cluster-app"),
}


@pytest.fixture(params=SHAPES)
def pooled(request: pytest.FixtureRequest) -> tuple[Manifests, str]:
    """The chart with the pooler for each shape of the database's Secret, and that Secret's name."""
    values, secret = SHAPES[request.param]
    return render(overlaid(values, ON)), secret


def test_only_the_pooler_has_the_databases_password(pooled: tuple[Manifests, str]) -> None:
    manifests, secret = pooled
    holders = {
        (manifest.component, container.name)
        for manifest, _, container in manifests.containers
        for variable in container.env_list
        if variable.secret and variable.secret[0] == secret
    }
    server = {("postgres", "postgres")} if secret == "airdock-postgres" else set()
    assert holders == {("pooler", "write-config")} | server
    # Neither PgBouncer's container nor any ConfigMap has one.
    container = manifests.one("Deployment", component="pooler").pod.container("pgbouncer")
    assert not container.env_list


def test_every_client_connects_to_the_pooler(pooled: tuple[Manifests, str]) -> None:
    manifests, _ = pooled
    seen = set()
    for manifest, _, container in manifests.containers:
        seen_env = manifests.environment(manifest, container)
        url = container.env.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
        if not url or manifest.component == "pooler":
            continue
        seen.add(manifest.component)
        assert url.value == "postgresql+psycopg2://", (manifest, container.name)
        assert (seen_env["PGHOST"], seen_env["PGPORT"], seen_env["PGUSER"]) == (
            "airdock-pooler",
            "6432",
            "airflow",
        )
        assert container.env["PGPASSWORD"].secret == ("airdock-pooler", "password")
        # A lock of a migration is its session's.
        wanted = "airflow-migrations" if container.name == "migrate" else "airflow"
        assert seen_env["PGDATABASE"] == wanted, container.name
        assert ("AIRDOCK_MIGRATE_IN_TURN" in seen_env) == (container.name == "migrate")
        # It may wait long, and would keep one of few connections.
        engine = seen_env.get("AIRFLOW__DATABASE__SQL_ALCHEMY_ENGINE_ARGS", "")
        assert ("AUTOCOMMIT" in engine) == (container.name == "wait-for-migrations")
        assert not {"PGSSLMODE", "PGSSLROOTCERT"} & container.env.keys()
        assert "database-tls" not in {mount["name"] for mount in container.raw["volumeMounts"]}
    assert seen == {"api-server", "scheduler", "dag-processor", "triggerer", "database-cleanup"}


def test_the_pooler_is_the_only_way_to_the_embedded_database() -> None:
    manifests = render(ON)
    pods = {manifest.component: reach.endpoint(manifest, pod) for manifest, pod in manifests.pods}
    for component, end in pods.items():
        to_pooler = reach.connects(manifests, end, pods["pooler"], 6432)
        assert to_pooler == (component in CLIENTS), component
        to_database = reach.connects(manifests, end, pods["postgres"], 5432)
        assert to_database == (component == "pooler"), component
    for component in CLIENTS[:-1]:
        direct = render({"database": {"cleanup": {"enabled": True}}})
        ends = {manifest.component: reach.endpoint(manifest, pod) for manifest, pod in direct.pods}
        assert reach.connects(direct, ends[component], ends["postgres"], 5432), component


def test_the_pooler_is_the_only_way_to_an_external_database() -> None:
    """As in the example, whose networkPolicy.pooler alone names the database."""
    manifests = BY_NAME["connection-pooler"].render()
    database = Endpoint("airdock", {"cnpg.io/cluster": "airflow-db"}, "10.1.2.3")
    for manifest, pod in manifests.pods:
        allowed = reach.allowed(manifests, reach.endpoint(manifest, pod), database, 5432, "Egress")
        assert allowed == (manifest.component == "pooler"), manifest


def test_strict_egress_needs_a_rule_for_the_database() -> None:
    strict = overlaid(EXTERNAL_STORES, {"broker": {"existingSecret": ""}, **ON})
    strict = overlaid(
        strict, {"database": EXTERNAL_STORES["database"], "networkPolicy": {"egress": "strict"}}
    )
    with pytest.raises(RenderError, match=r"networkPolicy\.egressRules"):
        render(strict)
    rule = [{"ports": [{"port": 5432}]}]
    assert render(overlaid(strict, {"networkPolicy": {"pooler": {"egress": rule}}}))
    with pytest.raises(RenderError, match=r"networkPolicy\.egressRules"):
        render(
            overlaid(
                strict, {"broker": EXTERNAL_STORES["broker"], "networkPolicy": {"pooler": {"egress": rule}}}
            )
        )


def test_off_is_as_without_it() -> None:
    off = render({"database": {"pooler": {"enabled": False, "poolSize": 50, "config": {"verbose": 1}}}})
    assert off.text == render().text
    assert "pooler" not in re.sub(r"(?m)^.*create_secrets.*$", "", off.text).replace('"POOLER"', "")
    attached = {**BY_NAME["attached"].values}
    assert (
        render(overlaid(attached, ON)).text
        == render(overlaid(attached, {"database": ON["database"] | {"pooler": {}}})).text
    )


def test_pods_as_other_components_have_them() -> None:
    values = {
        "database": {"pooler": {"enabled": True, "replicas": 3}},
        "podDisruptionBudget": {"enabled": True},
    }
    manifests = render(values)
    deployment = manifests.one("Deployment", component="pooler")
    assert deployment.get("spec", "replicas") == 3
    budget = manifests.one("PodDisruptionBudget", name="airdock-pooler")
    assert budget.selects(deployment.pod.labels)


@pytest.fixture
def pooler(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program that writes the configuration."""
    monkeypatch.syspath_prepend(str(FILES / "scripts"))
    import pooler

    return pooler


PARTS = {"PGHOST": "db", "PGUSER": "app", "PGPASSWORD": "p", "PGDATABASE": "flow"}
URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


@pytest.mark.parametrize("password", ["plain", "p@/%:$ '\"%2F?#;", " ' or ''", "#", "%include x"])
def test_any_password(pooler: Any, password: str) -> None:
    """In each shape. tests/images/test_pgbouncer.py has PgBouncer itself read it."""
    from urllib.parse import quote

    wanted = {"host": "db", "port": "5432", "dbname": "flow", "user": "app", "password": password}
    assert pooler.server({**PARTS, "PGPASSWORD": password}) == wanted
    for scheme in ("postgresql", "postgresql+psycopg2"):
        url = f"{scheme}://app:{quote(password, safe='')}@db/flow"
        assert pooler.server({URL: url}) == wanted
    line = pooler.config({**PARTS, "PGPASSWORD": password}, Path("/x")).splitlines()[1]
    assert line.startswith("airflow = host='db' port='5432' dbname='flow' user='app' password='")
    assert re.search("password='((?:[^']|'')*)'$", line)[1].replace("''", "'") == password


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({**PARTS, "PGPASSWORD": ""}, "password is missing"),
        ({**PARTS, "PGPASSWORD": "a\nb"}, "line break"),
        ({**PARTS, "PGHOST": "a,b"}, "host is a list"),
        ({URL: "postgresql://a:b@c/d?sslmode=require"}, "parameters (sslmode, ...)"),
        ({URL: "mysql://a:b@c/d"}, "begins with mysql://"),
        ({URL: "postgresql://a:b@c"}, "dbname is missing"),
    ],
)
def test_what_pgbouncer_cannot_take(pooler: Any, environ: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        pooler.server(environ)


def test_settings(pooler: Any) -> None:
    """Those of the values override the program's; TLS is that of database.tls."""
    manifests = render(
        overlaid(overlaid(TLS_STORES, ON), {"database": {"pooler": {"config": {"verbose": 1}}}})
    )
    deployment = manifests.one("Deployment", component="pooler")
    environ = {**PARTS, **manifests.environment(deployment, deployment.pod.container("write-config"))}
    lines = pooler.config(environ, Path("/etc/pgbouncer")).splitlines()
    for line in (
        "default_pool_size = 20",
        "max_client_conn = 1000",
        "verbose = 1",
        "auth_type = scram-sha-256",
        "server_tls_sslmode = verify-full",
        "server_tls_ca_file = /opt/airdock-tls/database/ca.crt",
        "server_tls_key_file = /opt/airdock-tls/database/tls.key",
    ):
        assert line in lines
    mounts = {mount["mountPath"] for mount in deployment.pod.container("pgbouncer").raw["volumeMounts"]}
    assert mounts == {"/etc/pgbouncer", "/opt/airdock-tls/database", "/tmp"}
    assert [line for line in lines if "pool_mode" in line][-1] == "pool_mode = transaction"
    assert lines[2].endswith(" pool_mode=session pool_size=5")
