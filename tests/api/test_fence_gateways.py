"""The admission fence and the Docker gateways: nobody writes the Lease or the label of another pod's.

A DAG author in a worker has the token of that worker's pod, and is admitted as its gateway. Another worker's
he is not, nor one that has ended.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import GIVEN, UNFENCED, Installed
from tests.api.control_plane import Client, ControlPlane, Refused
from tests.api.fence import TASKS, refusal
from tests.api.pods import gateway_pod, kpo_pod, worker_of
from tests.api.test_fence_updates import connect
from tests.support.attacks import AUTHOR
from tests.support.paths import FILES
from tests.support.waiting import wait_until

LABEL = "airdock.dev/gateway"
DEAD = "0b5e1d3c-5f0e-4a7e-9d56-6b0a0f3d7a11"


def lease(owner: str, namespace: str = TASKS, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": f"airdock-gateway-{owner}", "namespace": namespace, **metadata},
        "spec": {"holderIdentity": owner, "leaseDurationSeconds": 120},
    }


@pytest.fixture(scope="module")
def gateway(installed: Installed, control_plane: ControlPlane) -> Iterator[tuple[Client, str]]:
    """A worker's token and its pod's uid; the same rights outside the fence, and a dead gateway's Leases."""
    admin = control_plane.admin
    client, uid = installed.bound("worker-of-the-author")
    account = worker_of(installed.manifests).pod
    assert account
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}
    attach = {"apiGroups": [""], "resources": ["pods/attach"], "verbs": ["get", "create"]}
    subject = {"kind": "ServiceAccount", "name": account.service_account, "namespace": installed.namespace}
    for namespace in (UNFENCED, GIVEN):
        metadata = {"name": "leases", "namespace": namespace}
        admin.apply({**role, "metadata": metadata, "rules": [leases, attach]})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "leases"}
        admin.apply(
            {**role, "kind": "RoleBinding", "metadata": metadata, "roleRef": reference, "subjects": [subject]}
        )
    exempt = control_plane.user("debugger", "system:masters")
    for namespace in (TASKS, UNFENCED, GIVEN):
        exempt.create(lease(DEAD, namespace))
        wait_until(
            partial(client.may, "create", "leases", namespace, group="coordination.k8s.io"), 60, "rights"
        )
        if namespace != UNFENCED:
            wait_until(lambda n=namespace: said(client, lease("x", n)), 60, "the fence of Leases holds")
    yield client, uid
    for namespace in (TASKS, UNFENCED, GIVEN):
        exempt.delete(lease(DEAD, namespace))


def said(client: Client, manifest: dict[str, Any]) -> str:
    return refusal(lambda: client.create(manifest, dry_run=True))


