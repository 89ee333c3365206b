"""openshift: on a real API server whose admission does what OpenShift's restricted-v2 does.

tests/support/openshift.py has the policies. Without `openshift`, the same pods are rejected.
"""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import tools
from scripts.chart import CHART, HELM4, Manifest
from tests.api.attacks import base
from tests.api.conftest import Install, Installed, custom_kind, make_namespace
from tests.api.control_plane import ControlPlane
from tests.api.pods import gateway_pod, kpo_pod
from tests.api.test_executor_admission import said, task
from tests.support import openshift
from tests.support.attacks import AUTHOR
from tests.support.openshift import REQUIRED, UID
from tests.support.waiting import wait_until

NAME, PLAIN, BUILDS = "shift", "noshift", "shift-images"
VALUES: dict[str, Any] = {
    "openshift": True,
    "executor": "CeleryExecutor,KubernetesExecutor",
    "kubernetesExecutor": {"allowedOverrides": []},
    "workers": {
        "pods": {"mode": "kubernetes", "queues": ["pods"], "executor": "KubernetesExecutor"},
        "images": {
            "mode": "dind",
            "queues": ["images"],
            "namespace": BUILDS,
            "securityContextConstraints": "privileged",
        },
    },
}


def pod_of(workload: Manifest, namespace: str) -> dict[str, Any]:
    """The pod that a controller makes of a workload; volumes of its claims are empty."""
    assert workload.pod
    spec = dict(copy.deepcopy(workload.pod.raw))
    claims = [each["metadata"]["name"] for each in workload.raw["spec"].get("volumeClaimTemplates", ())]
    spec["volumes"] = [*spec.get("volumes", ()), *({"name": name, "emptyDir": {}} for name in claims)]
    annotations = workload.raw["spec"]["template"]["metadata"].get("annotations", {})
    metadata = {"name": "pod", "namespace": workload.namespace or namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def users(pod: dict[str, Any]) -> set[Any]:
    """The uids of a pod's containers."""
    spec = pod["spec"]
    own = spec["securityContext"].get("runAsUser")
    every = [*spec["containers"], *spec.get("initContainers", ())]
    return {each["securityContext"].get("runAsUser", own) for each in every}


@pytest.fixture(scope="module")
def shift(install: Install, control_plane: ControlPlane) -> Iterator[Installed]:
    """A release on OpenShift, and one beside it that knows nothing of it."""
    if control_plane.version < (1, 36):
        pytest.skip("what stands for OpenShift needs MutatingAdmissionPolicy v1")
    found = install(VALUES, release=NAME, namespace=NAME)
    plain = install({}, release=PLAIN, namespace=PLAIN)
    (executor,) = {each.namespace for each in found.manifests.all("PodTemplate")}
    namespaces = (NAME, BUILDS, found.task_namespace, executor, PLAIN, plain.task_namespace)
    policies = openshift.policies(NAME, namespaces)
    admin = control_plane.admin
    for each in policies:
        admin.apply(each)
    refused, changed = (
        pod_of(each.manifests.one("Deployment", component="scheduler"), each.namespace)
        for each in (plain, found)
    )
    # The API server learns of each policy by itself: of those that refuse, and of those that change pods.
    wait_until(lambda: openshift.SAID in said(admin, refused), 60, lambda: said(admin, refused))
    wait_until(lambda: not said(admin, changed), 60, lambda: said(admin, changed))
    yield found
    for each in reversed(policies):
        admin.delete(each)


@pytest.fixture(scope="module")
def plain(install: Install, shift: Installed) -> Installed:
    return install({}, release=PLAIN, namespace=PLAIN)


def test_every_pod_of_the_release_gets_the_uid_of_its_namespace(shift: Installed, plain: Installed) -> None:
    admin = shift.plane.admin
    for installed, holds in ((shift, True), (plain, False)):
        kinds = ("Deployment", "StatefulSet")
        workloads = [m for kind in kinds for m in installed.manifests.all(kind)]
        assert len(workloads) > 5
        for workload in workloads:
            pod = pod_of(workload, installed.namespace)
            if pod["metadata"]["namespace"] == BUILDS:
                continue
            if not holds:
                assert "runAsUser: Invalid value" in said(admin, pod), workload
                continue
            admitted = admin.create(pod, dry_run=True)
            assert users(admitted) == {UID}, workload
            assert admitted["spec"]["securityContext"]["fsGroup"] == UID


def test_task_pods_pass_the_fence_with_what_openshift_adds(
    shift: Installed, plain: Installed, tmp_path: Path
) -> None:
    """With the pull secret, too, that OpenShift gives each service account of a namespace."""
    account = f"{shift.manifests.all('ServiceAccount', component='tasks')[0].name}"
    reference = {"apiVersion": "v1", "kind": "ServiceAccount"}
    target = {**reference, "metadata": {"name": account, "namespace": shift.task_namespace}}
    secret = {"name": f"{account}-dockercfg-x7f3k"}
    shift.plane.admin.patch(target, {"imagePullSecrets": [secret]})
    gateway, uid = shift.bound("shift-worker", group="default")
    for pod in (
        shift.group("default").create(
            kpo_pod(shift.manifests, group="default", xcom=True, init=True), dry_run=True
        ),
        gateway.create(gateway_pod(shift.manifests, tmp_path, owner=uid), dry_run=True),
    ):
        assert users(pod) == {UID}
        assert pod["metadata"]["annotations"]["openshift.io/scc"] == "restricted-v2"
        assert pod["spec"]["imagePullSecrets"] == [secret]
    pod = kpo_pod(plain.manifests)
    del pod["spec"]["securityContext"]["runAsUser"]
    assert "annotation openshift.io/scc (tasks.admission.annotations)" in said(plain.worker, pod)


@pytest.mark.attack(actor=AUTHOR)
@pytest.mark.parametrize("user", ["1000", str(UID - 1), "50000:0"])
def test_authors_choose_no_uid_outside_of_the_range(shift: Installed, tmp_path: Path, user: str) -> None:
    gateway, uid = shift.bound(f"shift-user-{user.replace(':', '-')}", group="default")
    pod = gateway_pod(shift.manifests, tmp_path, owner=uid, User=user)
    assert "runAsUser: Invalid value" in said(gateway, pod)
    pod = gateway_pod(shift.manifests, tmp_path, owner=uid, User=str(UID + 7))
    assert users(gateway.create(pod, dry_run=True)) == {UID + 7}


@pytest.mark.attack(actor=AUTHOR)
@pytest.mark.parametrize("scc", ["privileged", "anyuid"])
def test_authors_choose_no_scc(shift: Installed, scc: str) -> None:
    """Neither OpenShift lets them, nor the fence if it would."""
    pod = kpo_pod(shift.manifests, group="default")
    pod["metadata"].setdefault("annotations", {})[REQUIRED] = scc
    assert said(shift.group("default"), pod)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": f"use-{scc}", "namespace": shift.task_namespace},
        "rules": [{
            "apiGroups": [openshift.GROUP], "resources": ["securitycontextconstraints"],
            "resourceNames": [scc], "verbs": ["use"],
        }],
    }  # fmt: skip
    subject = {"kind": "ServiceAccount", "name": pod["spec"]["serviceAccountName"]}
    binding = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"use-{scc}"},
        "subjects": [subject | {"namespace": shift.task_namespace}],
    }
    del binding["rules"]
    admin = shift.plane.admin
    try:
        for each in (role, binding):
            admin.apply(each)
        wait_until(
            lambda: f"annotation {REQUIRED} (tasks.admission.annotations)"
            in said(shift.group("default"), pod),
            60,
            lambda: f"the fence alone refuses: {said(shift.group('default'), pod)}",
        )
    finally:
        for each in (binding, role):
            admin.delete(each)


