"""Who may do what: exactly the rights of each account, and what a DAG author gets when he asks for more."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from scripts.chart import RenderError, render
from tests.api.conftest import UNFENCED, Install, Installed, make_namespace
from tests.api.control_plane import Client, ControlPlane, Refused
from tests.api.pods import kpo_pod
from tests.support.attacks import AUTHOR, CONTAINER

Rights = set[tuple[str, str, str]]
TASKS, RELEASE = "airdock-tasks", "airdock"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


def rights(*lines: str) -> Rights:
    """Rights from lines such as `pods create,get` and `batch/jobs create`."""
    found: Rights = set()
    for line in lines:
        resource, verbs = line.split()
        group = ""
        for other in ("batch", "coordination.k8s.io", "example.com"):
            if resource.startswith(f"{other}/"):
                group, resource = other, resource.removeprefix(f"{other}/")
        found |= {(group, resource, verb) for verb in verbs.split(",")}
    return found


SYNC = ("pods create,get,list,patch,delete", "pods/log get")
DEFERRABLE = ("pods get,delete", "pods/log get")
WORKER_DEFAULT = rights(*SYNC, "pods/exec get,create", "events list")
OPERATORS_ALONE = {"workers": {"default": {"dockerGateway": {"enabled": False}}}}
TRIGGERER_DEFAULT = rights(*DEFERRABLE, "events list,watch")
NONE: Rights = set()

#: tasks.rbac -> rights in the task namespace of worker and triggerer, after facts of provider 10.25.
FEATURES: dict[str, tuple[dict[str, Any], Rights, Rights]] = {
    "default": ({}, WORKER_DEFAULT, TRIGGERER_DEFAULT),
    "least": (
        {"xcom": False, "deferrable": False, "events": False},
        rights(*SYNC),
        NONE,
    ),
    "xcom": ({"deferrable": False, "events": False}, rights(*SYNC, "pods/exec get,create"), NONE),
    "events": ({"xcom": False, "deferrable": False}, rights(*SYNC, "events list"), NONE),
    "deferrable": ({"xcom": False, "events": False}, rights(*SYNC), rights(*DEFERRABLE)),
    "jobs": (
        {"jobs": True},
        WORKER_DEFAULT | rights("batch/jobs create,patch,delete", "batch/jobs/status get"),
        TRIGGERER_DEFAULT | rights("batch/jobs/status get", "pods/exec get,create"),
    ),
    "exec alone": (
        {"xcom": False, "deferrable": False, "events": False, "podExec": True},
        rights(*SYNC, "pods/exec get,create"),
        NONE,
    ),
    "claims": (
        {"claims": True},
        WORKER_DEFAULT | rights("persistentvolumeclaims create,delete"),
        TRIGGERER_DEFAULT,
    ),
    "rules": (
        {"rules": [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["create", "get"]}]},
        WORKER_DEFAULT | rights("example.com/widgets create,get"),
        TRIGGERER_DEFAULT,
    ),
    "jobs without XCom": (
        {"jobs": True, "xcom": False},
        WORKER_DEFAULT - rights("pods/exec get,create")
        | rights("batch/jobs create,patch,delete", "batch/jobs/status get"),
        TRIGGERER_DEFAULT | rights("batch/jobs/status get"),
    ),
}


@pytest.mark.parametrize("features", FEATURES)
def test_rights_by_feature(install: Install, features: str) -> None:
    switches, worker, triggerer = FEATURES[features]
    name = f"rights-{features.lower().replace(' ', '-')}"
    values = {**OPERATORS_ALONE, "tasks": {"rbac": switches, "admission": {"enabled": False}}}
    release = install(values, release=name, namespace=name)
    expected = {
        ("worker", release.task_namespace): worker,
        ("triggerer", release.task_namespace): triggerer,
        ("api-server", name): rights("secrets create"),
    }
    components = ("worker", "triggerer", "api-server", "scheduler", "dag-processor")
    for component, namespace in itertools.product(components, (release.task_namespace, name, "default")):
        found = release.account(component).rights(namespace)
        assert found == expected.get((component, namespace), NONE), f"{component} in {namespace}"


GATEWAY = (
    "pods create,get,list,watch,delete",
    "pods/log get",
    "pods/attach get,create",
    "events list",
    "coordination.k8s.io/leases create,get,list,patch,delete",
)


@pytest.mark.parametrize("operators", [True, False])
def test_rights_of_the_docker_gateway(install: Install, control_plane: ControlPlane, operators: bool) -> None:
    """Its own Role, for the groups that have one; without the operators it is all they have.

    And the right to attach, unless it is switched off.
    """
    name = f"gateway-{operators}".lower()
    group = {"mode": "kubernetes", "queues": ["default"], "kubernetesOperators": operators}
    further = f"{name}-further"
    make_namespace(control_plane, further)
    release = install(
        {
            "workers": {"default": group},
            "tasks": {"extraNamespaces": [further], "admission": {"enabled": False}, "stdin": operators},
        },
        release=name,
        namespace=name,
    )
    native = WORKER_DEFAULT if operators else NONE
    own = rights(*GATEWAY) - (NONE if operators else rights("pods/attach get,create"))
    assert release.worker.rights(release.task_namespace) == own | native
    assert release.worker.rights(further) == native
    assert release.worker.rights(name) == NONE
    assert release.account("triggerer").rights(further) == (TRIGGERER_DEFAULT if operators else NONE)


def test_group_in_a_namespace_of_its_own(install: Install, control_plane: ControlPlane) -> None:
    """The rights in the task namespace follow the account; nobody gets any where the group's Secrets are."""
    name, there = "elsewhere", "elsewhere-pods"
    release = install({"workers": {"default": {"namespace": there}}}, release=name, namespace=name)
    worker = control_plane.service_account(there, f"{name}-airdock-worker-default")
    assert worker.rights(release.task_namespace) == WORKER_DEFAULT | rights(*GATEWAY)
    assert worker.rights(there) == worker.rights(name) == NONE
    namesake = control_plane.service_account(name, f"{name}-airdock-worker-default")
    assert namesake.rights(release.task_namespace) == NONE
    assert release.account("api-server").rights(there) == rights("secrets create")
    for component in ("scheduler", "dag-processor", "triggerer"):
        assert release.account(component).rights(there) == NONE, component


