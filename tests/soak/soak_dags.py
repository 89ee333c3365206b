"""The DAGs of `make soak`: each prints at its end which run it was."""

import os
from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG

IMAGE = "busybox:1.37"
SAY = "sleep 20; echo 'the end of {{ run_id }}'"
RETURN = """mkdir -p /airflow/xcom; sleep 20; echo '"the end of {{ run_id }}"' > /airflow/xcom/return.json"""
RETRIES = int(os.environ["SOAK_RETRIES"])


def queues(what: str) -> list[str]:
    """Give a queue of each worker group that serves it."""
    return [queue for name, queue in os.environ.items() if name.startswith(f"AIRDOCK_{what}_QUEUE_")]


def arguments(queue: str) -> dict[str, object]:
    """Give the arguments of every task."""
    return {"queue": queue, "retries": RETRIES, "retry_delay": timedelta(seconds=5)}


for queue in queues("DOCKER"):
    with DAG(f"soak_docker_{queue}", schedule=None, default_args=arguments(queue)):
        DockerOperator(task_id="work", image=IMAGE, command=["sh", "-c", SAY])
for queue in queues("KUBERNETES"):
    pod = {"image": IMAGE, "cmds": ["sh", "-c"], "arguments": [RETURN], "do_xcom_push": True}
    with DAG(f"soak_pod_{queue}", schedule=None, default_args=arguments(queue)):
        KubernetesPodOperator(task_id="work", **pod)
    with DAG(f"soak_deferred_{queue}", schedule=None, default_args=arguments(queue)):
        KubernetesPodOperator(task_id="work", deferrable=True, **pod)
