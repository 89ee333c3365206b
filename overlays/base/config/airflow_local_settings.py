"""Airdock's cluster policies. Airflow imports this module from $AIRFLOW_HOME/config in every process.

DAGs that ran elsewhere run here unchanged, because

* `task_policy` gives Docker tasks and tasks of the Kubernetes operators a queue whose workers can run them,
  unless the author chose one; and before a Docker task runs, its docker_url becomes $DOCKER_HOST, the socket
  that the worker really has, and labels tell the Docker gateway what the Docker API cannot. What the
  gateway itself says in a container's log never becomes an XCom.
* with KubernetesExecutor it has each task run in a pod of the worker group that serves its queue; and
* `pod_mutation_hook` gives pods of KubernetesPodOperator and KubernetesJobOperator what Pod Security
  "restricted" asks for, resources, where they run, and no service-account token.

Settings of your own go into `airflow.localSettings` (the module `airdock_user_settings` beside this one). Its
hooks run first, so that what they set counts as the author's; all else in it reaches Airflow as it is.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import re
from typing import Any

try:
    import airdock_user_settings as _user
except ModuleNotFoundError as error:
    if error.name != "airdock_user_settings":
        raise  # the user's module is there and imports something that is not
    _user = None

# Names, not classes: importing the providers would cost every process a second.
DOCKER_OPERATOR = "DockerOperator"
# With their subclasses these are all operators and sensors of the Kubernetes provider.
KUBERNETES_OPERATORS = {
    "KubernetesPodOperator",
    "KubernetesDeleteJobOperator",
    "KubernetesPatchJobOperator",
    "KubernetesPodExecOperator",
    "KubernetesResourceBaseOperator",
    "KubernetesInstallKueueOperator",
    "SparkKubernetesSensor",
}
# How lines begin that the Docker gateway itself writes into the log of a container.
REMARK = "[airdock] "
_TLS = ("tls_ca_cert", "tls_client_cert", "tls_client_key")
_log = logging.getLogger(__name__)


def task_policy(task: Any) -> None:
    """Prepare a Docker or Kubernetes task, a subclass, decorated or mapped.

    Airflow calls this for every task when a DAG file is parsed: in the dag-processor, where the queue is
    settled, and again in each task's process, whose DOCKER_HOST is what counts.
    """
    _user_hook("task_policy", task)
    names = {cls.__name__ for cls in (getattr(task, "operator_class", None) or type(task)).__mro__}
    if DOCKER_OPERATOR in names:
        _route(task, "DOCKER")
        if os.environ.get("DOCKER_HOST"):
            _before_execute(task, _prepare_docker)
    elif KUBERNETES_OPERATORS & names:
        _route(task, "KUBERNETES")
        if os.environ.get("AIRDOCK_TASK_CHECK_SECONDS"):
            _before_execute(task, _prepare_kubernetes)
    if os.environ.get("AIRDOCK_TASK_CHECK_SECONDS"):
        _before_execute(task, _explain_denials)
    if os.environ.get("AIRDOCK_EXECUTORS"):
        _choose_executor(task, json.loads(os.environ["AIRDOCK_EXECUTORS"]))


def _choose_executor(task: Any, queues: dict[str, dict[str, str]]) -> None:
    """Give a task the executor of the worker group that serves its queue, and that group's pod template.

    `queues`, from the dag-processor's environment: queue -> {"executor": a class, "group": its worker
    group}. A task of another queue is left to the first executor, with the default template.

    Raises:
        AirflowClusterPolicyViolation: if the author's executor does not serve the queue, or executor_config
            asks for what the group does not allow.
    """
    from airflow.exceptions import AirflowClusterPolicyViolation

    serves = queues.get(task.queue)
    config = dict(task.executor_config or {})
    if serves and task.executor == "CeleryExecutor" != serves["executor"]:
        raise AirflowClusterPolicyViolation(
            f"task {task.task_id}: its executor is CeleryExecutor, and no Celery worker serves its queue"
            f" {task.queue}, which is worker group {serves['group']}'s. Leave out executor, or choose"
            " another queue."
        )
    if serves and task.executor is None:
        _set_argument(task, "executor", serves["executor"])
    directory = os.environ["AIRDOCK_POD_TEMPLATES"]
    if serves and serves["executor"] == "KubernetesExecutor":
        config["pod_template_file"] = f"{directory}/{serves['group']}.yaml"
        _set_argument(task, "executor_config", config)
    if config.get("pod_override"):
        from airdock_executor_pods import PodOverrideError, check_override
        from airflow.configuration import conf

        default = conf.get("kubernetes_executor", "pod_template_file")
        try:
            check_override(config.get("pod_template_file", default), config["pod_override"])
        except PodOverrideError as error:
            raise AirflowClusterPolicyViolation(f"task {task.task_id}: {error}") from error


def _set_argument(task: Any, name: str, value: Any) -> None:
    """Set an operator's argument, of a mapped operator too, which keeps those that are not mapped by name."""
    if hasattr(task, "partial_kwargs"):
        task.partial_kwargs[name] = value
    else:
        setattr(task, name, value)


