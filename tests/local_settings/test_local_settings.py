"""The mounted cluster policies, without Airflow: the module reads names and attributes only.

tests/e2e/test_policies.py runs the same file on real operators, in the image.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiClient, models

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
    spec = importlib.util.spec_from_file_location("airflow_local_settings", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    settings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(settings)
    return settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DOCKER_HOST", HOST)
    monkeypatch.setenv("AIRDOCK_DOCKER_HOSTS", "localhost,127.0.0.1,docker,[::1]")
    for name in ("SERVICE_ACCOUNT", "RUN_AS_USER", "RESOURCES"):
        monkeypatch.delenv(f"AIRDOCK_TASK_{name}", raising=False)
    # The one option of Airflow that the policies read.
    configuration = ModuleType("airflow.configuration")
    configuration.conf = SimpleNamespace(  # type: ignore[attr-defined]
        get=lambda section, key: {"operators.default_queue": "default"}[f"{section}.{key}"]
    )
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.configuration", configuration)
    yield
    sys.modules.pop("airdock_user_settings", None)


class DockerOperator:
    """What the policy sees of Airflow's operator: a class name and attributes."""

    def __init__(self, docker_url: Any = USUAL, **attributes: Any):
        self.docker_url = docker_url
        self.queue = "default"
        self.on_execute_callback: list[Any] = []
        self.labels = self.retrieve_output_path = None
        self.retrieve_output = self.xcom_all = False
        self.__dict__.update(attributes)


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


@pytest.mark.parametrize("cls", [DockerOperator, _DockerDecoratedOperator, TheirOwnOperator])
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (USUAL, HOST),
        ("unix://var/run/docker.sock", HOST),
        ("UNIX:///var/run/docker.sock", HOST),
        ("http+unix:///var/run/docker.sock", HOST),
        ("tcp://docker:2375", HOST),
        ("tcp://Docker", HOST),
        ("http://localhost:2375/", HOST),
        ("127.0.0.1:2375", HOST),
        ("tcp://:2375", HOST),
        ("tcp://[::1]:2375", HOST),
        ("https://docker:2376", "https://docker:2376"),
        ("tcp://docker.example.com:2375", "tcp://docker.example.com:2375"),
        ("tcp://build-host:2375/docker", "tcp://build-host:2375/docker"),
        ("tcp://[bad", "tcp://[bad"),
        ("ssh://me@docker", "ssh://me@docker"),
        ("npipe:////./pipe/docker", "npipe:////./pipe/docker"),
        ([USUAL], [HOST]),
        ([USUAL, "unix:///other.sock", "tcp://far:2375"], [HOST, "tcp://far:2375"]),
        (HOST, HOST),
        (None, None),
    ],
)
def test_urls(cls: type[DockerOperator], given: Any, wanted: Any) -> None:
    assert run(cls(given)).docker_url == wanted


def test_hosts_are_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRDOCK_DOCKER_HOSTS", "far.example.com")
    assert run(DockerOperator("tcp://far.example.com:2375")).docker_url == HOST
    assert run(DockerOperator("tcp://docker:2375")).docker_url == "tcp://docker:2375"
    monkeypatch.delenv("AIRDOCK_DOCKER_HOSTS")
    assert run(DockerOperator("tcp://docker:2375")).docker_url == "tcp://docker:2375"
    assert run(DockerOperator(USUAL)).docker_url == HOST


def test_the_host_of_a_remote_daemon_is_not_logged_as_foreign(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where DOCKER_HOST itself is on the network, as it is for an operator without a docker_url."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://far:2375")
    caplog.set_level("INFO")
    assert run(DockerOperator("tcp://far:2375")).docker_url == "tcp://far:2375"
    assert not caplog.messages


def test_what_is_left_alone_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run(DockerOperator("tcp://far:2375"))
    run(DockerOperator("tcp://docker:2376", tls_ca_cert="/etc/tls.pem"))
    foreign, tls = caplog.messages
    assert "tcp://far:2375" in foreign
    assert "airflow.dockerHosts" in foreign
    assert "tcp://docker:2376" in tls
    assert "tls_" in tls


@pytest.mark.parametrize("name", ["tls_ca_cert", "tls_client_cert", "tls_client_key"])
def test_tls_is_left_alone(name: str) -> None:
    assert run(DockerOperator(USUAL, **{name: "/etc/tls.pem"})).docker_url == USUAL


def test_mapped_tasks_are_prepared_when_they_are_operators() -> None:
    """Whatever came by partial(), expand() or from another task is in the operator by then."""
    many = mapped(DockerOperator, on_execute_callback=None)
    load().task_policy(many)
    (callback,) = many.on_execute_callback
    one = DockerOperator("tcp://docker:2375")
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=3)
    callback({"task": one, "ti": ti})
    assert one.docker_url == HOST


