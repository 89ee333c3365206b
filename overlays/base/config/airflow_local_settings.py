"""Airdock's cluster policies. Airflow imports this module from $AIRFLOW_HOME/config in every process.

Two gaps are filled, and nothing that an author wrote is changed but the place of the Docker daemon:

* `task_policy`: a `unix://` docker_url becomes $DOCKER_HOST, the socket that the worker really has, and where
  the Docker gateway answers there, a label tells it the file that retrieve_output will ask for.
* `pod_mutation_hook`: pods of KubernetesPodOperator and KubernetesJobOperator get what Pod Security
  "restricted" asks for, resources, and no service-account token.

Settings of your own go into `airflow.localSettings` (the module `airdock_user_settings` beside this one). Its
hooks run first, so that what they set counts as the author's; all else in it reaches Airflow as it is.
"""

from __future__ import annotations

import json
import os
from typing import Any

try:
    import airdock_user_settings as _user
except ModuleNotFoundError as error:
    if error.name != "airdock_user_settings":
        raise  # the user's module is there and imports something that is not
    _user = None

DOCKER_OPERATOR = "DockerOperator"
_TLS = ("tls_ca_cert", "tls_client_cert", "tls_client_key")


def task_policy(task: Any) -> None:
    """Send DockerOperator, @task.docker and their subclasses, mapped or not, to the worker's Docker socket.

    Airflow calls this for every task when a DAG file is parsed: in the dag-processor, where DOCKER_HOST is
    unset and nothing needs to change, and again in each task's process, whose DOCKER_HOST is what counts.
    """
    _user_hook("task_policy", task)
    host = os.environ.get("DOCKER_HOST", "")
    # Names, not classes: importing the provider would cost every process a second.
    classes = getattr(task, "operator_class", None) or type(task)
    if not host or all(cls.__name__ != DOCKER_OPERATOR for cls in classes.__mro__):
        return
    if os.environ.get("AIRDOCK_DOCKER_GATEWAY"):
        _label(task)
    partial = getattr(task, "partial_kwargs", None)
    if partial is None:  # an ordinary task
        if not any(getattr(task, name, None) for name in _TLS):
            task.docker_url = _reachable(task.docker_url, host)
        return
    # A mapped task makes its operators later, from these arguments; those of expand() may be among them.
    expanded = getattr(getattr(task, "expand_input", None), "value", None)
    sources = [partial, *(expanded if isinstance(expanded, list | tuple) else [expanded])]
    sources = [source for source in sources if isinstance(source, dict)]
    if any(source.get(name) for source in sources for name in _TLS):
        return
    for source in sources:
        if "docker_url" not in source:
            continue
        url = source["docker_url"]
        if source is expanded and isinstance(url, list | tuple):
            # One URL, or one list of URLs, for each instance: their number must not change.
            source["docker_url"] = [_reachable(each, host) for each in url]
        else:
            source["docker_url"] = _reachable(url, host)


def _label(task: Any) -> None:
    """Tell the Docker gateway what the Docker API cannot: whose container it is, and which file is fetched.

    A container of a pod that has ended cannot be looked into, so the gateway must know beforehand.
    """
    partial = getattr(task, "partial_kwargs", None)

    def given(name: str) -> Any:
        return getattr(task, name, None) if partial is None else partial.get(name)

    labels = given("labels") or {}
    labels = dict(labels) if isinstance(labels, dict) else dict.fromkeys(labels, "")
    labels |= {"airdock.dev/dag-id": task.dag_id, "airdock.dev/task-id": task.task_id}
    if given("retrieve_output") and given("retrieve_output_path"):
        labels["airdock.dev/retrieve-output"] = given("retrieve_output_path")
    if given("xcom_all"):
        labels["airdock.dev/xcom-all"] = "true"
    if partial is None:
        task.labels = labels
    else:
        partial["labels"] = labels


def _reachable(url: Any, host: str) -> Any:
    """Replace each `unix://` URL by `host`. Other URLs, and values known only at run time, are left alone."""
    if isinstance(url, list | tuple):
        return list(dict.fromkeys(_reachable(each, host) for each in url))
    if isinstance(url, str) and url.lower().startswith(("unix://", "http+unix://")):
        return host
    return url


# What a container of the task namespace gets if its author asked for nothing: enough for a small script.
DEFAULT_RESOURCES = (
    '{"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}'
)
# The XCom sidecar of the provider sleeps and prints one file; it comes with requests and without limits.
XCOM_SIDECAR = "airflow-xcom-sidecar"
XCOM_LIMITS = {"cpu": "100m", "memory": "64Mi"}
DEFAULT_USER = 50000