def test_pods_of_the_executor_may_have_an_assigned_uid(shift: Installed) -> None:
    admitted = shift.account("scheduler").create(task(shift, "pods"), dry_run=True)
    assert users(admitted) == {UID}
    assert admitted["spec"]["securityContext"]["fsGroup"] == UID


@pytest.mark.attack(actor=AUTHOR)
@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        ("pod", "runAsUser", UID),
        ("pod", "runAsGroup", 5),
        ("pod", "supplementalGroups", [5]),
        ("pod", "fsGroup", 5),
        ("pod", "runAsNonRoot", None),
        ("container", "runAsUser", 0),
        ("container", "runAsUser", 50001),
        ("container", "runAsGroup", 5),
        ("container", "seLinuxOptions", {"type": "spc_t"}),
        ("container", "allowPrivilegeEscalation", True),
        ("secret", "name", "theirs"),
    ],
)
def test_and_nothing_else(shift: Installed, where: str, field: str, value: Any) -> None:
    """Whoever creates the pod, and with whatever code: by the release's policy or by OpenShift's."""
    pod = task(shift, "pods")
    if where == "secret":
        pod["spec"]["imagePullSecrets"] = [{field: value}]
    else:
        owner = pod["spec"] if where == "pod" else base(pod)
        context = owner["securityContext"]
        context.pop(field, None)
        if value is not None:
            context[field] = value
    ours = (f"spec.securityContext.{field}", "securityContext of container base", "imagePullSecrets[theirs]")
    answer = said(shift.account("scheduler"), pod)
    assert any(words in answer for words in (*ours, openshift.SAID, "violates PodSecurity")), answer


