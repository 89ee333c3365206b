"""DAGs that name the socket everybody names need no change: Airdock sends them to the worker's own daemon."""

import os

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG

USUAL = "unix:///var/run/docker.sock"

for queue in (queue for name, queue in os.environ.items() if name.startswith("AIRDOCK_DOCKER_QUEUE_")):
    with DAG(f"docker_url_{queue}", schedule=None, default_args={"queue": queue}, tags=["airdock"]):
        DockerOperator(task_id="plain", image="busybox:1.37", command="echo plain", docker_url=USUAL)
        DockerOperator(
            task_id="first_that_answers",
            image="busybox:1.37",
            command="echo list",
            docker_url=["unix:///nowhere/docker.sock", USUAL],
        )
        DockerOperator.partial(task_id="mapped", image="busybox:1.37", docker_url=USUAL).expand(
            command=["echo one", "echo two"]
        )
