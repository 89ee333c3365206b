"""The attacks of tests/api on the cluster that runs the release, by the accounts of its components.

They are dry runs: what would be let in is not made. The fence is given the lists of tests/api for the time.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import kubernetes
import pytest

from scripts import up
from scripts.chart import render
from scripts.live import NAMESPACE, RELEASE, Target
from tests.api.attacks import ATTACKS
from tests.api.conftest import (
    ACCOUNTS,
    GIVEN,
    RUNTIME_CLASSES,
    UNFENCED,
    UNGUARDED,
    VALUES,
    Installed,
    make_namespace,
    wait_for_rights,
)
from tests.api.control_plane import Client
from tests.api.fence import attempt
from tests.api.test_fence import test_attack, test_namespace_without_pod_security
from tests.api.test_fence_objects import (
    holds,
    test_claims_of_the_values,
    test_decision,
    test_free_volume_of_the_cluster,
    worker,
)
from tests.api.test_rights import test_request_beyond_the_rights
from tests.e2e.conftest import Release
from tests.support.waiting import wait_until

pytestmark = pytest.mark.touches("release")

__all__ = [
    "holds",
    "test_attack",
    "test_claims_of_the_values",
    "test_decision",
    "test_free_volume_of_the_cluster",
    "test_namespace_without_pod_security",
    "test_request_beyond_the_rights",
    "worker",
]


@dataclass(frozen=True)
class Running:
    """A cluster that runs, in the place of tests/api's control plane."""

    target: Target

    @property
    def admin(self) -> Client:
        return self._client({})

    def service_account(self, namespace: str, name: str) -> Client:
        return self._client({"Impersonate-User": f"system:serviceaccount:{namespace}:{name}"})

    @property
    def version(self) -> tuple[int, int]:
        found = self.admin.request("GET", "/version")
        return int(found["major"]), int(found["minor"].rstrip("+"))

    def _client(self, headers: dict[str, str]) -> Client:
        settings = kubernetes.client.Configuration()
        file = str(self.target.kubeconfig) if self.target.kubeconfig else None
        kubernetes.config.load_kube_config(file, self.target.context, settings)
        api = kubernetes.client.ApiClient(settings)
        for name, value in headers.items():
            api.set_default_header(name, value)
        return Client(api)


@pytest.fixture(scope="module")
def control_plane(release: Release) -> Running:
    return Running(release.target)


@pytest.fixture(scope="module")
def installed(release: Release, control_plane: Any) -> Iterator[Installed]:
    """The release with the lists, rights and namespaces of tests/api; its pods are left alone."""
    admin = control_plane.admin
    fenced = {"airdock.dev/tasks": f"{NAMESPACE}.{RELEASE}"}
    namespaces: dict[str, dict[str, str]] = {
        UNFENCED: {},
        GIVEN: {**fenced, "pod-security.kubernetes.io/enforce": "restricted"},
        UNGUARDED: fenced,
    }
    manifests = render(VALUES, release=RELEASE, namespace=NAMESPACE)
    with contextlib.ExitStack() as stack:
        stack.callback(up.install, release.target, dict(release.values))
        # By the one who put it there: what he leaves out goes, and Helm takes over the rest.
        original = render(release.values, release=RELEASE, namespace=NAMESPACE)
        stack.callback(admin.apply_all, [each for each in original if each.component == "tasks"])
        # The policy for objects, which the original has not.
        there = {(each.kind, each.name) for each in original}
        for each in manifests.all("ValidatingAdmissionPolicy") + manifests.all(
            "ValidatingAdmissionPolicyBinding"
        ):
            if (each.kind, each.name) not in there:
                stack.callback(release.target.kubectl, "delete", each.kind, each.name)
        stack.callback(release.target.kubectl, "delete", "namespace", *namespaces, "--wait=false")
        for name, labels in namespaces.items():
            make_namespace(control_plane, name, labels)
        stack.callback(release.target.kubectl, "delete", "priorityclass", "batch", "urgent")
        for name in ("batch", "urgent"):
            kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
            admin.apply({**kind, "metadata": {"name": name}, "value": 1000})
        stack.callback(release.target.kubectl, "delete", "runtimeclass", *RUNTIME_CLASSES)
        for name in RUNTIME_CLASSES:
            kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass"}
            admin.apply({**kind, "metadata": {"name": name}, "handler": "runc"})
        admin.apply_all([manifest for manifest in manifests if manifest.component == "tasks"])
        found = Installed(control_plane, RELEASE, NAMESPACE, manifests)
        places = (found.task_namespace, *namespaces)
        accounts = [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": place}}
            for place, name in itertools.product(places, ACCOUNTS)
        ]
        admin.apply_all(accounts)
        stack.callback(
            release.target.kubectl, "delete", "serviceaccount", "-n", found.task_namespace, *ACCOUNTS
        )
        wait_for_rights(found)
        foreign = next(attack for attack in ATTACKS if attack.name == "foreign image")
        wait_until(
            lambda: attempt(found.worker, found, foreign, found.task_namespace), 60, "the new lists hold"
        )
        yield found