#: Who may what where KubernetesExecutor's pods run.
EXECUTOR_RIGHTS = {
    "scheduler": rights("pods create,get,list,watch,patch,delete"),
    "api-server": rights("pods list", "pods/log get"),
}


@pytest.mark.parametrize("beside", ["CeleryExecutor", ""])
def test_rights_of_kubernetes_executor(install: Install, control_plane: ControlPlane, beside: str) -> None:
    """Where its pods run, and nowhere else; a group's account has there what it has with Celery: nothing."""
    name = f"once-{beside.lower() or 'alone'}"
    there = f"{name}-executor"
    once = {"queues": ["once"], "executor": "KubernetesExecutor"}
    release = install(
        {
            "executor": f"{beside},KubernetesExecutor".removeprefix(","),
            "workers": {"default": {} if beside else None, "once": once},
            "tasks": {"admission": {"enabled": False}},
        },
        release=name,
        namespace=name,
    )
    for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
        found = release.account(component)
        assert found.rights(there) == EXECUTOR_RIGHTS.get(component, NONE), component
        assert not found.rights(release.task_namespace) & rights("pods create,patch"), component
    groups = {"once": there} | ({"default": name} if beside else {})
    for group, namespace in groups.items():
        client = control_plane.service_account(namespace, f"{name}-airdock-worker-{group}")
        assert client.rights(release.task_namespace) == WORKER_DEFAULT | rights(*GATEWAY), group
        assert client.rights(there) == client.rights(name) == NONE, group


