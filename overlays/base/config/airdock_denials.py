"""What the chart denied to a task that failed: its log names the value that gives it."""

from __future__ import annotations

import json
import logging
import os
import re
from typing import Any

_log = logging.getLogger(__name__)

# The API server's words; in the text of an exception the quotes may be escaped.
_DENIED = re.compile(
    r'cannot (\w+) resource \\*"([\w./-]+)\\*" in API group \\*"([\w.-]*)\\*"'
    r'(?: in the namespace \\*"([\w.-]+)\\*")?'
)
# Groups that tasks.rbac.rules does not take, among those for which DAGs ask.
KUBERNETES_GROUPS = {
    f"{name}.k8s.io" for name in ("rbac.authorization", "networking", "coordination", "storage", "resource")
}
# What is denied in the task namespace -> the value that gives the right.
RIGHTS = {
    "pods/exec": "tasks.rbac.xcom, or tasks.rbac.podExec for KubernetesPodExecOperator",
    "jobs": "tasks.rbac.jobs",
    "jobs/status": "tasks.rbac.jobs",
    "events": "tasks.rbac.events",
    "persistentvolumeclaims": "tasks.rbac.claims",
}


def explain(context: Any) -> None:
    """Log what to do about each right that was denied, and about connections that its pod may have missed.

    Environment of the worker: AIRDOCK_TASK_NAMESPACE (a name), AIRDOCK_TASK_EXTRA_NAMESPACES (names, with
    commas between), AIRDOCK_TASK_EGRESS_POLICY (the NetworkPolicy that restricts connections, if one does).
    """
    task, policy = context.get("task"), os.environ.get("AIRDOCK_TASK_EGRESS_POLICY")
    # A refused connection cannot be told from a dead host. The operator has its pod once it was created.
    if policy and (getattr(task, "pod", None) or getattr(task, "pods", None)):
        _log.error(
            "The NetworkPolicy %s of namespace %s restricts the connections of this task's pod"
            " (tasks.networkPolicy.egress: strict). If a connection failed or timed out, ask the"
            " administrator to add its destination to tasks.networkPolicy.egressRules.",
            policy, os.environ.get("AIRDOCK_TASK_NAMESPACE", ""),
        )  # fmt: skip
    todo, texts = [context.get("exception")], {}
    while todo:
        error = todo.pop()
        if isinstance(error, BaseException) and id(error) not in texts:
            texts[id(error)] = f"{error} {getattr(error, 'body', '')}"
            todo += [error.__cause__, error.__context__, *getattr(error, "api_exceptions", ())]
    for denied in dict.fromkeys(_DENIED.findall(" ".join(texts.values()))):
        _log.error("Workers may not %s %s in %s. %s", *way_out(*denied, there=_other_namespace(task)))


def _other_namespace(task: Any) -> str:
    """Give the task namespace of the cluster of tasks.clusters that the task uses; empty for the own one."""
    name = f"AIRFLOW_CONN_{getattr(task, 'kubernetes_conn_id', None) or ''}".upper()
    connection = os.environ.get(name, "")
    return json.loads(connection)["extra"]["namespace"] if "/run/airdock-clusters/" in connection else ""


def way_out(verb: str, resource: str, group: str, namespace: str, there: str) -> tuple[str, str, str, str]:
    """Give the verb, the full name of the resource, the place, and what to do.

    `there`: the task namespace in the other cluster, if it is one.
    """
    own = there or os.environ.get("AIRDOCK_TASK_NAMESPACE", "")
    extra = [] if there else os.environ.get("AIRDOCK_TASK_EXTRA_NAMESPACES", "").split(",")
    name = f"{resource}.{group}" if group else resource
    if not namespace:
        return verb, name, "the whole cluster", "No value of the chart gives rights outside namespaces."
    place = f"namespace {namespace}"
    if namespace not in (own, *extra):
        way = f"Remove the argument namespace (default: {own})"
        more = "" if there else ", or ask the administrator to add it to tasks.extraNamespaces"
        return verb, name, place, f"{way}{more}."
    value = RIGHTS.get(resource) if group in ("", "batch") else "tasks.rbac.rules" if "." in group else None
    if value is None or group in KUBERNETES_GROUPS:
        return verb, name, place, "No value of the chart gives this right."
    more = ", and to apply `make rbac-for-cluster` in the other cluster again" if there else ""
    return verb, name, place, f"Ask the administrator to set {value}{more}."
