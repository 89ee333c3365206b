"""`helm uninstall` leaves what NOTES says; a second release of the same name stands beside the first."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from scripts.chart import CHART
from scripts.live import RELEASE, Target
from tests.e2e.conftest import Release, starting, wait_until

NAMESPACE = "airdock-e2e"
TASKS = f"{NAMESPACE}-{RELEASE}-tasks"


def left(target: Target, *namespaces: str) -> set[tuple[str, str]]:
    """Every object of the namespaces, but what Kubernetes itself puts into each."""
    kinds = target.kubectl("api-resources", "--namespaced", "--verbs=list,delete", "-o", "name").split()
    skipped = {"events", "events.events.k8s.io", "endpoints", "endpointslices.discovery.k8s.io"}
    listed = ",".join(kind for kind in kinds if kind not in skipped)
    found = set()
    for namespace in namespaces:
        for item in target.items(listed, "-n", namespace):
            key = (item["kind"], item["metadata"]["name"])
            if key not in {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}:
                found.add(key)
    return found


def cluster_scoped(target: Target) -> set[tuple[str, str]]:
    """Every cluster-scoped object that bears the release's labels."""
    kinds = target.kubectl("api-resources", "--namespaced=false", "--verbs=list,delete", "-o", "name").split()
    items = target.items(",".join(kinds), "-l", f"app.kubernetes.io/instance={RELEASE}")
    return {(item["kind"], item["metadata"]["name"]) for item in items}


@pytest.fixture
def second(release: Release) -> Iterator[Target]:
    """A release of the same name in another namespace, with the chart's default values."""
    target = release.target
    with starting():
        target.helm(
        "install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--create-namespace", "--wait",
        "--timeout=600s", timeout=660,
    )  # fmt: skip
    try:
        yield target
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait")
        target.kubectl("delete", "namespace", NAMESPACE, TASKS, "--ignore-not-found", timeout=300)


def test_default_values_install_and_uninstall(release: Release, second: Target) -> None:
    first_pods = {pod["metadata"]["uid"] for pod in release.staying()}
    assert (("Namespace", TASKS)) in cluster_scoped(second)
    listed = json.loads(second.helm("list", "--namespace", NAMESPACE, "-o", "json"))
    assert [entry["status"] for entry in listed] == ["deployed"]

    second.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait")
    secrets = {"admin", "api-secret-key", "fernet-key", "jwt-secret", "postgres", "redis"}
    kept = {("Secret", f"{RELEASE}-{name}") for name in secrets}
    wait_until(
        lambda: not any(kind in ("Pod", "ReplicaSet") for kind, _ in left(second, NAMESPACE, TASKS)),
        120,
        "pods gone",
    )
    claims = {key for key in left(second, NAMESPACE) if key[0] == "PersistentVolumeClaim"}
    assert len(claims) == 2  # the database's and the broker's
    # What still runs in the task namespace goes on running, with the network as closed as before.
    fence = {("NetworkPolicy", f"{RELEASE}-tasks"), ("NetworkPolicy", f"{RELEASE}-tasks-egress")}
    found = left(second, NAMESPACE, TASKS)
    # Of an ended Docker gateway: the next one of the namespace would remove it.
    leases = {(kind, name) for kind, name in found if kind == "Lease" and name.startswith("airdock-gateway-")}
    assert len(leases) <= 1
    assert found - leases == kept | claims | fence
    assert {kind for kind, name in cluster_scoped(second) if name.startswith(NAMESPACE)} == {"Namespace"}
    assert {pod["metadata"]["uid"] for pod in release.staying()} == first_pods
