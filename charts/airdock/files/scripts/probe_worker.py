"""Startup and liveness of a Celery worker: it answers a ping through the broker.

Exit 1 when it does not. A broker that cannot be reached is no fault of the worker, and a restart would
not mend it: exit 0, except with --startup. A bare Celery client takes 1 s; Airflow's own app, which
`celery inspect` loads, takes 6 s and 170 MB.
"""

import os
import socket
import sys

import celery
import kombu.exceptions

TIMEOUT_SECONDS = 10.0


def main() -> str | None:
    """What is wrong, or None."""
    worker = f"celery@{socket.gethostname()}"
    app = celery.Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
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
    sys.exit(main())
