"""Runs in a container of the release: the cluster policies, as Airflow loads them, on real operators."""

# mypy: ignore-errors

import importlib
import os
import pkgutil
import sys
from types import SimpleNamespace
from unittest import mock

import airflow  # noqa: F401  (initializes the settings)
import airflow.settings as settings
import airflow_local_settings
from airflow.providers.cncf.kubernetes import operators, sensors
from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseOperator, task
from airflow.sdk.execution_time import task_runner
from airflow.serialization.serialized_objects import DagSerialization
from kubernetes.client import ApiClient

os.environ["DOCKER_HOST"] = HOST = "unix:///run/airdock/docker.sock"
os.environ["AIRDOCK_DOCKER_HOSTS"] = "docker"
os.environ["AIRDOCK_DOCKER_GATEWAY"] = "true"
for name in [name for name in os.environ if "_QUEUE" in name]:
    del os.environ[name]
os.environ["AIRDOCK_DOCKER_QUEUE_BUILDS"] = "builds"
os.environ["AIRDOCK_KUBERNETES_QUEUE_PODS"] = "pods"
USUAL, TCP, FAR = "unix:///var/run/docker.sock", "tcp://docker:2375", "tcp://far:2375"

if len(sys.argv) == 1:  # in the release; with an argument, anywhere
    assert airflow_local_settings.__file__ == "/opt/airflow/config/airflow_local_settings.py"
assert settings.task_instance_mutation_hook.is_noop, "costs the scheduler its fast path"


class TheirOwn(DockerOperator):
    """A subclass, as users write them."""


with DAG("policies", schedule=None) as dag:
    DockerOperator(task_id="plain", image="i", docker_url=USUAL)
    DockerOperator(task_id="default", image="i", labels=["bare"])
    DockerOperator(task_id="tcp", image="i", docker_url=TCP)
    DockerOperator(task_id="far", image="i", docker_url=FAR)
    DockerOperator(task_id="tls", image="i", docker_url=TCP, tls_ca_cert="/a", queue="mine")
    TheirOwn(task_id="subclass", image="i", docker_url=[USUAL])
    DockerOperator.partial(task_id="mapped", image="i", docker_url=TCP).expand(command=["a", "b"])
    DockerOperator.partial(task_id="mapped_url", image="i").expand(docker_url=[USUAL, FAR])
    DockerOperator.partial(task_id="mapped_kwargs", image="i").expand_kwargs([{"docker_url": USUAL}])
    BashOperator(task_id="bash", bash_command="true")
    KubernetesPodOperator(task_id="pod", image="i")
    KubernetesPodOperator.partial(task_id="pods", image="i").expand(cmds=[["a"]])
    KubernetesPodOperator.partial(task_id="my_pods", image="i", queue="mine").expand(cmds=[["a"]])
    KubernetesJobOperator(task_id="job", image="i")

    @task.docker(image="i", docker_url=USUAL)
    def decorated() -> None: ...

    @task.docker(image="i", docker_url=USUAL)
    def decorated_mapped(n: int) -> None: ...

    @task.kubernetes(image="i")
    def decorated_pod() -> None: ...

    decorated()
    decorated_mapped.expand(n=[1, 2])
    decorated_pod()

# As the dag-processor does it, which has no DOCKER_HOST, and as a task's process does.
del os.environ["DOCKER_HOST"]
os.environ.pop("AIRDOCK_TASK_CHECK_SECONDS", None)
for each in dag.tasks:
    settings.task_policy(each)
assert not any(each.on_execute_callback for each in dag.tasks), "nothing to do when a DAG is parsed"
serialized = DagSerialization.to_dict(dag)["dag"]["tasks"]
queues = {
    each["__var"]["task_id"]: each["__var"].get("queue")
    or each["__var"].get("partial_kwargs", {}).get("queue", "default")
    for each in serialized
}
os.environ["DOCKER_HOST"] = HOST
os.environ["AIRDOCK_TASK_CHECK_SECONDS"] = "0.5"
os.environ["AIRDOCK_TASK_TTL_SECONDS"] = "86400"
for each in dag.tasks:
    settings.task_policy(each)

