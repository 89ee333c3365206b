"""A real API server, with the chart installed on it. No kubelet: pods are stored and stay Pending.

control_plane   a ControlPlane (control_plane.py): `admin`, `user(name)` and `service_account(ns, name)` are
                Clients with create, apply, patch, delete (each with dry_run=True where admission is all that
                matters), `may` and `rights`; `kubeconfig` is for helm and kubectl. One for the session.
install         install(values, release=..., namespace=...) renders the chart and applies it, and returns an
                Installed; a given input is installed once. Its fence holds when the call returns.
installed       the release `airdock` that most tests look at, with the values below.

Helpers: `make_namespace(plane, name, labels)`, and Refused, which a Client raises
with the API server's own words. Object names must not collide: all tests share the control plane. Task
pods as Airflow makes them are in pods.py.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from scripts.chart import Manifest, Manifests, render
from tests.api.control_plane import Client, ControlPlane, Refused
from tests.api.pods import kpo_pod, worker_of
from tests.support.waiting import wait_until

#: Namespaces that tests bring: without the fence, under it, and under it without Pod Security.
UNFENCED, GIVEN, UNGUARDED = "unfenced", "given", "unguarded"
ACCOUNTS = ("cloud", "privileged")
RUNTIME_CLASSES = ("allowed", "theirs")
VALUES: Mapping[str, Any] = {
    "tasks": {
        "extraNamespaces": [UNFENCED, GIVEN, UNGUARDED],
        "rbac": {
            "jobs": True,
            "claims": True,
            "rules": [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["create", "patch"]}],
        },
        "claims": {"data": {"claimName": "of-the-values"}},
        "imagePullSecrets": ["registry"],
        "userNamespaces": "off",
        "admission": {
            "serviceAccounts": ["cloud"],
            "tokenAudiences": ["sts.example.com"],
            "secrets": ["allowed"],
            "configMaps": ["allowed"],
            "persistentVolumeClaims": ["allowed"],
            "storageClasses": ["allowed"],
            "volumeTypes": ["csi", "ephemeral", "image"],
            "imagePullSecrets": ["allowed"],
            "images": ["busybox", "registry.example/team/*", "registry.example/one:1"],
            "priorityClasses": ["batch"],
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "schedulers": ["volcano"],
            "labels": ["airdock.dev/allowed", "app.kubernetes.io/*"],
            "runtimeClasses": ["allowed"],
            "resourceClaims": ["allowed"],
            "localhostProfiles": ["allowed"],
            "controllers": ["controller"],
            "exemptUsers": ["debugger"],
        },
    }
}


@dataclass(frozen=True)
class Installed:
    """A release on the control plane."""

    plane: ControlPlane
    release: str
    namespace: str
    manifests: Manifests

    @property
    def task_namespace(self) -> str:
        """Where the release's task pods run."""
        # The release's own comes before tasks.extraNamespaces.
        return self.manifests.all("ServiceAccount", component="tasks")[0].namespace

    def account(self, component: str) -> Client:
        """The API as the service account of a component sees it: worker, triggerer, api-server, ..."""
        return self.client(self.manifests.one("Deployment", component=component))

    def group(self, name: str) -> Client:
        """The API as the workers of a group see it, and with them whoever writes a DAG for its queues."""
        return self.client(worker_of(self.manifests, name))

    def client(self, workload: Manifest) -> Client:
        """The API as the service account of a workload sees it."""
        pod = workload.pod
        assert pod
        return self.plane.service_account(self.namespace, pod.service_account)

    def bound(self, name: str, *, group: str = "") -> tuple[Client, str]:
        """Create a worker's pod, and give the API as the holder of its token sees it, and the pod's uid.

        The token is a real one, bound to the pod as the kubelet's are. No node runs the pod.
        """
        worker = worker_of(self.manifests, group)
        assert worker.pod
        account = worker.pod.service_account
        container = {"name": "worker", "image": "busybox:1.37"}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": worker.namespace or self.namespace},
            "spec": {"serviceAccountName": account, "containers": [container]},
        }
        uid = self.plane.admin.create(pod)["metadata"]["uid"]
        reference = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/serviceaccounts/{account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"boundObjectRef": reference},
        }
        token = self.plane.admin.request("POST", path, request)["status"]["token"]
        return self.plane.bearer(token), uid

    @property
    def worker(self) -> Client:
        """The API as the only worker group sees it, and with it whoever writes a DAG."""
        return self.account("worker")


Install = Callable[..., Installed]


def make_namespace(plane: ControlPlane, name: str, labels: Mapping[str, str] | None = None) -> None:
    """Create a namespace, with its default service account."""
    plane.admin.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}
    )
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": name},
    }

    def there() -> bool:
        try:
            return bool(plane.admin.get(account))
        except Refused:
            return False

    wait_until(there, 60, f"namespace {name} has a service account")


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane.started() as plane:
        yield plane


