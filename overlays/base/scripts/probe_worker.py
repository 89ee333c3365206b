"""Startup and liveness of a Celery worker: it answers a ping through the broker.

Exit 1 when it does not. A broker that cannot be reached is no fault of the worker, and a restart would
not mend it: exit 0, except with --startup. A bare Celery client takes 1 s; Airflow's own app, which
`celery inspect` loads, takes 6 s and 170 MB.
"""

import os
import socket
import ssl
import sys

import celery
import kombu.exceptions
from logins import send

TIMEOUT_SECONDS = 10.0
#: Celery's name of a file for TLS -> Airflow's variable.
FILES = {
    "ca_certs": "AIRFLOW__CELERY__SSL_CACERT",
    "certfile": "AIRFLOW__CELERY__SSL_CERT",
    "keyfile": "AIRFLOW__CELERY__SSL_KEY",
}


def tls(broker: str) -> dict[str, str | int] | None:
    """Celery's setting broker_use_ssl, as the provider's default_celery.py makes it; None without TLS."""
    if os.environ.get("AIRFLOW__CELERY__SSL_ACTIVE") != "True":
        return None
    prefix = "" if broker.startswith("amqp") else "ssl_"
    settings: dict[str, str | int] = {f"{prefix}cert_reqs": ssl.CERT_REQUIRED}
    for name, variable in FILES.items():
        if variable in os.environ:
            settings[prefix + name] = os.environ[variable]
    return settings


def main() -> str | None:
    """What is wrong, or None."""
    worker = f"celery@{socket.gethostname()}"
    broker = os.environ["AIRFLOW__CELERY__BROKER_URL"]
    app = celery.Celery(broker=broker)
    app.conf.broker_use_ssl = tls(broker)
    try:
        with app.connection_for_write(connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            answer = app.control.inspect(
                destination=[worker], timeout=TIMEOUT_SECONDS, connection=connection
            ).ping()
    except (kombu.exceptions.OperationalError, OSError) as error:
        print(f"the broker does not answer: {error}")
        return str(error) if "--startup" in sys.argv else None
    return None if answer else f"{worker} does not answer a ping within {TIMEOUT_SECONDS:.0f} s"


if __name__ == "__main__":
    send()
    sys.exit(main())
