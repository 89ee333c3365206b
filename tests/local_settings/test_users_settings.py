"""airflow.localSettings: a user's own policies and hooks, together with the chart's."""

from __future__ import annotations

from pathlib import Path

import pytest
from kubernetes.client import models

from tests.local_settings.settings import DockerOperator, load, pod, wire


def test_hooks_that_nobody_wrote_do_not_exist() -> None:
    assert sorted(load().__all__) == ["pod_mutation_hook", "task_policy"]


def test_the_users_hooks_run_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def pod_hook(p: models.V1Pod) -> None:
        assert p.spec.security_context is None
        p.spec.security_context = models.V1PodSecurityContext(run_as_user=7)

    def policy(task: DockerOperator) -> None:
        task.queue = "default"

    monkeypatch.setenv("AIRDOCK_DOCKER_QUEUE_DIND", "builds")
    settings = load({"pod_mutation_hook": pod_hook, "task_policy": policy})
    p = pod()
    settings.pod_mutation_hook(p)
    assert wire(p)["securityContext"]["runAsUser"] == 7
    task = DockerOperator(queue="other")
    settings.task_policy(task)
    assert task.queue == "builds"


def test_everything_else_of_the_user_reaches_airflow() -> None:
    def dag_policy(dag: object) -> None: ...

    def task_instance_mutation_hook(task_instance: object) -> None: ...

    user = {
        "dag_policy": dag_policy,
        "task_instance_mutation_hook": task_instance_mutation_hook,
        "STATE_COLORS": {"queued": "grey"},
        "_private": 1,
    }
    settings = load(user)
    assert sorted(settings.__all__) == [
        "STATE_COLORS",
        "dag_policy",
        "pod_mutation_hook",
        "task_instance_mutation_hook",
        "task_policy",
    ]
    assert settings.dag_policy is dag_policy
    assert settings.STATE_COLORS == {"queued": "grey"}
    assert sorted(load({**user, "__all__": ["dag_policy"]}).__all__) == [
        "dag_policy",
        "pod_mutation_hook",
        "task_policy",
    ]


def test_a_users_broken_import_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "airdock_user_settings.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load()
