"""The exit code decides: 0 is success, 99 is chosen here to mean "nothing to do", all else is a failure.

What follows a failing task does not run, and what follows a skipped one is skipped too.
"""

import os

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

IMAGE = "busybox:1.37"


def queues(prefix: str) -> list[str]:
    return [queue for name, queue in os.environ.items() if name.startswith(prefix)]


for queue in queues("AIRDOCK_DOCKER_QUEUE_"):
    common = {"schedule": None, "default_args": {"queue": queue}, "tags": ["airdock"]}
    with DAG(f"docker_skips_{queue}", **common):
        nothing = DockerOperator(
            task_id="nothing_to_do", image=IMAGE, command="sh -c 'exit 99'", skip_on_exit_code=99
        )
        nothing >> EmptyOperator(task_id="after")
    with DAG(f"docker_fails_{queue}", **common):
        fails = DockerOperator(task_id="exits_with_3", image=IMAGE, command="sh -c 'echo so long; exit 3'")
        fails >> EmptyOperator(task_id="after")

for queue in queues("AIRDOCK_KUBERNETES_QUEUE_"):
    common = {"schedule": None, "default_args": {"queue": queue}, "tags": ["airdock"]}
    with DAG(f"kubernetes_skips_{queue}", **common):
        nothing = KubernetesPodOperator(
            task_id="nothing_to_do", image=IMAGE, cmds=["sh", "-c", "exit 99"], skip_on_exit_code=99
        )
        nothing >> EmptyOperator(task_id="after")
    with DAG(f"kubernetes_fails_{queue}", **common):
        fails = KubernetesPodOperator(
            task_id="exits_with_3", image=IMAGE, cmds=["sh", "-c", "echo so long; exit 3"]
        )
        fails >> EmptyOperator(task_id="after")
