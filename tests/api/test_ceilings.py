"""What a DAG author can create in the API server, and what task pods take of nodes: up to the ceiling.

The ceilings are those of values.yaml, unless a thousand objects would have to be created to reach one.
docs/ceilings.md lists them all; scripts/chart/ceilings names the tests here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from kubernetes.client import ApiException

from scripts.chart.values_schema import defaults
from tests.api.attacks import base
from tests.api.conftest import Install, Installed, wait_for_count
from tests.api.control_plane import ControlPlane, Refused
from tests.api.fence import refusal
from tests.api.fence_decisions import claim, job
from tests.api.pods import kpo_pod
from tests.api.test_executor_admission import said, task
from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until

Object = dict[str, Any]
HARD: dict[str, str] = defaults()["tasks"]["quota"]["hard"]
GI = "Gi"
#: How often each object may be there in the release `ceilings`.
FEW = {
    "count/jobs.batch": "2",
    "count/leases.coordination.k8s.io": "2",
    "count/widgets.example.com": "2",
    "persistentvolumeclaims": "2",
    "pods": "2",
    "count/pods": "3",
}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def few(install: Install, installed: Installed) -> Installed:
    """A release whose quota is small; `installed` brings the custom resource."""
    widgets = {"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["create", "patch"]}
    tasks = {
        "quota": {"hard": FEW},
        "rbac": {"jobs": True, "claims": True, "rules": [widgets]},
        "admission": {"storageClasses": ["allowed"]},
    }
    release = install({"tasks": tasks}, release="ceilings", namespace="ceilings")
    wait_for_count(release, "count/widgets.example.com")
    return release


@pytest.fixture(scope="module")
def usual(install: Install) -> Installed:
    """A release with the values as they are, and no pods."""
    return install({}, release="usual", namespace="usual")


def made(kind: str, version: str, spec: Object, namespace: str) -> Object:
    metadata = {"name": f"made-{next(_numbers)}", "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def pod(release: Installed) -> Object:
    found = kpo_pod(release.manifests)
    found["metadata"]["name"] = f"made-{next(_numbers)}"
    return found


MAKERS: dict[str, Callable[[Installed], Object]] = {
    "count/jobs.batch": lambda r: made("Job", "batch/v1", {**job.PROPER, "suspend": True}, r.task_namespace),
    "count/widgets.example.com": lambda r: made("Widget", "example.com/v1", {"size": 1}, r.task_namespace),
    "persistentvolumeclaims": lambda r: made("PersistentVolumeClaim", "v1", claim.PROPER, r.task_namespace),
    "pods": pod,
}


def one_more(quantity: str) -> str:
    """Add one to a quantity, in its own unit."""
    unit = quantity.lstrip("0123456789")
    return f"{int(quantity.removesuffix(unit)) + 1}{unit}"


def counted(create: Callable[[], object], key: str, most: int) -> str:
    """Create until it is refused: after `most` objects. Gives the refusal."""

    def taken() -> bool:
        said = refusal(create)
        assert not said or "status unknown for quota" in said, said
        return not said

    for number in range(most):
        wait_until(taken, 240, f"number {number + 1} of {key} is taken")
    return refusal(create)


@pytest.mark.parametrize("key", MAKERS)
@pytest.mark.attack(actor=AUTHOR, finding=(14,))
def test_objects_are_counted(few: Installed, key: str) -> None:
    worker = few.worker
    said = counted(lambda: worker.create(MAKERS[key](few)), key, int(FEW[key]))
    assert "exceeded quota: ceilings-airdock-tasks" in said
    assert f"{key}={FEW[key]}" in said.rpartition("limited: ")[2]


@pytest.mark.attack(actor=AUTHOR, finding=(15,))
def test_ended_pods_are_counted(few: Installed) -> None:
    """After test_objects_are_counted: two pods that run. Ended ones make room for one more, not for two."""
    admin = few.plane.admin
    listed = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "", "namespace": few.task_namespace}}
    running = admin.request("GET", admin.path(listed, named=False))["items"]
    assert len(running) == 2, "run the whole file"
    for each in running:
        found = {**listed, "metadata": each["metadata"]}
        admin.patch(found, {"status": {"phase": "Succeeded"}}, subresource="status")
    wait_until(lambda: not refusal(lambda: few.worker.create(pod(few))), 60, "there is room for one more")
    said = refusal(lambda: few.worker.create(pod(few)))
    assert "count/pods=3" in said
    assert " pods=" not in said.rpartition("limited: ")[2]


@pytest.mark.attack(actor=AUTHOR, finding=(9,))
def test_leases_are_counted(few: Installed) -> None:
    """A pod of a worker may create one, under its own name; the namespace has room for so many."""

    def create() -> None:
        client, uid = few.bound(f"worker-{next(_numbers)}")
        lease = made("Lease", "coordination.k8s.io/v1", {"holderIdentity": uid}, few.task_namespace)
        lease["metadata"]["name"] = f"airdock-gateway-{uid}"
        client.create(lease)

    key = "count/leases.coordination.k8s.io"
    assert f"{key}=2" in counted(create, key, 2)


def amounts(resource: str, kind: str, total: int, unit: str = "") -> Iterator[Object]:
    """Resources of as many containers as it takes for a sum: `kind` is limits or requests."""
    (item,) = defaults()["tasks"]["limitRange"]["limits"]
    most = int(item["max"].get(resource, str(total)).removesuffix(GI))
    while total > 0:
        part = min(total, most)
        yield {
            kind: {resource: f"{part}{unit}"},
            **({"limits": {resource: f"{part}{unit}"}} if kind == "requests" else {}),
        }
        total -= part


#: By key of the quota: the resource, limits or requests, the sum and its unit.
SUMS = {
    "requests.cpu": ("cpu", "requests", int(HARD["requests.cpu"]), ""),
    "limits.cpu": ("cpu", "limits", int(HARD["limits.cpu"]), ""),
    "requests.memory": ("memory", "requests", int(HARD["requests.memory"].removesuffix(GI)), GI),
    "limits.memory": ("memory", "limits", int(HARD["limits.memory"].removesuffix(GI)), GI),
    "limits.ephemeral-storage": (
        "ephemeral-storage", "limits", int(HARD["limits.ephemeral-storage"].removesuffix("Ti")) * 1024, GI,
    ),
    "requests.nvidia.com/gpu": ("nvidia.com/gpu", "limits", int(HARD["requests.nvidia.com/gpu"]), ""),
}  # fmt: skip


@pytest.mark.parametrize("key", SUMS)
@pytest.mark.attack(actor=AUTHOR, finding=(14,))
def test_amounts_have_a_sum(usual: Installed, key: str) -> None:
    resource, kind, total, unit = SUMS[key]

    def answer(amount: int) -> str:
        found = pod(usual)
        found["spec"]["containers"] = [
            {**base(found), "name": f"c{number}", "resources": resources}
            for number, resources in enumerate(amounts(resource, kind, amount, unit))
        ]
        for each in found["spec"]["containers"]:
            for name in ("cpu", "memory", "ephemeral-storage"):
                each["resources"].setdefault("limits", {}).setdefault(name, "1" if name == "cpu" else "1Gi")
                if kind == "limits":
                    each["resources"].setdefault("requests", {}).setdefault(
                        name, "1m" if name == "cpu" else "1"
                    )
        return refusal(lambda: usual.worker.create(found, dry_run=True))

    wait_until(lambda: answer(total) == "", 60, lambda: f"the ceiling itself is admitted: {answer(total)}")
    refused = answer(total + 1)
    assert "exceeded quota" in refused
    assert f"{key}=" in refused.rpartition("limited: ")[2]


@pytest.mark.parametrize("resource", ["cpu", "memory", "ephemeral-storage"])
@pytest.mark.attack(actor=AUTHOR, finding=(14,))
def test_a_container_has_a_maximum(usual: Installed, resource: str) -> None:
    (item,) = defaults()["tasks"]["limitRange"]["limits"]
    most = item["max"][resource]

    def answer(amount: str) -> str:
        found = pod(usual)
        small = {name: "1" for name in ("cpu", "memory", "ephemeral-storage")}
        base(found)["resources"] = {
            "limits": {**small, resource: amount},
            "requests": dict.fromkeys(small, "1m"),
        }
        return refusal(lambda: usual.worker.create(found, dry_run=True))

    assert answer(most) == ""
    assert f"maximum {resource} usage per Container is {most}" in answer(one_more(most))


@pytest.mark.attack(actor=AUTHOR, finding=(14, 15))
def test_volumes_and_grace_have_a_maximum(usual: Installed) -> None:
    admission = defaults()["tasks"]["admission"]
    size, grace = admission["maxVolumeSize"], admission["maxTerminationGracePeriodSeconds"]

    def answer(medium: str, size: str, grace: int) -> str:
        found = pod(usual)
        found["spec"]["volumes"] = [{"name": "v", "emptyDir": {"medium": medium, "sizeLimit": size}}]
        found["spec"]["terminationGracePeriodSeconds"] = grace
        return refusal(lambda: usual.worker.create(found, dry_run=True))

    for medium in ("", "Memory"):
        assert answer(medium, size, grace) == ""
        assert "tasks.admission.maxVolumeSize" in answer(medium, one_more(size), 1)
    assert "tasks.admission.maxTerminationGracePeriodSeconds" in answer("", size, grace + 1)


def large(kind: str, text: str) -> Object:
    """An object with a long text, outside the fence, so that nothing but its size counts."""
    container = {"name": "base", "image": "busybox:1.37", "env": [{"name": "A", "value": text}]}
    if kind == "Pod":
        return made("Pod", "v1", {"containers": [container]}, "default")
    if kind == "Lease":
        return made("Lease", "coordination.k8s.io/v1", {"holderIdentity": text}, "default")
    return made("Widget", "example.com/v1", {"text": text}, "default")


@pytest.mark.parametrize("kind", ["Pod", "Widget", "Lease"])
def test_an_object_has_a_size(installed: Installed, kind: str) -> None:
    """1.5 MiB, of the API server and etcd, which no value changes."""
    admin = installed.plane.admin
    small = large(kind, "x" * (1 << 20))
    admin.create(small)
    admin.delete(small)
    with pytest.raises((Refused, ApiException), match=r"too large|larger than max"):
        admin.create(large(kind, "x" * (3 << 19)))


EXECUTOR: Object = {
    "executor": "KubernetesExecutor",
    "workers": {"default": None, "plain": {"queues": ["plain"], "executor": "KubernetesExecutor"}},
    "tasks": {"admission": {"enabled": False}},
}


@pytest.mark.attack(actor=AUTHOR, finding=(14,))
def test_pods_of_kubernetes_executor(install: Install, control_plane: ControlPlane) -> None:
    """`resources` of a pod_override is allowed; what it may be has a maximum."""
    (item, claims) = defaults()["kubernetesExecutor"]["limitRange"]["limits"]
    off = {"kubernetesExecutor": {"limitRange": {"enabled": False}}}
    bounded = install(EXECUTOR, release="executor-max", namespace="executor-max")
    unbounded = install({**EXECUTOR, **off}, release="executor-any", namespace="executor-any")

    def answer(release: Installed, resource: str, amount: str) -> str:
        found = task(release, "plain")
        found["spec"]["containers"][0]["resources"]["limits"][resource] = amount
        return said(release.account("scheduler"), found)

    for resource, most in item["max"].items():
        more = one_more(most)
        wait_until(partial(answer, bounded, resource, more), 60, "the LimitRange holds")
        assert answer(unbounded, resource, more) == "", "works without the LimitRange"
        assert answer(bounded, resource, most) == ""
        assert f"maximum {resource} usage per Container is {most}" in answer(bounded, resource, more)

    # The claim of an ephemeral volume, which Kubernetes' controller creates.
    most = claims["max"]["storage"]
    for release, namespace in ((bounded, "executor-max-executor"), (unbounded, "executor-any-executor")):
        for amount in (most, one_more(most)):
            spec = {**claim.PROPER, "resources": {"requests": {"storage": amount}}}
            found = made("PersistentVolumeClaim", "v1", spec, namespace)
            refused = refusal(partial(release.plane.admin.create, found, dry_run=True))
            expected = release is bounded and amount != most
            assert ("maximum storage usage per PersistentVolumeClaim" in refused) == expected