def test_the_authors_callbacks_stay_and_run_first() -> None:
    seen: list[str] = []

    def theirs(context: dict[str, Any]) -> None:
        seen.append(context["task"].docker_url)
        context["task"].docker_url = "unix:///theirs.sock"

    assert run(DockerOperator(USUAL, on_execute_callback=[theirs])).docker_url == HOST
    assert run(DockerOperator(USUAL, on_execute_callback=theirs)).docker_url == HOST
    assert seen == [USUAL, USUAL]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {}),
        ({"labels": {"team": "a"}}, {"team": "a"}),
        ({"labels": ["bare"]}, {"bare": ""}),
        (
            {"retrieve_output": True, "retrieve_output_path": "/tmp/o"},
            {"airdock.dev/retrieve-output": "/tmp/o"},
        ),
        ({"retrieve_output": False, "retrieve_output_path": "/tmp/o"}, {}),
        ({"xcom_all": True}, {"airdock.dev/xcom-all": "true"}),
    ],
)
def test_labels_for_the_docker_gateway(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], wanted: dict[str, str]
) -> None:
    own = {
        "airdock.dev/dag-id": "d",
        "airdock.dev/task-id": "t",
        "airdock.dev/run-id": "r",
        "airdock.dev/try-number": "2",
    }
    assert run(DockerOperator(**given)).labels == given.get("labels"), "another daemon gets no label of ours"
    monkeypatch.setenv("AIRDOCK_DOCKER_GATEWAY", "true")
    assert run(DockerOperator(**given)).labels == own | wanted
    mapped_own = own | {"airdock.dev/map-index": "0"}
    assert run(DockerOperator(**given), map_index=0).labels == mapped_own | wanted


def test_labels_are_those_that_the_gateway_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SOURCE.parent)
    known = importlib.import_module("docker_gateway.labels")
    labels = load()._labels(
        DockerOperator(retrieve_output=True, retrieve_output_path="/tmp/o", xcom_all=True),
        SimpleNamespace(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=0),
    )
    assert set(labels) == set(known.POLICY)


def test_other_operators_keep_theirs() -> None:
    for task in (BashOperator(), mapped(BashOperator)):
        load().task_policy(task)
        assert task.queue == "default"
        assert not task.on_execute_callback


def test_without_a_docker_host_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    task = DockerOperator(USUAL)
    load().task_policy(task)
    assert task.docker_url == USUAL
    assert task.on_execute_callback == []


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


# pods


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


RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
}