def _before_execute(task: Any, prepare: Any) -> None:
    """Have `prepare` called when templates are rendered and a mapped task is an operator of its own."""
    callbacks = task.on_execute_callback or []
    task.on_execute_callback = [*([callbacks] if callable(callbacks) else callbacks), prepare]


def _route(task: Any, what: str) -> None:
    """Move a task from a default queue that cannot run it to one that can. `what`: DOCKER or KUBERNETES.

    A queue other than [operators] default_queue was chosen by the author: on a mapped task nothing else
    tells. Environment of the dag-processor: AIRDOCK_<what>_QUEUE, the administrator's choice, and
    AIRDOCK_<what>_QUEUE_<GROUP>, a queue of each worker group that can, the default one if it is among them.
    """
    from airflow.configuration import conf

    default = conf.get("operators", "default_queue")
    if task.queue != default:
        return
    prefix = f"AIRDOCK_{what}_QUEUE"
    able = [os.environ[name] for name in sorted(os.environ) if name.startswith(f"{prefix}_")]
    chosen = os.environ.get(prefix)
    if chosen:
        task.queue = chosen
    elif able and default not in able:
        task.queue = able[0]


def _prepare_docker(context: Any) -> None:
    """Send a DockerOperator that is about to run to the worker's Docker socket."""
    task = context["task"]
    if any(getattr(task, name, None) for name in _TLS):
        _log.info("docker_url %s is left as it is, since a tls_ argument is set.", task.docker_url)
    else:
        task.docker_url = _reachable(task.docker_url, os.environ["DOCKER_HOST"])
    if os.environ.get("AIRDOCK_DOCKER_GATEWAY"):
        task.labels = _labels(task, context["ti"])
        _keep_remarks_in_the_log(task)
    elif os.environ.get("AIRDOCK_DIND_MEMORY_KEY"):
        from airdock_docker_memory import explain_kills

        explain_kills()
    if os.environ.get("AIRDOCK_TRUST_DIRECTORY"):
        from airdock_trust import give_container

        give_container(task)


def _keep_remarks_in_the_log(task: Any) -> None:
    """Take the gateway's own lines from what the task returns: DockerOperator returns lines of its log.

    The author's post_execute runs afterwards.
    """
    theirs = task._post_execute_hook

    def once(context: Any, result: Any = None) -> Any:
        kept = _without_remarks(context, result)
        return theirs(context, kept) if theirs else None

    def several(context: Any, result: Any = None) -> Any:
        yield from theirs(context, _without_remarks(context, result))

    # Airflow looks at the kind of the function.
    task._post_execute_hook = several if inspect.isgeneratorfunction(theirs) else once


def _without_remarks(context: Any, result: Any) -> Any:
    """Give a result without the gateway's lines; None is what a container that prints nothing returns."""

    def is_remark(line: Any) -> bool:
        return isinstance(line, str) and line.startswith(REMARK)

    if isinstance(result, list):
        kept = [line for line in result if not is_remark(line)]
        if kept == result:
            return result
        # The list itself is what Airflow pushes.
        result[:] = kept
    elif not is_remark(result):
        return result
    if isinstance(result, list) and result:
        return result
    context["ti"].task.do_xcom_push = False
    return None


TTL = "ttl_seconds_after_finished"
# Airflow's own defaults, in seconds: a pod that starts in two is noticed after five, a Job's end after ten.
INTERVALS = {"startup_check_interval_seconds": 5, "job_poll_interval": 10}