def pod_mutation_hook(pod: Any) -> None:
    """Fill in what Pod Security "restricted" (v1.36) asks for and the pod leaves open.

    A value that the author set always stays, even where the task namespace will refuse it: a refusal says
    why, a silently changed pod does not. Environment of the worker: AIRDOCK_TASK_SERVICE_ACCOUNT (a name),
    AIRDOCK_TASK_RUN_AS_USER (a uid, or empty for the image's own), AIRDOCK_TASK_RESOURCES (a JSON object).
    """
    _user_hook("pod_mutation_hook", pod)
    if ((pod.metadata and pod.metadata.labels) or {}).get("kubernetes_executor"):
        return  # Airflow's own worker, from the chart's template, which says all this itself
    from kubernetes.client import models

    spec = pod.spec
    if not spec.service_account_name:
        spec.service_account_name = os.environ.get("AIRDOCK_TASK_SERVICE_ACCOUNT") or None
        # Who names an account wants what it may do; who names none wants no token.
        if spec.automount_service_account_token is None:
            spec.automount_service_account_token = False

    security = spec.security_context = spec.security_context or models.V1PodSecurityContext()
    user = os.environ.get("AIRDOCK_TASK_RUN_AS_USER", str(DEFAULT_USER))
    if user:
        _default(security, "run_as_user", int(user))
    containers = [*(spec.init_containers or []), *spec.containers]
    for container in containers:
        _secure(container, _get(security, "run_as_user"), models)
    # The kubelet refuses uid 0 under runAsNonRoot: left out where the author asked for root.
    if all(_get(_get(container, "security_context"), "run_as_non_root") for container in containers):
        _default(security, "run_as_non_root", True)
    _default(security, "seccomp_profile", models.V1SeccompProfile(type="RuntimeDefault"))

    resources = os.environ.get("AIRDOCK_TASK_RESOURCES") or DEFAULT_RESOURCES
    for container in containers:
        given = _get(container, "resources")
        if not given or not (_get(given, "requests") or _get(given, "limits") or _get(given, "claims")):
            _set(container, "resources", models.V1ResourceRequirements(**json.loads(resources)))
        elif _get(container, "name") == XCOM_SIDECAR and not _get(given, "limits"):
            _set(given, "limits", dict(XCOM_LIMITS))


def _secure(container: Any, pod_user: int | None, models: Any) -> None:
    """Fill in one container's security context; `pod_user` is the uid that it has if it names none."""
    security = _get(container, "security_context")
    if not security:
        security = models.V1SecurityContext()
        _set(container, "security_context", security)
    user = _get(security, "run_as_user")
    if (pod_user if user is None else user) != 0:
        _default(security, "run_as_non_root", True)
    added = _get(_get(security, "capabilities"), "add") or []
    # The API server refuses the pair "privileged and no escalation" with a sentence that helps nobody.
    if not _get(security, "privileged") and not {"SYS_ADMIN", "CAP_SYS_ADMIN"} & set(added):
        _default(security, "allow_privilege_escalation", False)
    if not _get(security, "capabilities"):
        _set(security, "capabilities", models.V1Capabilities(drop=["ALL"]))
    else:
        _default(_get(security, "capabilities"), "drop", ["ALL"])


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _get(holder: Any, name: str) -> Any:
    """Read a field of a Kubernetes model or of a dict in the API's own spelling: DAGs use both."""
    return holder.get(_camel(name)) if isinstance(holder, dict) else getattr(holder, name, None)


def _set(holder: Any, name: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[_camel(name)] = value
    else:
        setattr(holder, name, value)


def _default(holder: Any, name: str, value: Any) -> None:
    """Set a field that is not set; False, 0 and an empty list are values."""
    if _get(holder, name) is None:
        _set(holder, name, value)


def _user_hook(name: str, argument: Any) -> None:
    hook = getattr(_user, name, None)
    if hook:
        hook(argument)


# Airflow takes exactly these names. The other hooks exist only if the user wrote them: a
# task_instance_mutation_hook, for one, costs the scheduler a fast path even if it does nothing.
__all__ = ["pod_mutation_hook", "task_policy"]
if _user is not None:
    _names = getattr(_user, "__all__", None) or [name for name in vars(_user) if not name.startswith("_")]
    for _name in _names:
        if _name not in __all__:
            globals()[_name] = getattr(_user, _name)
            __all__ += [_name]
