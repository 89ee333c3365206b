"""Every operator: its queue, the executor of the queue, and how often a pod is polled."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.local_settings.settings import (
    BashOperator,
    DockerOperator,
    KubernetesJobOperator,
    KubernetesPodOperator,
    TheirOwnOperator,
    load,
    mapped,
    run,
)


class AirflowClusterPolicyViolation(Exception):
    """What Airflow turns into an import error of the DAG's file."""


@pytest.fixture
def executors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dag-processor's environment with a worker group of each executor."""
    queues = {
        "default": {"executor": "CeleryExecutor", "group": "default"},
        "heavy": {"executor": "KubernetesExecutor", "group": "big"},
    }
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("AIRDOCK_EXECUTORS", json.dumps(queues))
    monkeypatch.setenv("AIRDOCK_POD_TEMPLATES", "/templates")
    exceptions = ModuleType("airflow.exceptions")
    exceptions.AirflowClusterPolicyViolation = AirflowClusterPolicyViolation  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "airflow.exceptions", exceptions)


def operator(**attributes: Any) -> Any:
    """A task that is neither Docker's nor Kubernetes'."""
    given = {"task_id": "t", "queue": "default", "executor": None, "executor_config": {}} | attributes
    return SimpleNamespace(**given)


TEMPLATE = {"pod_template_file": "/templates/big.yaml"}


@pytest.mark.usefixtures("executors")
@pytest.mark.parametrize(
    ("given", "executor", "config"),
    [
        ({}, "CeleryExecutor", {}),
        ({"queue": "heavy"}, "KubernetesExecutor", TEMPLATE),
        ({"queue": "heavy", "executor": "KubernetesExecutor"}, "KubernetesExecutor", TEMPLATE),
        # The queue's template, whatever the author names; his other settings stay.
        (
            {"queue": "heavy", "executor_config": {"pod_template_file": "/else.yaml", "mine": 1}},
            "KubernetesExecutor",
            {**TEMPLATE, "mine": 1},
        ),
        ({"executor": "KubernetesExecutor"}, "KubernetesExecutor", {}),
        ({"executor": "mine.Executor", "queue": "heavy"}, "mine.Executor", TEMPLATE),
        ({"queue": "nobody's"}, None, {}),
    ],
)
def test_a_task_gets_the_executor_of_its_queue(
    given: dict[str, Any], executor: str | None, config: dict[str, Any]
) -> None:
    task = operator(**given)
    load().task_policy(task)
    assert (task.executor, task.executor_config) == (executor, config)


@pytest.mark.usefixtures("executors")
def test_a_mapped_task_too() -> None:
    """Its executor is no attribute that can be set."""
    task = operator(queue="heavy", partial_kwargs={"retries": 1})
    load().task_policy(task)
    assert task.partial_kwargs == {
        "retries": 1,
        "executor": "KubernetesExecutor",
        "executor_config": TEMPLATE,
    }


@pytest.mark.usefixtures("executors")
def test_a_queue_that_celery_does_not_serve() -> None:
    with pytest.raises(AirflowClusterPolicyViolation, match=r"task t: .*CeleryExecutor.*heavy.*group big"):
        load().task_policy(operator(queue="heavy", executor="CeleryExecutor"))


@pytest.mark.usefixtures("executors")
def test_routed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Docker task that names no queue gets one, and with it that group's executor."""
    monkeypatch.setenv("AIRDOCK_DOCKER_QUEUE_BIG", "heavy")
    task = DockerOperator(task_id="t", executor=None, executor_config={})
    load().task_policy(task)
    assert (task.queue, task.executor, task.executor_config) == ("heavy", "KubernetesExecutor", TEMPLATE)


DOCKER, PODS = "AIRDOCK_DOCKER_QUEUE", "AIRDOCK_KUBERNETES_QUEUE"


