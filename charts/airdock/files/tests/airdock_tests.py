"""The DAGs of `helm test`: one for each worker group, and one whose tasks set no queue."""

import json
from pathlib import Path

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG

TESTS = json.loads(Path(__file__).with_name("tests.json").read_text())

for test in TESTS["tests"]:
    with DAG(
        test["dag"],
        description="helm test starts it",
        schedule=None,
        is_paused_upon_creation=False,
        default_args={"retries": 0, **({"queue": test["queue"]} if test["queue"] else {})},
        tags=["airdock"],
    ):
        if "docker" in test["serves"]:
            # The socket that DAGs name which ran beside a Docker daemon.
            DockerOperator(
                task_id="docker",
                image=TESTS["image"],
                command=["echo", "airdock"],
                docker_url="unix:///var/run/docker.sock",
            )
        if "kubernetes" in test["serves"]:
            KubernetesPodOperator(
                task_id="pod",
                image=TESTS["image"],
                cmds=["sh", "-c", "echo 42 > /airflow/xcom/return.json"],
                do_xcom_push=True,
            )
