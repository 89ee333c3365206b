"""Pull with the login of the Airflow connection `example_registry` (type docker: host, login, password).

That registry must hold `library/busybox:1.37`. Without the connection the pull is skipped, not failed.
"""

import os

from airflow.exceptions import AirflowNotFoundException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG, Connection, task


@task.short_circuit
def has_connection() -> bool:
    try:
        Connection.get("example_registry")
    except AirflowNotFoundException:
        return False
    return True


for queue in (queue for name, queue in os.environ.items() if name.startswith("AIRDOCK_DOCKER_QUEUE_")):
    with DAG(f"docker_registry_{queue}", schedule=None, default_args={"queue": queue}, tags=["airdock"]):
        pull = DockerOperator(
            task_id="pull",
            image="{{ conn.example_registry.host }}/library/busybox:1.37",
            docker_conn_id="example_registry",
            force_pull=True,
            command="echo pulled",
        )
        has_connection() >> pull
