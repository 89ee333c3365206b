"""The DAGs of `make soak`: the result of a run says which run it was."""

import os
from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG

IMAGE = "busybox:1.37"
SAY = "sleep 20; echo 'the end of {{ run_id }}'"
RETURN = """mkdir -p /airflow/xcom; sleep 20; echo '"the end of {{ run_id }}"' > /airflow/xcom/return.json"""


def arguments(queue: str) -> dict[str, object]:
    """Give the arguments of every task."""
    retries = int(os.environ["SOAK_RETRIES"])
    return {"queue": queue, "retries": retries, "retry_delay": timedelta(seconds=5)}


for queue in os.environ["SOAK_DOCKER_QUEUES"].split(","):
    with DAG(f"soak_docker_{queue}", schedule=None, default_args=arguments(queue)):
        DockerOperator(task_id="work", image=IMAGE, command=["sh", "-c", SAY])
for queue in os.environ["SOAK_KUBERNETES_QUEUES"].split(","):
    pod = {"image": IMAGE, "cmds": ["sh", "-c"], "arguments": [RETURN], "do_xcom_push": True}
    with DAG(f"soak_pod_{queue}", schedule=None, default_args=arguments(queue)):
        KubernetesPodOperator(task_id="work", **pod)
    with DAG(f"soak_deferred_{queue}", schedule=None, default_args=arguments(queue)):
        KubernetesPodOperator(task_id="work", deferrable=True, **pod)
