"""A right that the Kubernetes API server denies: the task's log names the value that gives it."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiException

from tests.local_settings.settings import BashOperator, KubernetesPodOperator, load

ACCOUNT = "system:serviceaccount:airdock:airdock-worker-default"


def denied(verb: str, resource: str, group: str = "", namespace: str = "tasks") -> ApiException:
    """What the client raises: the API server's own words, as tests/api compares them."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    words = f'cannot {verb} resource "{resource}" in API group "{group}" {where}'
    error = ApiException(status=403, reason="Forbidden")
    error.body = json.dumps(
        {"kind": "Status", "message": f'{resource} is forbidden: User "{ACCOUNT}" {words}'}
    )
    return error


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRDOCK_TASK_CHECK_SECONDS", "1")
    monkeypatch.setenv("AIRDOCK_TASK_NAMESPACE", "tasks")
    monkeypatch.setenv("AIRDOCK_TASK_EXTRA_NAMESPACES", "more,others")


def said(error: BaseException, caplog: pytest.LogCaptureFixture, task: Any = None) -> list[str]:
    """Fail a task with an error; what its log says then."""
    task = task or KubernetesPodOperator()
    load().task_policy(task)
    for callback in task.on_execute_callback:
        callback({"task": task, "ti": SimpleNamespace()})
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        for callback in task.on_retry_callback:
            callback({"task": task, "exception": error})
    assert task.on_failure_callback == task.on_retry_callback
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (denied("create", "pods", namespace="airflow"), "tasks.extraNamespaces"),
        (denied("patch", "jobs", "batch"), "tasks.rbac.jobs"),
        (denied("patch", "jobs", "batch", "more"), "tasks.rbac.jobs"),
        (denied("get", "jobs/status", "batch"), "tasks.rbac.jobs"),
        (denied("create", "pods/exec"), "tasks.rbac.podExec"),
        (denied("list", "events"), "tasks.rbac.events"),
        (denied("create", "persistentvolumeclaims"), "tasks.rbac.claims"),
        (denied("create", "sparkapplications", "sparkoperator.k8s.io"), "tasks.rbac.rules"),
        (denied("get", "secrets"), "No value"),
        (denied("create", "rolebindings", "rbac.authorization.k8s.io"), "No value"),
        (denied("list", "nodes", namespace=""), "No value"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_denied_right_names_its_value(
    error: Exception, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    (line,) = said(error, caplog)
    assert value in line


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (denied("patch", "jobs", "batch", "gpu-tasks"), "set tasks.rbac.jobs, and to apply `make rbac-for"),
        (denied("create", "pods", namespace="tasks"), "Remove the argument namespace (default: gpu-tasks)."),
    ],
    ids=["a right", "the own cluster's namespace"],
)
def test_another_cluster(
    error: Exception, says: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"kube_config_path": "/run/airdock-clusters/gpu/kubeconfig", "namespace": "gpu-tasks"}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_GPU", json.dumps({"extra": extra}))
    task = KubernetesPodOperator()
    task.kubernetes_conn_id = "kubernetes_gpu"  # type: ignore[attr-defined]
    (line,) = said(error, caplog, task)
    assert says in line
    # A connection of the values' own is not the chart's.
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_GPU", "kubernetes://")
    assert says not in said(error, caplog, task)[0]


def test_it_is_found_behind_other_errors(caplog: pytest.LogCaptureFixture) -> None:
    """As a cause, in the list of create_from_yaml's error, and in a text with escaped quotes."""
    behind = RuntimeError("the operator failed")
    behind.__cause__ = denied("patch", "jobs", "batch")
    listed = RuntimeError("FailToCreateError")
    listed.api_exceptions = [denied("create", "persistentvolumeclaims")]  # type: ignore[attr-defined]
    text = RuntimeError(json.dumps(denied("list", "events").body))
    for error, value in ((behind, "jobs"), (listed, "claims"), (text, "events")):
        assert [f"tasks.rbac.{value}" in line for line in said(error, caplog)] == [True]


def test_any_operator_and_no_other_error(caplog: pytest.LogCaptureFixture) -> None:
    own = BashOperator()
    own.on_failure_callback = own.on_retry_callback = None  # type: ignore[attr-defined]
    assert said(denied("patch", "jobs", "batch"), caplog, own)
    assert not said(ApiException(status=404, reason="Not Found"), caplog)
    assert not said(KeyError("x"), caplog)


def test_callbacks_of_the_author_stay(caplog: pytest.LogCaptureFixture) -> None:
    task = KubernetesPodOperator()
    called: list[Any] = []
    task.on_failure_callback = task.on_retry_callback = called.append  # type: ignore[attr-defined]
    assert said(denied("list", "events"), caplog, task)
    assert len(called) == 1


@pytest.mark.parametrize(
    ("policy", "started", "named"),
    [
        ("airdock-tasks-egress", {"pod": "a pod"}, True),
        ("airdock-tasks-egress", {"pods": ["a pod of a Job"]}, True),
        ("airdock-tasks-egress", {"pod": None}, False),
        ("airdock-tasks-egress", {}, False),
        ("", {"pod": "a pod"}, False),
    ],
)
def test_a_failed_pod_under_strict_egress_names_the_policy(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    policy: str,
    started: dict[str, Any],
    named: bool,
) -> None:
    """As a container of the Docker gateway does."""
    monkeypatch.setenv("AIRDOCK_TASK_EGRESS_POLICY", policy)
    task = KubernetesPodOperator()
    vars(task).update(started)
    lines = said(RuntimeError("Pod failed"), caplog, task)
    assert bool(lines) is named
    for line in lines:
        assert f"{policy} of namespace tasks" in line
        assert "tasks.networkPolicy.egressRules" in line
