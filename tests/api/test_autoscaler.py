"""The autoscaler's account: its right to patch pods ends at one annotation of its own release's workers.

Each attack is first shown without the admission policy, where it works.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.conftest import Install, Installed, custom_kind
from tests.api.control_plane import Client, ControlPlane, Refused
from tests.support.attacks import AUTOSCALER
from tests.support.paths import FILES
from tests.support.waiting import wait_until

COST = "controller.kubernetes.io/pod-deletion-cost"
SAID = "may only change"
Pod = dict[str, Any]
A = {"name": "a", "image": "a"}


def values(enabled: bool) -> dict[str, Any]:
    groups: dict[str, Any] = {
        "default": {"autoscaling": {"enabled": True}, "dockerGateway": {"enabled": False}},
        "fixed": {"mode": "dind", "queues": ["fixed"]},
    }
    return {
        "workers": groups,
        "controlPlane": {"autoscaler": {"admission": {"enabled": enabled}}},
        "tasks": {"admission": {"enabled": False}},
    }


def pods(plane: ControlPlane, namespace: str, component: str) -> list[Pod]:
    """The pods that the controllers have created for a component."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    found = plane.admin.request(
        "GET", path, query={"labelSelector": f"app.kubernetes.io/component={component}"}
    )
    return [{"apiVersion": "v1", "kind": "Pod", **each} for each in found["items"]]


def cost(number: str | None) -> dict[str, Any]:
    return {"metadata": {"annotations": {COST: number}}}


def said(account: Client, pod: Pod, change: Any, subresource: str = "") -> str:
    """What the API server says of a patch; nothing if it takes it."""
    try:
        account.patch(pod, change, dry_run=True, subresource=subresource)
    except Refused as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def kind(control_plane: ControlPlane) -> None:
    """KEDA's kind, without its schema."""
    names = {"plural": "scaledobjects", "singular": "scaledobject", "kind": "ScaledObject"}
    definition = custom_kind("keda.sh", "Namespaced", names)
    definition["spec"]["versions"][0]["name"] = "v1alpha1"
    control_plane.admin.apply(definition)

    def there() -> bool:
        try:
            return bool(control_plane.admin.request("GET", "/apis/keda.sh/v1alpha1/scaledobjects"))
        except Refused:
            return False

    wait_until(there, 60, "ScaledObjects are there")


def release(install: Install, plane: ControlPlane, name: str, enabled: bool) -> Installed:
    """Install, beside a worker of another release, and wait for pods and policy."""
    installed = install(values(enabled), release=name, namespace=name)
    wait_until(
        lambda: all(pods(plane, name, component) for component in ("worker", "scheduler")),
        60,
        "there are pods",
    )
    (worker, *_) = pods(plane, name, "worker")
    labels = {**worker["metadata"]["labels"], "app.kubernetes.io/instance": "other"}
    del labels["pod-template-hash"]
    container = {"name": "worker", "image": "busybox:1.37"}
    plane.admin.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "other", "namespace": name, "labels": labels},
            "spec": {"containers": [container]},
        }
    )
    if enabled:
        account = installed.account("autoscaler")
        change = {"metadata": {"labels": {"x": "y"}}}
        wait_until(lambda: SAID in said(account, worker, change), 60, lambda: said(account, worker, change))
    return installed


@pytest.fixture(scope="module")
def fenced(install: Install, control_plane: ControlPlane, kind: None) -> Installed:
    return release(install, control_plane, "scaled", True)


@pytest.fixture(scope="module")
def unfenced(install: Install, control_plane: ControlPlane, kind: None) -> Installed:
    return release(install, control_plane, "scaled-off", False)


def first(installed: Installed, component: str, group: str = "") -> Pod:
    """A pod of a component of the release."""
    return next(
        pod
        for pod in pods(installed.plane, installed.namespace, component)
        if pod["metadata"]["labels"]["app.kubernetes.io/instance"] == installed.release
        and group in ("", pod["metadata"]["labels"].get("airdock.dev/worker-group"))
    )


