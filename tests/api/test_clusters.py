"""What `rbac-for-cluster` prints, on a second API server, and all that its kubeconfig can do there."""

from __future__ import annotations

import base64
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes.config
import pytest

from scripts import tools
from scripts.chart import ROOT, Manifests, render
from tests.api.attacks import ATTACKS, POD_SECURITY, Attack
from tests.api.conftest import ACCOUNTS, Installed, make_namespace
from tests.api.control_plane import Client, ControlPlane
from tests.api.fence import attempt, by_name, refusal
from tests.api.pods import kpo_pod
from tests.api.test_rights import NONE, TRIGGERER_DEFAULT, WORKER_DEFAULT
from tests.support.attacks import AUTHOR
from tests.support.recipes import follow, recipes
from tests.support.waiting import wait_until

TASKS, HOME, UNFENCED = "airdock-gpu", "airdock-gpu-access", "elsewhere"
ACCOUNT = "airdock-task-launcher"
CLUSTER = {"kubeconfigSecret": "gpu-kubeconfig", "key": "config", "namespace": TASKS}
VALUES: dict[str, Any] = {
    "tasks": {
        "clusters": {"gpu": CLUSTER},
        "userNamespaces": "off",
        "admission": {
            "images": ["busybox", "registry.example/one:1"],
            "storageClasses": ["allowed"],
            "volumeTypes": ["csi", "ephemeral", "image"],
            "secrets": ["allowed"],
            "tokenAudiences": ["sts.example.com"],
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
        },
    }
}


@dataclass(frozen=True)
class Other:
    """The second cluster, and its API as the kubeconfig sees it."""

    plane: ControlPlane
    client: Client
    installed: Installed
    kubeconfig: Path


def kubectl(plane: ControlPlane, *words: str, stdin: str = "") -> str:
    """Run kubectl as the administrator of a cluster."""
    command = [str(tools.path("kubectl")), f"--kubeconfig={plane.kubeconfig}", *words]
    return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    values = tmp_path_factory.mktemp("clusters") / "values.json"
    values.write_text(json.dumps(VALUES))
    command = [sys.executable, "-m", "scripts.cli", "rbac-for-cluster", "gpu", "-f", str(values)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.fixture(scope="module")
def other(
    printed: str, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Other]:
    directory = tmp_path_factory.mktemp("kubeconfig")
    with ControlPlane.started() as plane:
        for _ in range(2):  # Again after a change of the values.
            kubectl(plane, "apply", "-f", "-", stdin=printed)
        token = ("get", "secret", f"{ACCOUNT}-token", "-n", HOME, "-o", "jsonpath={.data.token}")
        wait_until(lambda: bool(kubectl(plane, *token)), 30, "the account has a token")
        make_namespace(control_plane, "airdock")
        theirs, own = recipes(printed)
        follow(theirs, plane.kubeconfig, directory)
        follow(own, control_plane.kubeconfig, directory)
        kubeconfig = directory / "gpu.kubeconfig"
        client = Client(kubernetes.config.new_client_from_config(str(kubeconfig)))
        installed = Installed(plane, "airdock", "airdock", render(VALUES))
        pod = kpo_pod(installed.manifests, namespace=TASKS)
        pod["spec"]["schedulerName"] = "lax"
        lax = "schedulers"
        wait_until(lambda: lax in refusal(lambda: client.create(pod, dry_run=True)), 60, "the fence holds")
        _unfence(plane, client)
        yield Other(plane, client, installed, kubeconfig)


def _unfence(plane: ControlPlane, client: Client) -> None:
    """A namespace with the same rights and without the fence, and what pods name there."""
    make_namespace(plane, UNFENCED)
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{TASKS}"
    for kind in ("Role", "RoleBinding"):
        found = plane.admin.request("GET", f"{rbac}/{kind.lower()}s/{ACCOUNT}")
        plane.admin.apply({**found, "metadata": {"name": ACCOUNT, "namespace": UNFENCED}})
    for namespace, name in itertools.product((TASKS, UNFENCED), ("airdock-task", *ACCOUNTS)):
        metadata = {"name": name, "namespace": namespace}
        plane.admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
    plane.admin.apply({**priority, "metadata": {"name": "urgent"}})
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "runc"}
    plane.admin.apply({**runtime, "metadata": {"name": "theirs"}})
    wait_until(lambda: client.may("create", "pods", UNFENCED), 30, "the rights hold")


def test_the_release_stores_the_kubeconfig(other: Other, control_plane: ControlPlane) -> None:
    secret = json.loads(kubectl(control_plane, "get", "secret", "gpu-kubeconfig", "-n", "airdock", "-ojson"))
    assert {key: base64.b64decode(value).decode() for key, value in secret["data"].items()} == {
        "config": other.kubeconfig.read_text()
    }


def test_a_pod_as_the_operator_makes_it(other: Other) -> None:
    for xcom in (False, True):
        other.client.create(kpo_pod(other.installed.manifests, namespace=TASKS, xcom=xcom), dry_run=True)


@pytest.mark.attack(actor=AUTHOR)
def test_rights(other: Other) -> None:
    """Those of workers and triggerer in the own cluster, in the task namespace and nowhere else."""
    assert other.client.rights(TASKS) == WORKER_DEFAULT | TRIGGERER_DEFAULT
    for namespace in (HOME, "default", "kube-system"):
        assert other.client.rights(namespace) == NONE, namespace
    wanted = ("namespaces", "nodes", "persistentvolumes", "serviceaccounts/token", "secrets", "users")
    for resource, verb in itertools.product(wanted, ("get", "list", "create", "delete", "impersonate")):
        assert not other.client.may(verb, resource), f"{verb} {resource}"
        assert not other.client.may(verb, resource, HOME), f"{verb} {resource}"
    admission = "admissionregistration.k8s.io"
    assert not other.client.may("delete", "validatingadmissionpolicies", group=admission)


@by_name(ATTACKS)
def test_attack(other: Other, attack: Attack) -> None:
    assert attempt(other.client, other.installed, attack, UNFENCED) == "", "works without the fence"
    said = attempt(other.client, other.installed, attack, TASKS)
    if attack.needs_no_limit_range:
        return
    assert said
    if attack.rule == POD_SECURITY:
        assert "violates PodSecurity" in said
    elif "violates PodSecurity" not in said:
        assert re.search(r"\(tasks\.\w+|\(no value allows this\)", said), said


@pytest.mark.attack(actor=AUTHOR)
def test_a_pod_cannot_be_the_account(other: Other) -> None:
    """Nor can one run where the account is."""
    pod = kpo_pod(other.installed.manifests, namespace=TASKS)
    pod["spec"]["serviceAccountName"] = ACCOUNT
    assert "not found" in refusal(lambda: other.client.create(pod, dry_run=True))
    there = kpo_pod(other.installed.manifests, namespace=HOME)
    assert "cannot create" in refusal(lambda: other.client.create(there, dry_run=True))


def test_another_release_there_keeps_its_own(other: Other) -> None:
    """No object has the name of one of a release of the same name in that cluster."""
    local = {(each.kind, each.namespace, each.name) for each in render({})}
    found = Manifests.parse(kubectl(other.plane, "get", "validatingadmissionpolicies", "-o", "yaml"))
    assert found
    assert not {(each.kind, each.namespace, each.name) for each in found} & local