RENEW = {"spec": {"renewTime": "2026-11-28T12:00:00.000000Z"}}
#: How an author could write a Lease, by (the author's uid, namespace).
LEASES: dict[str, Callable[[Client, str, str], object]] = {
    "a dead gateway's, renewed": lambda c, uid, ns: c.patch(lease(DEAD, ns), RENEW, dry_run=True),
    "one of a gateway that never was": lambda c, uid, ns: c.create(lease("x" * 36, ns), dry_run=True),
    "any other": lambda c, uid, ns: c.create(lease("", ns, name="theirs"), dry_run=True),
    "its own, with more behind it": lambda c, uid, ns: c.create(lease(f"{uid}x", ns), dry_run=True),
    "its own, which nobody could delete": lambda c, uid, ns: c.create(
        lease(uid, ns, finalizers=["example.com/theirs"]), dry_run=True
    ),
    "its own, owned by another object": lambda c, uid, ns: c.create(
        lease(uid, ns, ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]),
        dry_run=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", LEASES)
@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_leases_of_others(gateway: tuple[Client, str], attack: str) -> None:
    client, uid = gateway
    attempt = LEASES[attack]
    attempt(client, uid, UNFENCED)
    for namespace in (TASKS, GIVEN):
        assert "tasks.admission.exemptUsers" in refusal(partial(attempt, client, uid, namespace))


def test_its_own_lease(gateway: tuple[Client, str]) -> None:
    client, uid = gateway
    client.create(lease(uid))
    client.patch(lease(uid), RENEW)
    client.delete(lease(uid))


def _create(client: Client, installed: Installed, namespace: str, owner: str) -> str:
    pod = kpo_pod(installed.manifests, namespace=namespace)
    pod["metadata"]["labels"][LABEL] = owner
    return said(client, pod)


@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_labels_of_others(installed: Installed, gateway: tuple[Client, str]) -> None:
    """A pod that another gateway would take for its own, or that would be deleted with a dead one's."""
    client, uid = gateway
    assert _create(client, installed, UNFENCED, DEAD) == ""
    for namespace in (TASKS, GIVEN):
        for owner in (DEAD, uid[:-1], f"{uid}x"):
            assert f"label {LABEL}" in _create(client, installed, namespace, owner)
        assert _create(client, installed, namespace, uid) == ""


@pytest.mark.parametrize("change", [DEAD, None], ids=["another's", "removed"])
@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_a_label_stays(installed: Installed, gateway: tuple[Client, str], change: str | None) -> None:
    """Of a pod that exists: no other gateway takes it over, and its own does not lose it."""
    client, uid = gateway
    for namespace in (UNFENCED, TASKS):
        pod = kpo_pod(installed.manifests, namespace=namespace)
        pod["metadata"] |= {"name": "labelled", "labels": {**pod["metadata"]["labels"], LABEL: uid}}
        client.create(pod)
        try:
            patch = {"metadata": {"labels": {LABEL: change}}}
            answer = refusal(partial(client.patch, pod, patch, dry_run=True))
            assert (f"label {LABEL}" in answer) == (namespace == TASKS), answer
            client.patch(pod, {"metadata": {"labels": {"seen": "x"}}}, dry_run=True)
        finally:
            client.delete(pod)


@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_a_jobs_pod(control_plane: ControlPlane, installed: Installed) -> None:
    """The author's Job is refused, and its controller, whose token is of no pod, does not give the label."""
    controller = control_plane.service_account("kube-system", "job-controller")
    for namespace in (UNFENCED, TASKS):
        pod = kpo_pod(installed.manifests, namespace=namespace)
        labels = {**pod["metadata"]["labels"], LABEL: DEAD}
        template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
        job = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": template}}
        made = {**job, "metadata": {"name": "x", "namespace": namespace}}
        assert (f"label {LABEL}" in said(installed.worker, made)) == (namespace == TASKS)
        pod["metadata"]["labels"] = labels
        assert (f"label {LABEL}" in said(controller, pod)) == (namespace == TASKS)


def _similar(uid: str) -> str:
    """Give a uid with another last digit."""
    return uid[:-1] + ("1" if uid.endswith("0") else "0")


#: Names of pods, by the uid of the one who attaches. An exec through the back door: a shell runs its input.
OTHERS: dict[str, Callable[[str], str]] = {
    "one of an operator": lambda uid: "weather-abc123",
    "another gateway's": lambda uid: f"shell-{DEAD}-0123456789ab",
    "another gateway's, with a similar uid": lambda uid: f"shell-{_similar(uid)}-0123456789ab",
    "one that begins with the uid": lambda uid: f"{uid}-0123456789ab",
}


def _attach(client: Client, installed: Installed, namespace: str, name: str) -> list[str]:
    """Give the refusals of attaching by each method, "" for none: there is no node to serve it."""
    pod = kpo_pod(installed.manifests, namespace=namespace)
    pod["metadata"]["name"] = name
    client.create(pod)
    try:
        return [connect(client, pod, "attach", "base", method) for method in ("GET", "POST")]
    finally:
        client.delete(pod)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.attack(actor=AUTHOR)
def test_input_for_pods_of_others(installed: Installed, gateway: tuple[Client, str], other: str) -> None:
    client, uid = gateway
    name = OTHERS[other](uid)
    assert _attach(client, installed, UNFENCED, name) == ["", ""]
    for namespace in (TASKS, GIVEN):
        for refused in _attach(client, installed, namespace, name):
            assert f"attach to pod {name}" in refused


def test_input_for_its_own_pods(installed: Installed, gateway: tuple[Client, str]) -> None:
    client, uid = gateway
    name = f"shell-{uid}-0123456789ab"
    for namespace in (TASKS, GIVEN):
        assert _attach(client, installed, namespace, name) == ["", ""]
    # The same account with another token of its own.
    pod = kpo_pod(installed.manifests)
    pod["metadata"]["name"] = name
    client.create(pod)
    assert f"attach to pod {name}" in connect(installed.worker, pod, "attach", "base")
    client.delete(pod)


def _of_a_secret(plane: ControlPlane, installed: Installed) -> Client:
    """The worker's account with a token that is stored in a Secret, as before Kubernetes 1.22."""
    pod = worker_of(installed.manifests).pod
    assert pod
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "token",
            "namespace": installed.namespace,
            "annotations": {"kubernetes.io/service-account.name": pod.service_account},
        },
    }
    plane.admin.apply(secret)
    wait_until(lambda: "token" in plane.admin.get(secret).get("data", {}), 60, "the Secret has a token")
    return plane.bearer(base64.b64decode(plane.admin.get(secret)["data"]["token"]).decode())