def container(pod: Pod, **fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": pod["spec"]["containers"][0]["name"], **fields}]}}


OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "1"}
#: Patches of a worker's pod.
CHANGES: dict[str, Callable[[Pod], Any]] = {
    "another image": lambda pod: container(pod, image="registry.example.com/theirs:1"),
    "another image of an init container": lambda pod: {
        "spec": {
            "initContainers": [
                {"name": each["name"], **({"image": "theirs"} if number == 0 else {})}
                for number, each in enumerate(pod["spec"]["initContainers"])
            ]
        }
    },
    "the annotation and another image": lambda pod: {
        **cost("1"),
        **container(pod, image="registry.example.com/theirs:1"),
    },
    "an end": lambda pod: {"spec": {"activeDeadlineSeconds": 1}},
    "a toleration": lambda pod: {
        "spec": {"tolerations": [*pod["spec"]["tolerations"], {"operator": "Exists"}]}
    },
    "another component's label": lambda pod: {
        "metadata": {"labels": {"app.kubernetes.io/component": "postgres"}}
    },
    "no group": lambda pod: {"metadata": {"labels": {"airdock.dev/worker-group": None}}},
    "no owner's label": lambda pod: {"metadata": {"labels": {"pod-template-hash": None}}},
    "an empty label": lambda pod: {"metadata": {"labels": {"theirs": ""}}},
    "another annotation": lambda pod: {"metadata": {"annotations": {"example.com/theirs": "x"}}},
    "an empty annotation": lambda pod: {"metadata": {"annotations": {"example.com/theirs": ""}}},
    "no annotation": lambda pod: {
        "metadata": {"annotations": {next(iter(pod["metadata"]["annotations"])): None}}
    },
    "a finalizer": lambda pod: {"metadata": {"finalizers": ["example.com/theirs"]}},
    "an owner": lambda pod: {"metadata": {"ownerReferences": [OWNER]}},
    "no owner": lambda pod: {"metadata": {"ownerReferences": [{"$patch": "replace"}]}},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.attack(actor=AUTOSCALER)
def test_changes(fenced: Installed, unfenced: Installed, change: str) -> None:
    pod = first(unfenced, "worker", "default")
    assert said(unfenced.account("autoscaler"), pod, CHANGES[change](pod)) == "", (
        "without the policy it works"
    )
    pod = first(fenced, "worker", "default")
    answer = said(fenced.account("autoscaler"), pod, CHANGES[change](pod))
    assert f"may only change the annotation {COST}" in answer, answer
    # The policy is the autoscaler's alone.
    assert said(fenced.plane.admin, pod, CHANGES[change](pod)) == ""


@pytest.mark.parametrize("whose", ["scheduler", "postgres", "other"])
@pytest.mark.attack(actor=AUTOSCALER)
def test_other_pods(fenced: Installed, unfenced: Installed, whose: str) -> None:
    """The annotation of a pod that is no worker, or another release's."""

    def pod(installed: Installed) -> Pod:
        if whose == "other":
            return {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": whose, "namespace": installed.namespace},
            }
        return first(installed, whose)

    assert said(unfenced.account("autoscaler"), pod(unfenced), cost("1")) == ""
    answer = said(fenced.account("autoscaler"), pod(fenced), cost("1"))
    assert "may only change the workers of this release" in answer, answer


@pytest.mark.attack(actor=AUTOSCALER)
def test_rights_that_somebody_adds(fenced: Installed, unfenced: Installed) -> None:
    """An aggregated role, say: whatever the account may do to pods, the policy leaves it the annotation."""
    for installed in (fenced, unfenced):
        account = installed.manifests.one("Deployment", component="autoscaler").pod
        assert account
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1"}
        metadata = {"name": "more", "namespace": installed.namespace}
        rules = [{"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}]
        installed.plane.admin.apply({**kind, "kind": "Role", "metadata": metadata, "rules": rules})
        subject = {
            "kind": "ServiceAccount",
            "name": account.service_account,
            "namespace": installed.namespace,
        }
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "more"}
        installed.plane.admin.apply(
            {**kind, "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": [subject]}
        )
        may = partial(installed.account("autoscaler").may, "delete", "pods", installed.namespace)
        wait_until(may, 60, "the right holds")

    def attempts(installed: Installed) -> dict[str, str]:
        client, pod = installed.account("autoscaler"), first(installed, "worker", "default")
        path = client.path(pod)
        metadata = {"name": "new", "namespace": installed.namespace}
        new = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [A]}}
        ephemeral = {"spec": {"ephemeralContainers": [A]}}
        tries: dict[str, Callable[[], object]] = {
            "status": lambda: client.patch(
                pod, {"status": {"reason": "theirs"}}, dry_run=True, subresource="status"
            ),
            "ephemeral container": lambda: client.patch(
                pod, ephemeral, dry_run=True, subresource="ephemeralcontainers"
            ),
            "new pod": lambda: client.create(new, dry_run=True),
            "delete": lambda: client.request("DELETE", path, query={"dryRun": "All"}),
        }
        found = {}
        for name, attempt in tries.items():
            try:
                attempt()
            except Refused as error:
                found[name] = str(error)
        return found

    assert attempts(unfenced) == {}
    refused = attempts(fenced)
    assert refused.keys() == {"status", "ephemeral container", "new pod", "delete"}
    for name, answer in refused.items():
        assert SAID in answer, (name, answer)


