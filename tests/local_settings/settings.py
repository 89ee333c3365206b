"""The module as Airflow loads it, and what its policies see of tasks and pods, without Airflow.

The policies read names and attributes only. tests/e2e/test_policies.py runs the same file on real operators,
in the image.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

from kubernetes.client import ApiClient, models

from tests.support.chart_modules import load_module
from tests.support.paths import FILES

SOURCE = FILES / "airflow_local_settings.py"


HOST = "unix:///run/airdock/docker.sock"


USUAL = "unix:///var/run/docker.sock"


def load(user: dict[str, Any] | None = None) -> ModuleType:
    """Import the settings as Airflow does, with or without a user's module beside them."""
    sys.modules.pop("airdock_user_settings", None)
    if user is not None:
        module = ModuleType("airdock_user_settings")
        vars(module).update(user)
        sys.modules["airdock_user_settings"] = module
    return load_module(SOURCE)


class DockerOperator:
    """What the policy sees of Airflow's operator: a class name and attributes."""

    def __init__(self, docker_url: Any = USUAL, **attributes: Any):
        self.docker_url = docker_url
        self.queue = "default"
        self.on_execute_callback: list[Any] = []
        self.labels = self.retrieve_output_path = None
        self.retrieve_output = self.xcom_all = False
        self.do_xcom_push, self._post_execute_hook = True, None
        self.environment: dict[str, str] = {}
        self.mounts: list[Any] = []
        self.env_file: str | None = None
        self.__dict__.update(attributes)

    @staticmethod
    def unpack_environment_variables(text: str) -> dict[str, str | None]:
        """Read variables from the text of env_file."""
        pairs = (line.partition("=") for line in text.splitlines())
        return {name: value if equals else None for name, equals, value in pairs}


class _DockerDecoratedOperator(DockerOperator):
    pass


class TheirOwnOperator(_DockerDecoratedOperator):
    pass


class BashOperator:
    docker_url = USUAL
    queue = "default"
    on_execute_callback = ()


class KubernetesPodOperator:
    def __init__(self, queue: str = "default", startup_check_interval_seconds: float = 5):
        self.queue = queue
        self.on_execute_callback: list[Any] = []
        self.startup_check_interval_seconds = startup_check_interval_seconds


class KubernetesJobOperator(KubernetesPodOperator):
    def __init__(self, job_poll_interval: float = 10):
        super().__init__()
        self.job_poll_interval = job_poll_interval
        self.ttl_seconds_after_finished: int | None = None
        self.job_template_file: str | None = None
        self.full_job_spec: object = None


def mapped(cls: type, **attributes: Any) -> Any:
    """What the policy sees of a mapped task; tests/e2e/inside/policies.py has the real one."""
    return SimpleNamespace(operator_class=cls, **{"queue": "default", "on_execute_callback": []} | attributes)


def run(task: Any, **instance: Any) -> Any:
    """Run a task as far as its execute(): its policy at parsing, then its callbacks."""
    load().task_policy(task)
    ti = {"dag_id": "d", "task_id": "t", "run_id": "r", "try_number": 2, "map_index": -1, **instance}
    for callback in task.on_execute_callback:
        callback({"task": task, "ti": SimpleNamespace(**ti)})
    return task


def pod(**spec: Any) -> models.V1Pod:
    """Build a pod as KubernetesPodOperator does from `image` alone, with changes to its spec."""
    base = models.V1Container(name="base", image="busybox:1.37", resources=None)
    return models.V1Pod(
        metadata=models.V1ObjectMeta(name="p", labels={}),
        spec=models.V1PodSpec(**{"containers": [base], "init_containers": [], **spec}),
    )


def wire(what: models.V1Pod) -> dict[str, Any]:
    """Give the JSON that goes to the API server."""
    sent: dict[str, Any] = ApiClient().sanitize_for_serialization(what)["spec"]
    return sent