@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_tokens_without_a_pod(
    control_plane: ControlPlane, installed: Installed, gateway: tuple[Client, str]
) -> None:
    """They are refused, whatever they claim; what has to do with no gateway they may."""
    _, uid = gateway
    for client in (_of_a_secret(control_plane, installed), installed.worker):
        for owner in (uid, DEAD):
            assert "with the token of the pod" in said(client, lease(owner))
            assert f"label {LABEL}" in _create(client, installed, TASKS, owner)
        client.create(kpo_pod(installed.manifests), dry_run=True)


def api_of(control_plane: ControlPlane, client: Client, directory: Path) -> Any:
    """The gateway's own client of the API server, with another client's token."""
    from docker_gateway import cluster_api, settings

    (file := directory / f"token-{uuid.uuid4()}").write_text(
        client.api.configuration.api_key["authorization"].removeprefix("Bearer ")
    )
    authority = control_plane.directory / "pki" / "apiserver.crt"
    return cluster_api.KubernetesApi(settings.Kubernetes(control_plane.server, str(file), str(authority)))


def test_the_gateways_own_way(
    control_plane: ControlPlane,
    installed: Installed,
    gateway: tuple[Client, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gateway's code, with its pod's token: a Lease, its renewal, a pod, and a dead one's collection."""
    monkeypatch.syspath_prepend(str(FILES))
    from docker_gateway import cluster_leases, settings

    def leases(uid: str, client: Client) -> cluster_leases.Leases:
        tasks = settings.Tasks(namespace=TASKS)
        return cluster_leases.Leases(
            api_of(control_plane, client, tmp_path), settings.Settings(owner=uid, tasks=tasks)
        )

    dying, dying_uid = installed.bound("worker-that-dies")
    one, other = leases(dying_uid, dying), leases(gateway[1], gateway[0])
    for each in (one, one, other):
        each._renew()
    dying.create(gateway_pod(installed.manifests, tmp_path, owner=dying_uid))
    other._collect(dying_uid, 1e9)
    other._collect(dying_uid, 1e9)
    for name in (f"airdock-gateway-{dying_uid}",):
        with pytest.raises(Refused, match="not found"):
            control_plane.admin.get(lease("", name=name))
    other.release()


@pytest.mark.attack(actor=AUTHOR, finding=(15,))
def test_ended_pods_that_nobody_deletes(
    control_plane: ControlPlane,
    installed: Installed,
    gateway: tuple[Client, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gateway deletes pods of KubernetesPodOperator with its own rights, behind the fence."""
    monkeypatch.syspath_prepend(str(FILES))
    from docker_gateway import cluster_ended_pods, cluster_pods, settings

    monkeypatch.setattr(cluster_pods, "_PAGE", 1)
    admin, pods = control_plane.admin, {}
    for name in ("first", "second", "third", "late", "running"):
        pods[name] = pod = kpo_pod(installed.manifests)
        pod["metadata"]["name"] = f"ended-pods-{name}"
        installed.worker.create(pod)
    for name in ("first", "second", "third", "late"):
        end = "2099-01-01T00:00:00Z" if name == "late" else "2026-01-01T00:00:00Z"
        terminated = {"exitCode": 1, "reason": "Error", "startedAt": end, "finishedAt": end}
        container = {
            "name": "base", "image": "busybox:1.37", "imageID": "", "ready": False, "restartCount": 0,
            "state": {"terminated": terminated},
        }  # fmt: skip
        status = {"phase": "Failed", "containerStatuses": [container]}
        admin.patch(pods[name], {"status": status}, subresource="status")
    collector = cluster_ended_pods.EndedPods(
        cluster_pods.Pods(api_of(control_plane, gateway[0], tmp_path), TASKS), settings.Tasks(namespace=TASKS)
    )
    collector._sweep(time.time() + 60)
    found = admin.request("GET", admin.path(pods["late"], named=False))["items"]
    left = {each["metadata"]["name"] for each in found}
    there = {name for name, pod in pods.items() if pod["metadata"]["name"] in left}
    assert there == {"late", "running"}
    for name in there:
        admin.delete(pods[name])
