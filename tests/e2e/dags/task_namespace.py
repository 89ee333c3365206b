"""What a DAG author may ask of the Kubernetes operators: one task for each, in one DAG.

tests/e2e/test_task_namespace.py looks at how each of them ends.
"""

import datetime
import os
from pathlib import Path

from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.sdk import DAG, task
from kubernetes.client import models as k8s

IMAGE = "busybox:1.37"
PRIVATE = "localhost:5443/private/busybox:1.37"
ONE_RUN = {"schedule": None, "max_active_tasks": 40}


def script(text: str) -> dict:
    return {"image": IMAGE, "cmds": ["sh", "-c", text]}


def sleeping(seconds: int) -> dict:
    """Give a container that ends as soon as it is told to."""
    return script(f"trap 'exit 1' TERM; for i in $(seq {seconds}); do echo tick $i; sleep 1; done")


def plainly() -> None:
    KubernetesPodOperator(task_id="logs", **script("echo to stdout; echo to stderr >&2"))
    sends = KubernetesPodOperator(
        task_id="xcom_out", do_xcom_push=True, **script("echo '{\"n\": 6}' > /airflow/xcom/return.json")
    )
    receives = KubernetesPodOperator(
        task_id="xcom_in",
        env_vars={"N": "{{ ti.xcom_pull(task_ids='xcom_out')['n'] }}"},
        **script("echo N is $N"),
    )
    sends >> receives
    KubernetesPodOperator(
        task_id="deferred",
        deferrable=True,
        do_xcom_push=True,
        **script("echo said while deferred; sleep 3; echo '[7]' > /airflow/xcom/return.json"),
    )
    KubernetesJobOperator(
        task_id="job",
        wait_until_job_complete=True,
        do_xcom_push=True,
        **script("echo said by the job; echo '\"done\"' > /airflow/xcom/return.json"),
    )

    @task.kubernetes(image="python:3.13-slim", do_xcom_push=True)
    def decorated(n: int) -> int:
        print(f"n is {n}")
        return n * 7

    decorated(6)
    # Of the two expanded values, neither names a queue, an account or a security context.
    KubernetesPodOperator.partial(task_id="mapped", image=IMAGE, cmds=["echo"]).expand(
        arguments=[["one"], ["two"]]
    )


def with_objects_on_the_lists() -> None:
    data = k8s.V1Volume(
        name="data",
        persistent_volume_claim=k8s.V1PersistentVolumeClaimVolumeSource(claim_name="e2e-data"),
    )
    KubernetesPodOperator(
        task_id="allowed",
        configmaps=["e2e-settings"],
        secrets=[
            Secret("env", "TOKEN", "e2e-token", "token"),
            Secret("volume", "/etc/token", "e2e-token"),
        ],
        volumes=[data],
        volume_mounts=[k8s.V1VolumeMount(name="data", mount_path="/data")],
        **script("echo $COLOUR $TOKEN $(cat /etc/token/token) > /data/word; cat /data/word"),
    )
    KubernetesPodOperator(
        task_id="refused",
        secrets=[Secret("env", "TOKEN", "not-on-the-list", "token")],
        priority_class_name="system-cluster-critical",
        **script("true"),
    )
    for task_id, secrets in (("private", ["e2e-pull"]), ("private_without_secret", [])):
        KubernetesPodOperator(
            task_id=task_id,
            image_pull_policy="Always",
            image_pull_secrets=[k8s.V1LocalObjectReference(name) for name in secrets],
            **{**script("echo pulled"), "image": PRIVATE},
        )


def in_other_shapes() -> None:
    template = Path(__file__).with_name("pod.yaml")
    KubernetesPodOperator(task_id="template_file", pod_template_file=str(template))
    KubernetesPodOperator(
        task_id="full_pod_spec",
        full_pod_spec=k8s.V1Pod(
            metadata=k8s.V1ObjectMeta(labels={"team": "e2e"}),
            spec=k8s.V1PodSpec(
                restart_policy="Never",
                containers=[
                    k8s.V1Container(name="base", image=IMAGE, command=["echo", "said by a full pod spec"])
                ],
            ),
        ),
    )
    shared = k8s.V1Volume(name="shared", empty_dir=k8s.V1EmptyDirVolumeSource())
    mount = k8s.V1VolumeMount(name="shared", mount_path="/shared")
    sidecar = k8s.V1Container(
        name="sidecar",
        image=IMAGE,
        command=["sh", "-c", "trap 'exit 0' TERM; echo said by the sidecar > /shared/word; sleep 60 & wait"],
        restart_policy="Always",
        volume_mounts=[mount],
    )
    first = k8s.V1Container(
        name="first",
        image=IMAGE,
        command=["sh", "-c", "echo said by the init container | tee /shared/first"],
        volume_mounts=[mount],
    )
    KubernetesPodOperator(
        task_id="init_and_sidecar",
        init_containers=[sidecar, first],
        init_container_logs=["first"],
        volumes=[shared],
        volume_mounts=[mount],
        **script("until [ -s /shared/word ]; do sleep 0.1; done; cat /shared/word; echo at the end"),
    )
    KubernetesPodOperator(
        task_id="resources",
        container_resources=k8s.V1ResourceRequirements(
            requests={"cpu": "20m", "memory": "40Mi"}, limits={"cpu": "300m", "memory": "77Mi"}
        ),
        **script("cat $(find /sys/fs/cgroup -name memory.max -o -name memory.limit_in_bytes | head -n 1)"),
    )


def on_nodes() -> None:
    KubernetesPodOperator(task_id="placed", node_selector={"airdock.dev/e2e": "here"}, **script("echo here"))
    KubernetesPodOperator(
        task_id="nowhere",
        node_selector={"airdock.dev/e2e": "nowhere"},
        schedule_timeout_seconds=10,
        startup_timeout_seconds=10,
        **script("true"),
    )


def ending_otherwise() -> None:
    KubernetesPodOperator(
        task_id="timeout", execution_timeout=datetime.timedelta(seconds=15), **sleeping(300)
    )
    KubernetesPodOperator(task_id="killed", **sleeping(300))
    fails = script("echo so long; exit 3")
    KubernetesPodOperator(task_id="fails", **fails)
    KubernetesPodOperator(task_id="fails_and_stays", on_finish_action="delete_succeeded_pod", **fails)
    KubernetesPodOperator(task_id="stays", on_finish_action="keep_pod", **script("true"))


if any(name.startswith("AIRDOCK_KUBERNETES_QUEUE_") for name in os.environ):
    with DAG("e2e_task_namespace", **ONE_RUN):
        plainly()
        with_objects_on_the_lists()
        in_other_shapes()
        on_nodes()
        ending_otherwise()
    # Alone on its workers, whose death is a part of the test.
    with DAG("e2e_reattach", **ONE_RUN, default_args={"queue": "fragile"}):
        KubernetesPodOperator(
            task_id="reattach",
            do_xcom_push=True,
            retries=1,
            retry_delay=datetime.timedelta(0),
            **script(
                "for i in $(seq 70); do echo tick $i; sleep 1; done; echo 70 > /airflow/xcom/return.json"
            ),
        )