@pytest.fixture
def autoscaler(fenced: Installed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The program, with a token of its account."""
    monkeypatch.syspath_prepend(str(FILES / "scripts"))
    import api_server
    import autoscaler

    server = urlsplit(fenced.plane.server)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(server.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    path = f"/api/v1/namespaces/{fenced.namespace}/serviceaccounts/scaled-airdock-autoscaler/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = fenced.plane.admin.request("POST", path, request)["status"]["token"]
    (tmp_path / "token").write_text(token)
    (tmp_path / "ca.crt").write_bytes((fenced.plane.directory / "pki" / "apiserver.crt").read_bytes())
    monkeypatch.setattr(api_server, "ACCOUNT", tmp_path)
    module: ModuleType = autoscaler
    return module


def test_the_busy_worker_stays(
    fenced: Installed, autoscaler: ModuleType, control_plane: ControlPlane
) -> None:
    """The program marks it, and Kubernetes' own controller removes the others."""
    deployment = fenced.manifests.one("Deployment", name="scaled-airdock-worker-default")
    scheduler = fenced.manifests.one("Deployment", component="autoscaler")
    assert scheduler.pod
    env = fenced.manifests.environment(scheduler, scheduler.pod.container("autoscaler"))
    groups = {name: autoscaler.Group(**group) for name, group in json.loads(env["AIRDOCK_GROUPS"]).items()}
    selector = env["AIRDOCK_SELECTOR"]
    control_plane.admin.patch(deployment.raw, {"spec": {"replicas": 4}})

    def workers() -> dict[str, str]:
        found = autoscaler.workers(groups, selector)
        assert {worker.group for worker in found} == {"default"}, "the group of a fixed size is no concern"
        return {worker.name: worker.cost for worker in found}

    wait_until(lambda: len(workers()) == 4, 60, "four workers")
    *idle, busy = sorted(workers())
    # Its name stands for an address: without a kubelet there is none.
    rows = [("default", "running", busy, 2), ("default", "queued", idle[0], 5)]
    assert autoscaler.look(rows, groups, selector) == {"default": {"running": 2, "queued": 5, "demand": 7}}
    assert workers() == {**dict.fromkeys(idle, "0"), busy: "2"}
    control_plane.admin.patch(deployment.raw, {"spec": {"replicas": 1}})
    wait_until(lambda: set(workers()) == {busy}, 60, "only the busy one is left")
    autoscaler.look([], groups, selector)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": busy, "namespace": fenced.namespace}}
    assert COST not in control_plane.admin.get(pod)["metadata"]["annotations"]