def _prepare_kubernetes(context: Any) -> None:
    """Have the Kubernetes operators look more often, where the author left Airflow's defaults.

    `in_cluster=False` means the same in the triggerer as in the worker. Where the triggerer has no rights,
    the worker waits instead, and the DAG runs as it is. Environment of the worker:
    AIRDOCK_TASK_CHECK_SECONDS, a number; AIRDOCK_TASK_DEFERRABLE, "false" where the triggerer may not see the
    group's pods; AIRDOCK_TASK_TTL_SECONDS, a number, after which an ended Job is deleted; 0: never.
    """
    if os.environ.get("AIRDOCK_TASK_DEFERRABLE") == "false" and getattr(context["task"], "deferrable", False):
        context["task"].deferrable = False
        _log.warning(
            "deferrable=True is ignored: the triggerer has no rights in this worker group's task namespace."
            " The worker waits for the pod instead. To defer, have tasks.rbac.deferrable set to true (for a"
            " group with a dedicated task namespace: workers.<name>.tasks.rbac.deferrable)."
        )
    # With False and no kubeconfig, the worker's hook uses the pod's account; the triggerer's hook fails.
    kubeconfigs = (getattr(context["task"], "config_file", None), os.environ.get("KUBECONFIG"))
    if getattr(context["task"], "in_cluster", None) is False and not any(kubeconfigs):
        context["task"].in_cluster = None
    ttl = int(os.environ.get("AIRDOCK_TASK_TTL_SECONDS") or 0)
    # The operator's argument would win over its template's.
    own = (getattr(context["task"], name, None) for name in ("job_template_file", "full_job_spec", TTL))
    if ttl and hasattr(context["task"], TTL) and all(each is None for each in own):
        setattr(context["task"], TTL, ttl)
    for name, default in INTERVALS.items():
        if getattr(context["task"], name, None) == default:
            setattr(context["task"], name, float(os.environ["AIRDOCK_TASK_CHECK_SECONDS"]))
    from airdock_deferred_pods import keep_result

    keep_result(context["task"])


def _explain_denials(context: Any) -> None:
    """Have the task say which value of the chart gives a right that the Kubernetes API server denied."""
    from airdock_denials import explain

    task = context["task"]
    for name in ("on_failure_callback", "on_retry_callback"):
        callbacks = getattr(task, name, None) or []
        setattr(task, name, [*([callbacks] if callable(callbacks) else callbacks), explain])


def _labels(task: Any, ti: Any) -> dict[str, str]:
    """Give the author's labels, and those for the gateway: whose container it is, which file is fetched.

    A container of a pod that has ended cannot be looked into, so the gateway must know beforehand.
    """
    given = task.labels or {}
    labels = dict(given) if isinstance(given, dict) else dict.fromkeys(given, "")
    for name in ("dag_id", "task_id", "run_id", "try_number"):
        labels[f"airdock.dev/{name.replace('_', '-')}"] = str(getattr(ti, name))
    if ti.map_index is not None and ti.map_index >= 0:
        labels["airdock.dev/map-index"] = str(ti.map_index)
    if task.retrieve_output and task.retrieve_output_path:
        labels["airdock.dev/retrieve-output"] = task.retrieve_output_path
    if task.xcom_all:
        labels["airdock.dev/xcom-all"] = "true"
    return labels


def _reachable(url: Any, host: str) -> Any:
    """Replace each URL that means "the Docker daemon here" by `host`.

    Those are every unix socket, and http or tcp on a host that AIRDOCK_DOCKER_HOSTS lists, with commas
    between. What else is written is somebody's real daemon.
    """
    if isinstance(url, list | tuple):
        return list(dict.fromkeys(_reachable(each, host) for each in url))
    if not isinstance(url, str):
        return url
    # As docker-py reads it: no scheme is tcp, no host is 127.0.0.1.
    scheme, _, rest = url.lower().rpartition("://")
    name = re.sub(r":[0-9]*$", "", rest.partition("/")[0]) or "127.0.0.1"
    hosts = os.environ.get("AIRDOCK_DOCKER_HOSTS", "").lower().split(",")
    if url == host or scheme in ("unix", "http+unix") or (scheme in ("", "tcp", "http") and name in hosts):
        return host
    _log.info(
        "docker_url %s is left as it is: its host is not among those of airflow.dockerHosts, which"
        " stand for the worker's own %s.",
        url,
        host,
    )
    return url


# What a container of the task namespace gets if its author asked for nothing: the limits of all modes.
DEFAULT_RESOURCES = (
    '{"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "4Gi"}}'
)
# The XCom sidecar of the provider sleeps and prints one file; it comes with requests and without limits.
XCOM_SIDECAR = "airflow-xcom-sidecar"
XCOM_LIMITS = {"cpu": "100m", "memory": "64Mi"}
DEFAULT_USER = 50000


