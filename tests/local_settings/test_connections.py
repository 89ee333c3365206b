"""Connections that stay open: what Airflow gets, and what a user's own options do."""

from __future__ import annotations

import re
import socket
import sys
from types import ModuleType
from typing import Any

import pytest

from scripts.chart import render
from scripts.chart.helm import CHART

FILES = CHART / "files"
REDIS = "redis://redis:6379/0"
KEEPALIVE = {
    socket.TCP_KEEPIDLE: 15,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 30_000,
}


def celery(monkeypatch: pytest.MonkeyPatch, broker: str, **options: Any) -> Any:
    """Give CELERY_CONFIG beside Airflow's own configuration of Celery."""
    name = "airflow.providers.celery.executors.default_celery"
    default = ModuleType(name)
    default.DEFAULT_CELERY_CONFIG = {  # type: ignore[attr-defined]
        "broker_url": broker,
        "broker_transport_options": {"visibility_timeout": 1, **options},
        "redis_socket_timeout": 7,
    }
    parts = name.split(".")
    for count in range(2, len(parts)):
        parent = ".".join(parts[:count])
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setitem(sys.modules, name, default)
    import airdock_connections

    return airdock_connections.CELERY_CONFIG


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel"])
def test_redis(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    found = celery(monkeypatch, f"{scheme}://redis:6379/0")
    assert found["broker_transport_options"] == {
        "visibility_timeout": 1,
        "socket_keepalive": True,
        "socket_keepalive_options": KEEPALIVE,
    }


def test_options_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    found = celery(monkeypatch, REDIS, socket_keepalive=False, max_connections=3)
    assert found["broker_transport_options"]["socket_keepalive"] is False
    assert found["broker_transport_options"]["max_connections"] == 3
    assert found["redis_socket_timeout"] == 7
    assert found["result_backend_always_retry"]


def test_another_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """AMQP has a heartbeat of its own, which Celery turns on."""
    found = celery(monkeypatch, "amqp://rabbitmq:5672//")
    assert found["broker_transport_options"] == {"visibility_timeout": 1}


@pytest.mark.parametrize(
    ("url", "count"),
    [("postgresql+psycopg2://", 4), ("postgresql://a:b@db/airflow", 4), ("mysql://a:b@db/airflow", 0)],
)
def test_database(monkeypatch: pytest.MonkeyPatch, url: str, count: int) -> None:
    import airdock_connections

    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
    assert len(airdock_connections.DATABASE_ARGUMENTS) == count


def test_another_name() -> None:
    import airdock_connections

    with pytest.raises(AttributeError):
        airdock_connections.nothing  # noqa: B018


def test_the_other_ends_have_the_same_times() -> None:
    """PgBouncer and PostgreSQL have words of their own, and the autoscaler none of Airflow's settings."""
    import airdock_connections as times

    scripts = FILES / "scripts"
    assert numbers(r'"tcp_(\w+)": ([\d_]+),', (scripts / "pooler.py").read_text()) == {
        "keepidle": times.IDLE,
        "keepintvl": times.INTERVAL,
        "keepcnt": times.COUNT,
        "user_timeout": 1000 * times.SILENCE,
    }
    assert numbers(r'"(tcp_user_timeout)": ([\d_]+)', (scripts / "autoscaler.py").read_text()) == {
        "tcp_user_timeout": 1000 * times.SILENCE
    }
    postgres = render().one("StatefulSet", component="postgres").pod
    assert postgres
    arguments = postgres.container("postgres").raw["args"]
    assert numbers(r"^tcp_(\w+)=(\d+)s?$", "\n".join(arguments)) == {
        "keepalives_idle": times.IDLE,
        "keepalives_interval": times.INTERVAL,
        "keepalives_count": times.COUNT,
        "user_timeout": times.SILENCE,
    }


def numbers(pattern: str, text: str) -> dict[str, int]:
    """Give the settings of a text that have this form."""
    return {name: int(value) for name, value in re.findall(pattern, text, re.MULTILINE)}
