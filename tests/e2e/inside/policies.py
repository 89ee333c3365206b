"""Runs in a container of the release: the cluster policies, as Airflow loads them, on real operators."""

# mypy: ignore-errors

import os

os.environ["DOCKER_HOST"] = HOST = "unix:///run/airdock/docker.sock"

import airflow  # noqa: F401  (initializes the settings)
import airflow.settings as settings
import airflow_local_settings
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG, task
from kubernetes.client import ApiClient

USUAL = "unix:///var/run/docker.sock"

assert airflow_local_settings.__file__ == "/opt/airflow/config/airflow_local_settings.py"
assert settings.task_instance_mutation_hook.is_noop, "costs the scheduler its fast path"


class TheirOwn(DockerOperator):
    """A subclass, as users write them."""


with DAG("policies", schedule=None) as dag:
    DockerOperator(task_id="plain", image="i", docker_url=USUAL)
    DockerOperator(task_id="default", image="i")
    DockerOperator(task_id="tcp", image="i", docker_url="tcp://docker:2375")
    TheirOwn(task_id="subclass", image="i", docker_url=[USUAL])
    DockerOperator.partial(task_id="mapped", image="i", docker_url=USUAL).expand(command=["a", "b"])
    DockerOperator.partial(task_id="mapped_url", image="i").expand(docker_url=[USUAL, "tcp://docker:2375"])
    DockerOperator.partial(task_id="mapped_kwargs", image="i").expand_kwargs([{"docker_url": USUAL}])

    @task.docker(image="i", docker_url=USUAL)
    def decorated() -> None: ...

    @task.docker(image="i", docker_url=USUAL)
    def decorated_mapped(n: int) -> None: ...

    decorated()
    decorated_mapped.expand(n=[1, 2])

for each in dag.tasks:
    settings.task_policy(each)

tasks = dag.task_dict
assert tasks["plain"].docker_url == HOST
assert tasks["default"].docker_url == HOST
assert tasks["tcp"].docker_url == "tcp://docker:2375"
assert tasks["subclass"].docker_url == [HOST]
assert tasks["decorated"].docker_url == HOST
assert tasks["mapped"].unmap({"command": "a"}).docker_url == HOST
assert tasks["mapped_url"].expand_input.value == {"docker_url": [HOST, "tcp://docker:2375"]}
assert list(tasks["mapped_kwargs"].expand_input.value) == [{"docker_url": HOST}]
assert tasks["decorated_mapped"].partial_kwargs["docker_url"] == HOST

# A pod as the operator builds it, XCom sidecar included, is what Pod Security "restricted" admits.
operator = KubernetesPodOperator(task_id="pod", image="i", do_xcom_push=True, namespace="tasks")
context = {"ti": type("TI", (), {"map_index": -1})}
operator._get_ti_pod_labels = lambda *args, **kwargs: {}
operator.hook.get_xcom_sidecar_container_image = lambda: "i"
operator.hook.get_xcom_sidecar_container_resources = lambda: None
operator.hook.get_xcom_sidecar_container_security_context = lambda: None
spec = ApiClient().sanitize_for_serialization(operator.build_pod_request_obj(dry_run=True))["spec"]
assert spec["securityContext"]["runAsNonRoot"] is True
assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
assert len(spec["containers"]) == 2
for container in spec["containers"]:
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["runAsNonRoot"] is True
    assert container["resources"]["limits"]["memory"]
print("all policies hold")