def test_the_executors_namespace_is_as_strict_as_its_groups(
    install: Install, control_plane: ControlPlane
) -> None:
    """The scheduler makes a template's pod there; one with the node's files only where a mode needs that."""
    for mode, node_files in (("kubernetes", False), ("dind", True)):
        name = f"strict-{mode}"
        group = {"mode": mode, "queues": ["once"]}
        release = install(
            {
                "executor": "KubernetesExecutor",
                "workers": {"default": None, "once": group},
                "tasks": {"admission": {"enabled": False}},
            },
            release=name,
            namespace=name,
        )
        scheduler = release.account("scheduler")
        (template,) = release.manifests.all("PodTemplate")
        pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(template.raw)["template"]}
        pod["metadata"] |= {"name": "task", "namespace": template.namespace}
        scheduler.create(pod, dry_run=True)
        pod["spec"]["volumes"].append({"name": "node", "hostPath": {"path": "/"}})
        if node_files:
            scheduler.create(pod, dry_run=True)
        else:
            with pytest.raises(Refused, match='violates PodSecurity "restricted'):
                scheduler.create(pod, dry_run=True)


def test_user_namespaces_are_found_without_a_right(installed: Installed) -> None:
    """tasks.userNamespaces: auto, the default, asks nothing of the cluster."""
    assert not [verb for verb in VERBS if installed.worker.may(verb, "nodes")]


@pytest.mark.attack(actor=CONTAINER)
def test_task_account_has_none(control_plane: ControlPlane, installed: Installed) -> None:
    for namespace in (TASKS, UNFENCED):
        task = control_plane.service_account(namespace, "airdock-task")
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        there = control_plane.admin.get(
            {**account, "metadata": {"name": "airdock-task", "namespace": namespace}}
        )
        assert there["automountServiceAccountToken"] is False
        for other in (TASKS, UNFENCED, RELEASE, "default", "kube-system"):
            assert task.rights(other) == NONE


def test_further_namespaces(installed: Installed) -> None:
    """tasks.extraNamespaces gives the same rights there, to the Kubernetes operators; none to the gateway."""
    triggerer = installed.account("triggerer")
    assert triggerer.rights(UNFENCED) == triggerer.rights(TASKS) != NONE
    there = installed.worker.rights(UNFENCED)
    assert there != NONE
    assert there | rights(*GATEWAY) == installed.worker.rights(TASKS)
    assert not there & rights("coordination.k8s.io/leases create,get,list,patch,delete")


def test_no_rule_for_an_api_of_kubernetes(control_plane: ControlPlane) -> None:
    """tasks.rbac.rules takes none of the groups that the API server has without custom resources.

    A group that a new version brings fails here until the chart rejects it.
    """
    groups = {each["name"] for each in control_plane.admin.request("GET", "/apis")["groups"]}
    groups -= {"example.com"}
    rule = {"resources": ["things"], "verbs": ["create"]}
    assert len(groups) > 15
    for group in sorted(groups):
        with pytest.raises(RenderError, match=r"tasks[./]rbac[./]rules"):
            render({"tasks": {"rbac": {"rules": [{**rule, "apiGroups": [group]}]}}})


#: By group.
RESOURCES = {
    "": (
        *("pods", "pods/log", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "pods/status"),
        *("pods/ephemeralcontainers", "pods/binding", "pods/eviction", "pods/resize", "bindings"),
        *("secrets", "configmaps", "events", "services", "endpoints", "persistentvolumeclaims"),
        *("resourcequotas", "limitranges", "serviceaccounts", "serviceaccounts/token"),
        *("podtemplates", "replicationcontrollers"),
    ),
    "apps": ("deployments", "daemonsets", "statefulsets", "replicasets"),
    "batch": ("jobs", "jobs/status", "cronjobs"),
    "networking.k8s.io": ("networkpolicies", "ingresses"),
    "policy": ("poddisruptionbudgets",),
    "rbac.authorization.k8s.io": ("roles", "rolebindings"),
    "coordination.k8s.io": ("leases",),
}
CLUSTER = {
    "": ("namespaces", "nodes", "nodes/proxy", "persistentvolumes"),
    "rbac.authorization.k8s.io": ("clusterroles", "clusterrolebindings"),
    "admissionregistration.k8s.io": ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
    "scheduling.k8s.io": ("priorityclasses",),
    "certificates.k8s.io": ("certificatesigningrequests",),
    "storage.k8s.io": ("storageclasses",),
}


