"""Deferred pods whose first try comes to an end that a lost worker or API server brings."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.callbacks import KubernetesPodOperatorCallback
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

RETURN = "mkdir -p /airflow/xcom; echo '\"the result\"' > /airflow/xcom/return.json"


class LostBeforeDeferral(KubernetesPodOperatorCallback):
    """Fails the first try when the container has ended: the next one finds the pod."""

    @staticmethod
    def on_pod_creation(*, context: Any, **_: Any) -> None:
        if context["ti"].try_number == 1:
            time.sleep(15)
            raise RuntimeError("lost before the deferral")


def lose_pod(context: Any) -> None:
    """Delete the pod of the first try before the task goes on."""
    ti, task = context["ti"], context["task"]
    name = ti.xcom_pull(task_ids=ti.task_id, key="pod_name")
    if ti.try_number > 1 or not name:
        return
    namespace = ti.xcom_pull(task_ids=ti.task_id, key="pod_namespace")
    task.client.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
    while task.client.list_namespaced_pod(namespace, field_selector=f"metadata.name={name}").items:
        time.sleep(0.5)


for dag_id, options in {
    "deferred_again": {"callbacks": [LostBeforeDeferral]},
    "deferred_without_pod": {"on_execute_callback": lose_pod},
}.items():
    with DAG(dag_id, schedule=None, default_args={"retries": 1, "retry_delay": timedelta(seconds=1)}):
        KubernetesPodOperator(
            task_id="work", image="busybox:1.37", cmds=["sh", "-c", RETURN], do_xcom_push=True,
            deferrable=True, **options,
        )  # fmt: skip
