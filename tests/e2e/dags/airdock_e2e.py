"""DAGs of the end-to-end tests: what their container is and does is in the conf of the run."""

import os

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG

IMAGE = "{{ dag_run.conf.get('image', 'busybox:1.37') }}"
SCRIPT = "{{ dag_run.conf['script'] }}"

for queue in (queue for name, queue in os.environ.items() if name.startswith("AIRDOCK_DOCKER_QUEUE_")):
    with DAG(f"e2e_docker_{queue}", schedule=None, default_args={"queue": queue}):
        DockerOperator(task_id="work", image=IMAGE, command=["sh", "-c", SCRIPT])

for queue in (queue for name, queue in os.environ.items() if name.startswith("AIRDOCK_KUBERNETES_QUEUE_")):
    pod = {"image": IMAGE, "cmds": ["sh", "-c"], "arguments": [SCRIPT]}
    with DAG(f"e2e_pod_{queue}", schedule=None, default_args={"queue": queue}):
        KubernetesPodOperator(task_id="work", **pod)
    with DAG(f"e2e_deferred_{queue}", schedule=None, default_args={"queue": queue}):
        KubernetesPodOperator(task_id="work", deferrable=True, **pod)