def listed(resources: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """(group, resource) pairs."""
    return [(group, resource) for group, names in resources.items() for resource in names]


@pytest.mark.parametrize("component", ["worker", "triggerer", "api-server", "task"])
@pytest.mark.attack(actor=AUTHOR)
def test_access_matrix(install: Install, control_plane: ControlPlane, component: str) -> None:
    """The same, asked one by one as `kubectl auth can-i` does, with what no rule may grant."""
    release = install(OPERATORS_ALONE, release="matrix", namespace="matrix")
    task_namespace = release.task_namespace
    if component == "task":
        client = control_plane.service_account(task_namespace, "matrix-airdock-task")
    else:
        client = release.account(component)
    expected = {
        ("worker", task_namespace): WORKER_DEFAULT,
        ("triggerer", task_namespace): TRIGGERER_DEFAULT,
        ("api-server", "matrix"): rights("secrets create"),
    }
    namespaces = (task_namespace, "matrix", "kube-system")
    for namespace, (group, resource), verb in itertools.product(namespaces, listed(RESOURCES), VERBS):
        allowed = client.may(verb, resource, namespace, group=group)
        wanted = (group, resource, verb) in expected.get((component, namespace), NONE)
        assert allowed == wanted, f"{component}: {verb} {resource} in {namespace}"
    for (group, resource), verb in itertools.product(listed(CLUSTER), VERBS):
        assert not client.may(verb, resource, group=group), f"{component}: {verb} {resource}"
    for resource in ("users", "groups", "serviceaccounts"):
        assert not client.may("impersonate", resource)
    for verb in ("bind", "escalate"):
        for resource in ("roles", "clusterroles"):
            assert not client.may(verb, resource, task_namespace, group="rbac.authorization.k8s.io")


# What a DAG author could ask for with the worker's token. `admin` shows that each request is a good one.


def _object(kind: str, namespace: str, version: str = "v1", name: str = "stolen", **content: Any) -> Any:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        **content,
    }


_TOKEN_SECRET = _object("Secret", TASKS, type="kubernetes.io/service-account-token")
_TOKEN_SECRET["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "airdock-task"}


def _pod(namespace: str) -> Any:
    return _object("Pod", namespace, spec={"containers": [{"name": "c", "image": "busybox:1.37"}]})


_TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {"containers": [{"name": "c", "image": "busybox:1.37"}]},
}
_WORKLOAD = {"selector": {"matchLabels": {"app": "x"}}, "template": _TEMPLATE}
_RBAC = "rbac.authorization.k8s.io/v1"
_SUBJECT = [{"kind": "ServiceAccount", "name": "airdock-worker-default", "namespace": RELEASE}]
_ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
_TOKEN = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": {}}


def _token(namespace: str, account: str) -> Callable[[Client], object]:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return lambda client: client.request("POST", path, _TOKEN, query={"dryRun": "All"})


def _make(manifest: Any) -> Callable[[Client], object]:
    return lambda client: client.create(manifest, dry_run=True)


def _read(path: str) -> Callable[[Client], object]:
    return lambda client: client.request("GET", path)


