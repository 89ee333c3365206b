"""The admission fence and pods that exist already, or that somebody else creates."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest

from tests.api.attacks import Pod, base
from tests.api.conftest import UNFENCED, Installed
from tests.api.control_plane import Client, ControlPlane, Refused
from tests.api.fence import TASKS, refusal
from tests.api.pods import kpo_pod
from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until

# Pods that are there already


@pytest.fixture(scope="module")
def running(installed: Installed) -> dict[str, Pod]:
    """One pod with an XCom sidecar in each namespace; the unfenced one breaks rules that hold elsewhere."""
    pods = {}
    for namespace in (TASKS, UNFENCED):
        pod = kpo_pod(installed.manifests, namespace=namespace, xcom=True)
        pod["metadata"]["name"] = "running"
        pods[namespace] = installed.worker.create(pod)
    return pods


UPDATES: dict[str, Any] = {
    "fixedImages": {"spec": {"containers": [{"name": "base", "image": "busybox:1.36"}]}},
    "labels": {"metadata": {"labels": {"airdock.dev/mode": "dind"}}},
    "labels without a value": {"metadata": {"labels": {"sidecar.istio.io/inject": ""}}},
    "annotations": {"metadata": {"annotations": {"sidecar.istio.io/inject": "true"}}},
    "annotations without a value": {"metadata": {"annotations": {"sidecar.istio.io/inject": ""}}},
    # The API server lets none be taken away, so that these come on top.
    "tolerations": {"spec": {"tolerations": [{"operator": "Exists"}]}},
}


@pytest.mark.parametrize("rule", UPDATES)
@pytest.mark.attack(actor=AUTHOR)
def test_update(installed: Installed, running: dict[str, Pod], rule: str) -> None:
    worker, change = installed.worker, copy.deepcopy(UPDATES[rule])
    if rule == "tolerations":
        change["spec"]["tolerations"] += running[TASKS]["spec"]["tolerations"]
    worker.patch(running[UNFENCED], change, dry_run=True)
    said = refusal(lambda: worker.patch(running[TASKS], change, dry_run=True))
    assert "Airdock release" in said


def test_operator_patches_its_pod(installed: Installed, running: dict[str, Pod]) -> None:
    installed.worker.patch(running[TASKS], {"metadata": {"labels": {"already_checked": "True"}}})


def test_pod_from_before_the_fence_can_end(control_plane: ControlPlane, installed: Installed) -> None:
    """Controllers still change what is no part of the spec, such as a Job's finalizer, and delete it."""
    make = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "late"}}
    admin = control_plane.admin
    admin.apply(make)
    metadata = {"name": "airdock-task", "namespace": "late"}
    admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    pod = kpo_pod(installed.manifests, namespace="late")
    pod["metadata"].update(finalizers=["batch.kubernetes.io/job-tracking"])
    pod["metadata"]["labels"]["airdock.dev/old"] = "x"
    base(pod)["envFrom"] = [{"secretRef": {"name": "old"}}]
    pod = admin.create(pod)
    admin.apply({**make, "metadata": {"name": "late", "labels": {"airdock.dev/tasks": "airdock.airdock"}}})
    fresh = copy.deepcopy(pod)
    fresh["metadata"] = {"name": "new", "namespace": "late"}
    wait_until(lambda: refusal(lambda: admin.create(fresh, dry_run=True)), 60, "late is fenced")
    assert refusal(lambda: admin.patch(pod, {"spec": {"activeDeadlineSeconds": 5}})), (
        "the spec stays as it is"
    )
    admin.patch(pod, {"metadata": {"finalizers": None, "labels": {"seen": "x"}}})
    admin.delete(pod)


#: Pod Security has nothing against it.
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
EPHEMERAL = {
    "spec": {
        "ephemeralContainers": [{"name": "debug", "image": "busybox:1.37", "securityContext": _RESTRICTED}]
    }
}


def careless(control_plane: ControlPlane) -> Client:
    """Somebody with all rights: what stops him is the fence."""
    return control_plane.user("careless", "system:masters")


@pytest.mark.attack(actor=AUTHOR)
def test_ephemeral_container(control_plane: ControlPlane, running: dict[str, Pod]) -> None:
    def debug(client: Client, namespace: str) -> str:
        patch = partial(client.patch, running[namespace], EPHEMERAL, dry_run=True)
        return refusal(partial(patch, subresource="ephemeralcontainers"))

    assert debug(careless(control_plane), UNFENCED) == ""
    said = debug(careless(control_plane), TASKS)
    assert "ephemeral container debug (tasks.admission.exemptUsers)" in said
    assert debug(control_plane.user("debugger", "system:masters"), TASKS) == ""


