"""Liveness of a component without an HTTP port: its job's last heartbeat, read from the database.

Usage: probe_job.py JOB_TYPE. Exit 1 when this host's job has no heartbeat within THRESHOLD_SECONDS. A
database that does not answer is no fault of the component, and a restart would not mend it: exit 0.
`airflow jobs check` tells the same for 5 seconds of CPU; this takes a twentieth of one.
"""

import os
import socket
import sys

import psycopg2
from logins import send

THRESHOLD_SECONDS = 120
QUERY = """
select extract(epoch from now() - max(latest_heartbeat)) from job
where job_type = %s and state = 'running' and hostname in (%s, %s)
"""


def main(job_type: str) -> str | None:
    """What is wrong, or None."""
    # SQLAlchemy's scheme names the driver, which libpq does not know.
    _, _, location = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].partition("://")
    dsn = f"postgresql://{location}"
    hostname = socket.gethostname()
    try:
        connection = psycopg2.connect(dsn, connect_timeout=5)
    except psycopg2.OperationalError as error:
        print(f"not judged: {error}")
        return None
    with connection, connection.cursor() as cursor:
        cursor.execute(QUERY, (job_type, socket.gethostbyname(hostname), hostname))
        (age,) = cursor.fetchone()
    if age is None:
        return f"{hostname} has no running {job_type}"
    return f"the last heartbeat of {job_type} is {age:.0f} s old" if age > THRESHOLD_SECONDS else None


if __name__ == "__main__":
    send()
    sys.exit(main(sys.argv[1]))
