"""Settings by which a connection ends whose other side has disappeared.

A node that stops, or a network that is cut, sends no sign of it. A Celery worker that waits for a task would
wait for hours, and a statement for as long as the kernel repeats its data, about 15 minutes.
"""

from __future__ import annotations

import os
import socket
from typing import Any

#: Seconds of silence until the kernel asks whether the other side is there, and between two questions; the
#: number of questions. The sum is also how long it repeats data that is not acknowledged.
IDLE, INTERVAL, COUNT = 15, 5, 3
SILENCE = IDLE + INTERVAL * COUNT

#: Celery's results: the first state that a worker writes on a lost connection would fail the task, and what
#: the scheduler reads would end the scheduler. Ten milliseconds until the first retry, twice as long until
#: each further one, 10 seconds at most (result_backend_*_sleep_between_retries_ms).
RESULTS = {
    "result_backend_always_retry": True,
    "result_backend_max_retries": 20,
    "redis_socket_keepalive": True,
    "redis_socket_timeout": SILENCE,
    "redis_retry_on_timeout": True,
}


def celery_config() -> dict[str, Any]:
    """Give Celery's settings: Airflow's, RESULTS, and for a broker of Redis keepalive with these times.

    Kombu has no keepalive by default, and takes the numbers of socket options from no text, which is all that
    `[celery_broker_transport_options]` can have. What that section and `extra_celery_config` have wins.
    """
    from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

    config = {**RESULTS, **DEFAULT_CELERY_CONFIG}
    if config["broker_url"].startswith(("redis", "sentinel")):
        config["broker_transport_options"] = {
            "socket_keepalive": True,
            "socket_keepalive_options": {
                socket.TCP_KEEPIDLE: IDLE,
                socket.TCP_KEEPINTVL: INTERVAL,
                socket.TCP_KEEPCNT: COUNT,
                socket.TCP_USER_TIMEOUT: 1000 * SILENCE,
            },
            **config["broker_transport_options"],
        }
    return config


def database_arguments() -> dict[str, int]:
    """Give the same for libpq, the client of PostgreSQL; nothing for another database."""
    if not os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql").startswith("postgres"):
        return {}
    return {
        "keepalives_idle": IDLE,
        "keepalives_interval": INTERVAL,
        "keepalives_count": COUNT,
        "tcp_user_timeout": 1000 * SILENCE,
    }


def __getattr__(name: str) -> Any:
    """Give the names in airflow.cfg, each when it is asked for: only CeleryExecutor loads Celery."""
    if name == "CELERY_CONFIG":
        return celery_config()
    if name == "DATABASE_ARGUMENTS":
        return database_arguments()
    raise AttributeError(name)