def connect(client: Client, pod: Pod, subresource: str, container: str = "", method: str = "GET") -> str:
    """The refusal of a connection, "" if all of admission let it through: there is no node to serve it."""
    query = {"container": container, "command": "id"} if container else {}
    try:
        client.request(method, client.path(pod, subresource=subresource), query=query)
    except Refused as error:
        if error.status == 400 and "does not have a host assigned" in str(error):
            return ""
        assert error.status == 403, str(error)
        return str(error)
    raise AssertionError("a pod without a node cannot have answered")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.attack(actor=AUTHOR)
def test_exec(installed: Installed, running: dict[str, Pod], method: str) -> None:
    worker = installed.worker
    assert connect(worker, running[UNFENCED], "exec", "base", method) == ""
    assert connect(worker, running[TASKS], "exec", "airflow-xcom-sidecar", method) == ""
    assert "tasks.admission.execContainers" in connect(worker, running[TASKS], "exec", "base", method)
    bare = {**running[TASKS]}
    path = worker.path(bare, subresource="exec")
    said = refusal(lambda: worker.request(method, path, query={"command": "id"}))
    assert "exec into container ''" in said, "the container that Kubernetes would choose"


@pytest.mark.parametrize("subresource", ["attach", "portforward", "proxy"])
@pytest.mark.attack(actor=AUTHOR)
def test_other_connections(
    control_plane: ControlPlane, installed: Installed, running: dict[str, Pod], subresource: str
) -> None:
    # Who may attach, and to what: test_rights.py, test_fence_gateways.py.
    for namespace in () if subresource == "attach" else (TASKS, UNFENCED):
        said = connect(installed.worker, running[namespace], subresource)
        assert f'cannot get resource "pods/{subresource}"' in said, "the worker has no right to it"
    client = careless(control_plane)
    if subresource != "proxy":  # whose backend answers differently
        assert connect(client, running[UNFENCED], subresource, "base") == ""
    words = "attach to pod running" if subresource == "attach" else f"{subresource} is not allowed"
    assert words in connect(client, running[TASKS], subresource)


def test_exempt_user(control_plane: ControlPlane, installed: Installed, running: dict[str, Pod]) -> None:
    debugger = control_plane.user("debugger", "system:masters")
    assert connect(debugger, running[TASKS], "exec", "base") == ""
    pod = kpo_pod(installed.manifests)
    base(pod)["envFrom"] = [{"secretRef": {"name": "any"}}]
    debugger.create(pod, dry_run=True)


# Pods that somebody else makes


@pytest.mark.attack(actor=AUTHOR)
def test_job_is_no_detour(control_plane: ControlPlane, installed: Installed) -> None:
    """The Job is taken; its pod is made by the job controller, and is a task pod like any other."""
    pod = kpo_pod(installed.manifests)
    template = {"metadata": {"labels": {}}, "spec": pod["spec"]}
    stealing = copy.deepcopy(template)
    stealing["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "database-password"}}]

    def made(namespace: str, name: str, template: Any) -> tuple[bool, list[str]]:
        """Whether the Job has a pod, and the warnings about it."""
        metadata = {"name": name, "namespace": namespace}
        installed.worker.create(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
        )
        found: tuple[bool, list[str]] = (False, [])

        def seen() -> bool:
            nonlocal found
            root = f"/api/v1/namespaces/{namespace}"
            pods = control_plane.admin.request(
                "GET", f"{root}/pods", query={"labelSelector": f"job-name={name}"}
            )
            about = {"fieldSelector": f"involvedObject.name={name},type=Warning"}
            events = control_plane.admin.request("GET", f"{root}/events", query=about)["items"]
            found = (bool(pods["items"]), [event["message"] for event in events])
            return any(found)

        wait_until(seen, 60, f"job {name} went on")
        return found

    assert made(UNFENCED, "stealing", stealing) == (True, [])
    assert made(TASKS, "honest", template) == (True, [])
    there, warnings = made(TASKS, "stealing", stealing)
    assert not there
    assert "Secret database-password (tasks.admission.secrets)" in warnings[0]


def test_other_namespaces_are_not_touched(control_plane: ControlPlane, installed: Installed) -> None:
    """The fence of one release does not hold pods elsewhere."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "default"}}
    spec = {
        "containers": [{"name": "c", "image": "evil.example/x", "envFrom": [{"secretRef": {"name": "s"}}]}]
    }
    control_plane.admin.create({**pod, "spec": spec}, dry_run=True)