def test_a_bare_pod_becomes_restricted() -> None:
    p = pod()
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert sent["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 50000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert sent["containers"][0]["securityContext"] == RESTRICTED
    assert sent["containers"][0]["resources"] == json.loads(load().DEFAULT_RESOURCES)
    assert sent["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in sent


def test_init_containers_and_the_xcom_sidecar_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRDOCK_XCOM_SIDECAR_PULL_POLICY", "Always")
    sidecar = models.V1Container(
        name="airflow-xcom-sidecar",
        resources=models.V1ResourceRequirements(requests={"cpu": "1m", "memory": "10Mi"}),
    )
    p = pod(
        init_containers=[models.V1Container(name="first")],
        containers=[models.V1Container(name="base"), sidecar],
    )
    load().pod_mutation_hook(p)
    sent = wire(p)
    every = sent["initContainers"] + sent["containers"]
    assert [c["securityContext"] for c in every] == [RESTRICTED] * 3
    assert [c.get("imagePullPolicy") for c in every] == [None, None, "Always"]
    assert sent["containers"][1]["resources"] == {
        "requests": {"cpu": "1m", "memory": "10Mi"},
        "limits": {"cpu": "100m", "memory": "64Mi"},
    }


@pytest.mark.parametrize("as_dict", [True, False], ids=["dict", "model"])
def test_the_author_wins(as_dict: bool) -> None:
    security: dict[str, Any] = {
        "runAsUser": 1000,
        "fsGroup": 0,
        "seccompProfile": {"type": "Localhost", "localhostProfile": "mine.json"},
    }
    container_security: dict[str, Any] = {
        "allowPrivilegeEscalation": True,
        "readOnlyRootFilesystem": True,
        "capabilities": {"add": ["NET_BIND_SERVICE"]},
    }
    resources: dict[str, Any] = {"limits": {"memory": "1Gi"}}
    base = models.V1Container(name="base")
    if as_dict:
        p = pod(security_context=security, containers=[base])
        base.security_context, base.resources = container_security, resources
    else:
        p = pod(
            security_context=models.V1PodSecurityContext(
                run_as_user=1000,
                fs_group=0,
                seccomp_profile=models.V1SeccompProfile(type="Localhost", localhost_profile="mine.json"),
            ),
            containers=[base],
        )
        base.security_context = models.V1SecurityContext(
            allow_privilege_escalation=True,
            read_only_root_filesystem=True,
            capabilities=models.V1Capabilities(add=["NET_BIND_SERVICE"]),
        )
        base.resources = models.V1ResourceRequirements(limits={"memory": "1Gi"})
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert sent["securityContext"] == {**security, "runAsNonRoot": True}
    assert sent["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": True,
        "readOnlyRootFilesystem": True,
        "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
        "runAsNonRoot": True,
    }
    assert sent["containers"][0]["resources"] == {"limits": {"memory": "1Gi"}}


def test_a_container_given_as_a_dict() -> None:
    p = pod(init_containers=[{"name": "first", "image": "busybox:1.37"}])
    load().pod_mutation_hook(p)
    assert wire(p)["initContainers"][0]["securityContext"] == RESTRICTED


def test_root_by_choice_of_the_pod() -> None:
    """runAsNonRoot beside uid 0 would keep the container from starting; PSA refuses it with a reason."""
    p = pod(security_context=models.V1PodSecurityContext(run_as_user=0))
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert "runAsNonRoot" not in sent["securityContext"]
    assert "runAsNonRoot" not in sent["containers"][0]["securityContext"]


def test_root_by_choice_of_one_container() -> None:
    base = models.V1Container(name="base")
    root = models.V1Container(name="root", security_context=models.V1SecurityContext(run_as_user=0))
    p = pod(containers=[base, root])
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert "runAsNonRoot" not in sent["securityContext"]
    assert [c["securityContext"].get("runAsNonRoot") for c in sent["containers"]] == [True, None]


@pytest.mark.parametrize(
    "security",
    [
        models.V1SecurityContext(privileged=True),
        models.V1SecurityContext(capabilities=models.V1Capabilities(add=["SYS_ADMIN"])),
    ],
)
def test_privilege_by_choice(security: models.V1SecurityContext) -> None:
    """The API server refuses allowPrivilegeEscalation=false on these, whatever the namespace allows."""
    p = pod(containers=[models.V1Container(name="base", security_context=security)])
    load().pod_mutation_hook(p)
    assert "allowPrivilegeEscalation" not in wire(p)["containers"][0]["securityContext"]


@pytest.mark.parametrize(
    ("given", "environment_name", "account", "automount"),
    [
        ({}, "airdock-task", "airdock-task", False),
        ({}, "", None, False),
        ({"automount_service_account_token": True}, "airdock-task", "airdock-task", True),
        ({"service_account_name": "mine"}, "airdock-task", "mine", None),
        (
            {"service_account_name": "mine", "automount_service_account_token": False},
            "airdock-task",
            "mine",
            False,
        ),
    ],
)
def test_service_account(
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    environment_name: str,
    account: str | None,
    automount: bool | None,
) -> None:
    monkeypatch.setenv("AIRDOCK_TASK_SERVICE_ACCOUNT", environment_name)
    p = pod(**given)
    load().pod_mutation_hook(p)
    sent = wire(p)
    assert sent.get("serviceAccountName") == account
    assert sent.get("automountServiceAccountToken") is automount


def test_defaults_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    resources = {"limits": {"memory": "2Gi"}}
    monkeypatch.setenv("AIRDOCK_TASK_RESOURCES", json.dumps(resources))
    monkeypatch.setenv("AIRDOCK_TASK_RUN_AS_USER", "65532")
    p = pod()
    load().pod_mutation_hook(p)
    assert wire(p)["containers"][0]["resources"] == resources
    assert wire(p)["securityContext"]["runAsUser"] == 65532
    monkeypatch.setenv("AIRDOCK_TASK_RUN_AS_USER", "")
    p = pod()
    load().pod_mutation_hook(p)
    assert "runAsUser" not in wire(p)["securityContext"]


LABELS: list[dict[str, str] | None] = [None, {}, {"kubernetes_executor": ""}, {"kubernetes_executor": "True"}]


@pytest.mark.parametrize("labels", LABELS)
def test_the_scheduler_checks_every_pod_and_fills_in_nothing(
    monkeypatch: pytest.MonkeyPatch, labels: dict[str, str] | None
) -> None:
    """An author's pod_override can set or clear every label, so no label decides."""
    checked: list[Any] = []
    module = ModuleType("airdock_executor_pods")
    module.check_pod = checked.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "airdock_executor_pods", module)
    monkeypatch.setenv("AIRDOCK_POD_TEMPLATES", "/templates")
    p = pod()
    p.metadata.labels = labels
    before = wire(p)
    load().pod_mutation_hook(p)
    assert checked == [p]
    assert wire(p) == before


@pytest.mark.parametrize("labels", LABELS)
def test_a_worker_fills_in_whatever_the_labels(labels: dict[str, str] | None) -> None:
    p = pod()
    p.metadata.labels = labels
    load().pod_mutation_hook(p)
    assert wire(p)["securityContext"]["runAsNonRoot"] is True


def test_two_pods_share_nothing() -> None:
    """Models are mutable: one pod's limits must not become the next one's."""
    settings = load()
    first, second = pod(), pod()
    settings.pod_mutation_hook(first)
    first.spec.containers[0].resources.limits["memory"] = "9Gi"
    first.spec.containers[0].security_context.capabilities.drop.append("X")
    settings.pod_mutation_hook(second)
    assert wire(second)["containers"][0]["resources"]["limits"]["memory"] == "512Mi"
    assert wire(second)["containers"][0]["securityContext"] == RESTRICTED


# the user's own settings


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