@pytest.fixture(scope="session")
def install(control_plane: ControlPlane) -> Install:
    done: dict[str, Installed] = {}

    def install(
        values: Mapping[str, Any] | None = None, *, release: str = "airdock", namespace: str = "airdock"
    ) -> Installed:
        key = json.dumps([values, release, namespace], sort_keys=True)
        if key not in done:
            manifests = render(values, release=release, namespace=namespace)
            make_namespace(control_plane, namespace)
            control_plane.admin.apply_all(manifests)
            done[key] = Installed(control_plane, release, namespace, manifests)
            wait_for_rights(done[key])
            _wait_for_fence(done[key])
        return done[key]

    return install


def wait_for_rights(installed: Installed) -> None:
    """New bindings hold after a moment: wait until each account has a right from each of its Roles."""
    for binding in installed.manifests.all("RoleBinding"):
        role = installed.manifests.one(
            "Role", name=binding.raw["roleRef"]["name"], namespace=binding.namespace
        )
        rule = role.raw["rules"][0]
        for subject in binding.raw["subjects"]:
            account = installed.plane.service_account(subject["namespace"], subject["name"])
            asked = (rule["verbs"][0], rule["resources"][0], binding.namespace)
            name = rule.get("resourceNames", [""])[0]
            may = partial(account.may, *asked, name=name, group=rule["apiGroups"][0])
            wait_until(may, 60, f"{binding} holds")


def _wait_for_fence(installed: Installed) -> None:
    """New policies hold after about a second: wait until each of them refuses what it has to."""
    admin, manifests = installed.plane.admin, installed.manifests
    if not manifests.all("ValidatingAdmissionPolicy", component="tasks"):
        return
    pod = kpo_pod(manifests, namespace=installed.task_namespace)
    pod["metadata"]["labels"]["airdock.dev/probe"] = "x"

    def refused(ask: Callable[[], object]) -> bool:
        try:
            ask()
        except Refused as error:
            return "Airdock release" in str(error)
        return False

    def taken() -> bool:
        try:
            return bool(admin.create(pod))
        except Refused as error:
            if "status unknown for quota" in str(error):
                return False  # the quota is seconds old
            raise

    wait_until(lambda: refused(lambda: admin.create(pod, dry_run=True)), 60, "the fence for pods holds")
    del pod["metadata"]["labels"]["airdock.dev/probe"]
    pod["metadata"]["name"] = "fence-probe"
    wait_until(taken, 60, "a proper pod is taken")
    attach = admin.path(pod, subresource="attach")
    wait_until(lambda: refused(lambda: admin.request("GET", attach)), 60, "the fence for connections holds")
    admin.delete(pod)


def wait_for_count(installed: Installed, key: str) -> None:
    """Wait until the quota counts a kind of object, before which it admits none.

    Its controller finds a new kind after half a minute. It looks at a quota that somebody changes at once, at
    others every 5 minutes.
    """
    (quota,) = installed.manifests.all("ResourceQuota", namespace=installed.task_namespace)
    admin, other = installed.plane.admin, itertools.count(1000)

    def counts() -> bool:
        if key in admin.get(quota.raw).get("status", {}).get("used", {}):
            return True
        admin.patch(quota.raw, {"spec": {"hard": {"count/secrets": str(next(other))}}})
        return False

    wait_until(counts, 120, f"the quota counts {key}", every=2)


def custom_kind(group: str, scope: str, names: Mapping[str, str]) -> dict[str, Any]:
    """A CustomResourceDefinition of a version v1 whose objects may have any fields."""
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{group}"},
        "spec": {"group": group, "scope": scope, "names": names, "versions": [version]},
    }


def _custom_resource(plane: ControlPlane) -> None:
    """Widgets of example.com, and wait until they are there."""
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    plane.admin.apply(custom_kind("example.com", "Namespaced", names))

    def there() -> bool:
        try:
            return bool(plane.admin.request("GET", "/apis/example.com/v1/widgets"))
        except Refused:
            return False

    wait_until(there, 60, "widgets are there")


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane, install: Install) -> Installed:
    """The release `airdock` with VALUES."""
    fenced = {"airdock.dev/tasks": "airdock.airdock"}
    make_namespace(control_plane, UNFENCED)
    make_namespace(control_plane, GIVEN, {**fenced, "pod-security.kubernetes.io/enforce": "restricted"})
    make_namespace(control_plane, UNGUARDED, fenced)
    for name in ("batch", "urgent"):
        kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
        control_plane.admin.apply({**kind, "metadata": {"name": name}, "value": 1000})
    for name in RUNTIME_CLASSES:
        kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass"}
        control_plane.admin.apply({**kind, "metadata": {"name": name}, "handler": "runc"})
    _custom_resource(control_plane)
    release = install(VALUES)
    # Accounts that are not the tasks': one that the values allow, one that they do not.
    for namespace, name in itertools.product((release.task_namespace, UNFENCED, GIVEN, UNGUARDED), ACCOUNTS):
        metadata = {"name": name, "namespace": namespace}
        control_plane.admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    return release