def pod_mutation_hook(pod: Any) -> None:
    """Fill in what Pod Security "restricted" asks for and the pod leaves open.

    A value that the author set always stays, even where the task namespace will refuse it: a refusal says
    why, a silently changed pod does not. The scheduler, which has AIRDOCK_POD_TEMPLATES, creates pods of
    KubernetesExecutor alone: each has all that from its template, and is compared with it, whatever the pod's
    labels say. Environment of the worker: AIRDOCK_TASK_SERVICE_ACCOUNT (a name),
    AIRDOCK_TASK_RUN_AS_USER (a uid, or empty for the image's own), AIRDOCK_TASK_USER_NAMESPACES ("true" where
    root is allowed in a user namespace), AIRDOCK_TASK_RESOURCES, AIRDOCK_TASK_ENV and AIRDOCK_TASK_POD (JSON
    objects; the last has `spec`, `labels` and `annotations`), AIRDOCK_XCOM_SIDECAR_PULL_POLICY (as in a pod;
    without it Kubernetes' default), AIRDOCK_TASK_TRUST (airdock_trust.py).
    """
    if os.environ.get("AIRDOCK_POD_TEMPLATES"):
        from airdock_executor_pods import check_pod

        check_pod(pod)
        _user_hook("pod_mutation_hook", pod)
        return
    _user_hook("pod_mutation_hook", pod)
    from kubernetes.client import models

    spec = pod.spec
    if not spec.service_account_name:
        spec.service_account_name = os.environ.get("AIRDOCK_TASK_SERVICE_ACCOUNT") or None
        # Who names an account wants what it may do; who names none wants no token.
        if spec.automount_service_account_token is None:
            spec.automount_service_account_token = False

    given = json.loads(os.environ.get("AIRDOCK_TASK_POD") or "{}")
    for name, key in models.V1PodSpec.attribute_map.items():
        # The operator writes an empty map or list for what its author leaves out.
        if key in given.get("spec", {}) and not _get(spec, name):
            _set(spec, name, given["spec"][key])
    for name in ("labels", "annotations"):
        if name in given:
            _set(pod.metadata, name, {**given[name], **(_get(pod.metadata, name) or {})})

    security = spec.security_context = spec.security_context or models.V1PodSecurityContext()
    user = os.environ.get("AIRDOCK_TASK_RUN_AS_USER", str(DEFAULT_USER))
    if user:
        _default(security, "run_as_user", int(user))
    containers = [*(spec.init_containers or []), *spec.containers]
    for container in containers:
        _secure(container, _get(security, "run_as_user"), models)
    if os.environ.get("AIRDOCK_TASK_USER_NAMESPACES") and any(
        _is_root(each, security) for each in containers
    ):
        # Pod Security admits root there alone.
        _default(spec, "host_users", False)
    # The kubelet refuses uid 0 under runAsNonRoot: left out where the author asked for root.
    if all(_get(_get(container, "security_context"), "run_as_non_root") for container in containers):
        _default(security, "run_as_non_root", True)
    _default(security, "seccomp_profile", models.V1SeccompProfile(type="RuntimeDefault"))

    resources = os.environ.get("AIRDOCK_TASK_RESOURCES") or DEFAULT_RESOURCES
    env = json.loads(os.environ.get("AIRDOCK_TASK_ENV") or "{}")
    for container in containers:
        own = _get(container, "env") or []
        names = {_get(each, "name") for each in own}
        # The kubelet reads $$ as $.
        added = [
            models.V1EnvVar(name=name, value=value.replace("$", "$$"))
            for name, value in env.items()
            if name not in names
        ]
        if added:
            _set(container, "env", [*added, *own])
        given = _get(container, "resources")
        if not given or not (_get(given, "requests") or _get(given, "limits") or _get(given, "claims")):
            _set(container, "resources", models.V1ResourceRequirements(**json.loads(resources)))
        elif _get(container, "name") == XCOM_SIDECAR and not _get(given, "limits"):
            _set(given, "limits", dict(XCOM_LIMITS))
        if _get(container, "name") == XCOM_SIDECAR:  # The provider has no setting for it.
            _default(container, "image_pull_policy", os.environ.get("AIRDOCK_XCOM_SIDECAR_PULL_POLICY"))
    if os.environ.get("AIRDOCK_TASK_TRUST"):
        from airdock_trust import give_pod

        give_pod(spec, containers, models, _get, _set)


def _is_root(container: Any, pod_security: Any) -> bool:
    user = _get(_get(container, "security_context"), "run_as_user")
    return (_get(pod_security, "run_as_user") if user is None else user) == 0


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


if os.environ.get("AIRDOCK_ACCEPTED_JWT_SECRET"):
    from airdock_rotation import accept

    accept(os.environ["AIRDOCK_ACCEPTED_JWT_SECRET"])

# Airflow takes exactly these names. The other hooks exist only if the user wrote them: a
# task_instance_mutation_hook, for one, costs the scheduler a fast path even if it does nothing.
__all__ = ["pod_mutation_hook", "task_policy"]
if _user is not None:
    _names = getattr(_user, "__all__", None) or [name for name in vars(_user) if not name.startswith("_")]
    for _name in _names:
        if _name not in __all__:
            globals()[_name] = getattr(_user, _name)
            __all__ += [_name]