ASKED: dict[str, Callable[[Client], object]] = {
    "pod in the release namespace": _make(_pod(RELEASE)),
    "pod in kube-system": _make(_pod("kube-system")),
    "pod in default": _make(_pod("default")),
    "Deployment as a detour": _make(_object("Deployment", TASKS, "apps/v1", spec=_WORKLOAD)),
    "DaemonSet as a detour": _make(_object("DaemonSet", TASKS, "apps/v1", spec=_WORKLOAD)),
    "CronJob as a detour": _make(
        _object(
            "CronJob",
            TASKS,
            "batch/v1",
            spec={
                "schedule": "* * * * *",
                "jobTemplate": {
                    "spec": {"template": {"spec": {**_TEMPLATE["spec"], "restartPolicy": "Never"}}}
                },
            },
        )
    ),
    "secrets of the release": _read(f"/api/v1/namespaces/{RELEASE}/secrets"),
    "secrets of the task namespace": _read(f"/api/v1/namespaces/{TASKS}/secrets"),
    "token of the api-server": _token(RELEASE, "airdock-api-server"),
    "token of its own": _token(RELEASE, "airdock-worker-default"),
    "token of the task account": _token(TASKS, "airdock-task"),
    "token Secret": _make(_TOKEN_SECRET),
    "rights for itself": _make(_object("RoleBinding", TASKS, _RBAC, roleRef=_ROLE, subjects=_SUBJECT)),
    "rights everywhere": _make(_object("ClusterRoleBinding", "", _RBAC, roleRef=_ROLE, subjects=_SUBJECT)),
    "the fence taken down": lambda client: client.request(
        "DELETE",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/airdock-airdock-task-pods",
        query={"dryRun": "All"},
    ),
    "the fence's label taken off": lambda client: client.patch(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TASKS}},
        {"metadata": {"labels": {"airdock.dev/tasks": None}}},
        dry_run=True,
    ),
    "the quota lifted": lambda client: client.patch(
        _object("ResourceQuota", TASKS, name="airdock-tasks"),
        {"spec": {"hard": {"pods": "10k"}}},
        dry_run=True,
    ),
    "the network opened": lambda client: client.patch(
        _object("NetworkPolicy", TASKS, "networking.k8s.io/v1", name="airdock-tasks"),
        {"spec": {"egress": [{}]}},
        dry_run=True,
    ),
    "nodes": _read("/api/v1/nodes"),
    "namespaces": _read("/api/v1/namespaces"),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.attack(actor=AUTHOR)
def test_request_beyond_the_rights(control_plane: ControlPlane, installed: Installed, what: str) -> None:
    ASKED[what](control_plane.admin)
    for component in ("worker", "triggerer"):
        with pytest.raises(Refused) as refused:
            ASKED[what](installed.account(component))
        assert refused.value.status == 403
        assert "cannot" in str(refused.value), "refused for want of the right"


@pytest.mark.attack(actor=AUTHOR)
def test_impersonation(control_plane: ControlPlane, installed: Installed) -> None:
    """With a token of the worker's own: the test's accounts are impersonated themselves."""
    path = "/api/v1/namespaces/airdock/serviceaccounts/airdock-worker-default/token"
    token = control_plane.admin.request("POST", path, _TOKEN)["status"]["token"]
    worker = control_plane.bearer(token)
    assert worker.rights(TASKS) == installed.worker.rights(TASKS), "it is the worker"
    worker.api.set_default_header("Impersonate-User", "admin")
    with pytest.raises(Refused, match="cannot impersonate"):
        worker.rights(TASKS)


@pytest.mark.attack(actor=AUTHOR)
def test_quota_stops_ten_thousand_pods(install: Install, control_plane: ControlPlane) -> None:
    """The default quota: 100 pods that run, 1000 that are there at all."""
    make_namespace(control_plane, "crowd")
    release = install({"tasks": {"extraNamespaces": ["crowd"]}}, release="many", namespace="many")

    def started(namespace: str) -> int:
        """How many pods could be started before a refusal, up to 105."""
        for number in range(105):
            pod = kpo_pod(release.manifests, namespace=namespace)
            pod["metadata"]["name"] = f"crowd-{number}"
            try:
                release.worker.create(pod)
            except Refused as error:
                assert error.status == 403
                assert "exceeded quota: many-airdock-tasks" in str(error)
                return number
        return 105

    assert started("crowd") == 105, "without the quota"
    assert started(release.task_namespace) == 100
    quota = control_plane.admin.get(
        _object("ResourceQuota", release.task_namespace, name="many-airdock-tasks")
    )
    assert quota["spec"]["hard"]["count/pods"] == "1k"


def test_limits_are_filled_in(installed: Installed) -> None:
    pod = kpo_pod(installed.manifests, hook=False)
    with pytest.raises(Refused, match="violates PodSecurity"):
        installed.worker.create(pod, dry_run=True)
    pod = kpo_pod(installed.manifests)
    del pod["spec"]["containers"][0]["resources"]
    created = installed.worker.create(pod, dry_run=True)
    resources = created["spec"]["containers"][0]["resources"]
    assert resources == {
        "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "0"},
        "limits": {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "10Gi"},
    }