def test_a_group_with_an_scc_runs_its_daemon(shift: Installed) -> None:
    """Its account may use the SCC in the group's namespace, and another account may not."""
    pod = pod_of(shift.manifests.one("Deployment", component="worker", group="images"), NAME)
    admin = shift.plane.admin
    admitted = admin.create(pod, dry_run=True)
    assert users(admitted) == {0, 50000}, "as elsewhere"
    make_account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "other", "namespace": BUILDS},
    }
    admin.apply(make_account)
    pod["spec"]["serviceAccountName"] = "other"
    assert "not usable by user or serviceaccount" in said(admin, pod)
    pod["metadata"]["annotations"] = {}
    assert openshift.SAID in said(admin, pod), "nor without the annotation"
    worker = shift.plane.service_account(BUILDS, f"{NAME}-airdock-worker-images")
    name = ("use", "securitycontextconstraints", shift.task_namespace)
    assert not worker.may(*name, name="privileged", group=openshift.GROUP)
    assert worker.may(*name[:2], BUILDS, name="privileged", group=openshift.GROUP)


def test_helm_finds_openshift(control_plane: ControlPlane, tmp_path: Path) -> None:
    """By the API group: here that of a CustomResourceDefinition."""
    names = {
        "plural": "securitycontextconstraints",
        "singular": "securitycontextconstraints",
        "kind": "SecurityContextConstraints",
        "listKind": "SecurityContextConstraintsList",
    }
    kind = custom_kind(openshift.GROUP, "Cluster", names)

    def fixed() -> int:
        """How many uids the chart sets with its default values."""
        done = subprocess.run(
            [tools.path(HELM4), "template", "r", CHART, "--namespace", "routes", "--dry-run=server",
             "--kubeconfig", control_plane.kubeconfig],
            capture_output=True, text=True, check=True,
            env={**os.environ, "HELM_CACHE_HOME": str(tmp_path)},
        )  # fmt: skip
        return done.stdout.count("runAsUser: 5000")

    make_namespace(control_plane, "routes")
    assert fixed() > 3
    try:
        control_plane.admin.apply(kind)
        wait_until(lambda: not fixed(), 60, "Helm finds the API group", every=2)
    finally:
        control_plane.admin.delete(kind)
    wait_until(fixed, 60, "it is gone", every=2)