@pytest.mark.parametrize(
    ("environ", "docker", "pods"),
    [
        ({}, "default", "default"),
        ({f"{DOCKER}_DIND": "builds"}, "builds", "default"),
        ({f"{DOCKER}_DIND": "builds", f"{PODS}_DEFAULT": "default"}, "builds", "default"),
        ({f"{DOCKER}_DEFAULT": "default", f"{PODS}_PODS": "pods"}, "default", "pods"),
        # The default queue's own group comes first, whatever its name.
        ({f"{DOCKER}_A": "a", f"{DOCKER}_Z": "default"}, "default", "default"),
        ({f"{DOCKER}_B": "first", f"{DOCKER}_C": "second"}, "first", "default"),
        ({f"{DOCKER}_C": "second", f"{DOCKER}_B": "first", DOCKER: "second"}, "second", "default"),
        ({f"{DOCKER}_DEFAULT": "default", DOCKER: "chosen"}, "chosen", "default"),
        ({f"{PODS}_DEFAULT": "default", PODS: "chosen"}, "default", "chosen"),
    ],
)
def test_routing(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], docker: str, pods: str) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    expected: list[tuple[Any, str]] = [
        (DockerOperator(), docker),
        (TheirOwnOperator(), docker),
        (mapped(DockerOperator), docker),
        (KubernetesPodOperator(), pods),
        (KubernetesJobOperator(), pods),
        (mapped(KubernetesJobOperator), pods),
        *((mapped(type(name, (), {})), pods) for name in load().KUBERNETES_OPERATORS),
        (BashOperator(), "default"),
        # Chosen by the author.
        (DockerOperator(queue="mine"), "mine"),
        (mapped(DockerOperator, queue="mine"), "mine"),
        (KubernetesPodOperator(queue="mine"), "mine"),
    ]
    for task, queue in expected:
        load().task_policy(task)
        assert task.queue == queue


@pytest.mark.parametrize(
    ("seconds", "task", "wanted"),
    [
        ("0.5", KubernetesPodOperator(), {"startup_check_interval_seconds": 0.5}),
        (
            "1",
            KubernetesJobOperator(),
            {"startup_check_interval_seconds": 1.0, "job_poll_interval": 1.0},
        ),
        (
            "1",
            KubernetesPodOperator(startup_check_interval_seconds=30),
            {"startup_check_interval_seconds": 30},
        ),
        ("1", KubernetesJobOperator(job_poll_interval=60), {"job_poll_interval": 60}),
        ("", KubernetesPodOperator(), {"startup_check_interval_seconds": 5}),
    ],
)
def test_looks_at_pods(
    monkeypatch: pytest.MonkeyPatch, seconds: str, task: Any, wanted: dict[str, float]
) -> None:
    monkeypatch.setenv("AIRDOCK_TASK_CHECK_SECONDS", seconds)
    assert wanted.items() <= vars(run(task)).items()


@pytest.mark.parametrize(
    ("value", "given", "wanted"),
    [
        ("86400", {}, 86400),
        ("86400", {"ttl_seconds_after_finished": 5}, 5),
        ("86400", {"ttl_seconds_after_finished": 0}, 0),
        ("86400", {"job_template_file": "job.yaml"}, None),
        ("86400", {"full_job_spec": object()}, None),
        ("0", {}, None),
        ("", {}, None),
    ],
)
def test_jobs_that_have_ended_are_deleted_unless_the_author_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, value: str, given: dict[str, Any], wanted: int | None
) -> None:
    monkeypatch.setenv("AIRDOCK_TASK_CHECK_SECONDS", "1")
    monkeypatch.setenv("AIRDOCK_TASK_TTL_SECONDS", value)
    task = KubernetesJobOperator()
    vars(task).update(given)
    assert run(task).ttl_seconds_after_finished == wanted
    assert not hasattr(run(KubernetesPodOperator()), "ttl_seconds_after_finished")


@pytest.mark.parametrize(("may", "deferred"), [("", True), ("true", True), ("false", False)])
@pytest.mark.parametrize("operator", [KubernetesPodOperator, KubernetesJobOperator])
def test_defers_only_where_the_triggerer_has_rights(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, operator: Any, may: str, deferred: bool
) -> None:
    monkeypatch.setenv("AIRDOCK_TASK_CHECK_SECONDS", "1")
    monkeypatch.setenv("AIRDOCK_TASK_DEFERRABLE", may)
    task = operator()
    task.deferrable = True
    assert run(task).deferrable is deferred
    assert ("tasks.rbac.deferrable" in caplog.text) is not deferred
    task = operator()
    task.deferrable = False
    caplog.clear()
    run(task)
    assert not caplog.text


@pytest.mark.parametrize(
    ("given", "config_file", "kubeconfig", "wanted"),
    [
        (False, None, "", None),
        (False, "/k", "", False),
        (False, None, "/k", False),
        (True, None, "", True),
        (None, None, "", None),
    ],
)
def test_in_cluster_means_the_same_in_the_triggerer(
    monkeypatch: pytest.MonkeyPatch, given: Any, config_file: Any, kubeconfig: str, wanted: Any
) -> None:
    monkeypatch.setenv("AIRDOCK_TASK_CHECK_SECONDS", "1")
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    task: Any = KubernetesPodOperator()
    task.in_cluster, task.config_file = given, config_file
    assert run(task).in_cluster is wanted