tasks = dag.task_dict
pods = {"pod", "pods", "job", "decorated_pod"}
others = {"bash": "default", "tls": "mine", "my_pods": "mine"}
wanted = {name: others.get(name, "pods" if name in pods else "builds") for name in tasks}
assert queues == wanted, queues


def started(task_id, **expanded):
    """Give the operator as its execute() finds it."""
    operator = tasks[task_id].unmap(expanded) if hasattr(tasks[task_id], "unmap") else tasks[task_id]
    index = 0 if expanded else -1
    ti = type(
        "TI",
        (),
        {"dag_id": "policies", "task_id": task_id, "run_id": "r", "try_number": 1, "map_index": index},
    )
    assert len(operator.on_execute_callback) == 2, task_id
    for callback in operator.on_execute_callback:
        callback({"task": operator, "ti": ti()})
    assert operator.labels["airdock.dev/task-id"] == task_id
    assert ("airdock.dev/map-index" in operator.labels) == bool(expanded)
    return operator


def pushed(task_id, result):
    """Have Airflow's task runner execute a task that returns `result`; give what it pushes as XCom."""
    operator, found = tasks[task_id].prepare_for_execution(), []
    operator.execute = lambda context: result
    ti = SimpleNamespace(
        task=operator, dag_id="policies", task_id=task_id, run_id="r", try_number=1, map_index=-1,
        is_mapped=False, _ti_context_from_server=None, xcom_push=lambda *each: found.append(each),
    )  # fmt: skip
    context = {"task": operator, "ti": ti, "outlet_events": {}}
    with mock.patch.object(task_runner, "context_to_airflow_vars", lambda *_, **__: {}):
        returned = task_runner._execute_task(context, ti, mock.Mock())
    with mock.patch.object(task_runner, "_xcom_push", lambda ti, key, value, **_: found.append(value)):
        task_runner._push_xcom_if_needed(returned, ti, mock.Mock())
    return found


WAITS = "[airdock] Waiting: the node pulls the image"
assert pushed("plain", "done") == ["done"]
assert pushed("plain", WAITS) == []
assert pushed("plain", [WAITS, "a", ""]) == [["a", ""]]
assert pushed("subclass", [WAITS]) == []

for name in ("plain", "default", "tcp", "decorated"):
    assert started(name).docker_url == HOST, name
assert started("default").labels["bare"] == ""
assert started("decorated").labels["airdock.dev/retrieve-output"] == "/tmp/script.out"
assert started("far").docker_url == FAR
assert started("tls").docker_url == TCP
assert started("subclass").docker_url == [HOST]
assert started("mapped", command="a").docker_url == HOST
assert started("mapped_url", docker_url=USUAL).docker_url == HOST
assert started("mapped_url", docker_url=FAR).docker_url == FAR
assert started("mapped_kwargs", docker_url=USUAL).docker_url == HOST
assert started("decorated_mapped", op_kwargs={"n": 1}).docker_url == HOST

for name in ("pod", "job", "decorated_pod"):
    for callback in tasks[name].on_execute_callback:
        callback({"task": tasks[name]})
    assert tasks[name].startup_check_interval_seconds == 0.5
assert tasks["job"].job_poll_interval == 0.5
assert tasks["job"].ttl_seconds_after_finished == 86400

# Every operator and sensor of the provider is one of those that are routed, and a denied right is explained.
for package in (operators, sensors):
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        for name, cls in vars(module).items():
            if isinstance(cls, type) and issubclass(cls, BaseOperator) and cls.__module__ == module.__name__:
                names = {parent.__name__ for parent in cls.__mro__}
                assert names & airflow_local_settings.KUBERNETES_OPERATORS, (
                    f"{name} stays on the default queue"
                )
for name in ("on_failure_callback", "on_retry_callback"):
    assert importlib.import_module("airdock_denials").explain in getattr(tasks["pod"], name)

# A pod as the operator builds it, XCom sidecar included, is what Pod Security "restricted" admits.
operator = KubernetesPodOperator(task_id="pod", image="i", do_xcom_push=True, namespace="tasks")
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
