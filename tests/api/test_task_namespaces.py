"""Worker groups with task namespaces of their own: each one's rights and fence end in its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Install, Installed
from tests.api.control_plane import Refused
from tests.api.fence import refusal
from tests.api.pods import gateway_pod, kpo_pod
from tests.api.test_rights import GATEWAY, NONE, TRIGGERER_DEFAULT, WORKER_DEFAULT, rights
from tests.support.attacks import AUTHOR, PARSING
from tests.support.waiting import wait_until

VALUES: dict[str, Any] = {
    "workers": {
        "default": {"kubernetesOperators": False},
        "blue": {
            "queues": ["blue"],
            "tasks": {
                "namespace": "blue-tasks",
                "admission": {"secrets": ["warehouse"]},
                "rbac": {"deferrable": True},
            },
        },
        "green": {"queues": ["green"], "tasks": {"namespace": "green-tasks"}},
    }
}
HOMES = {"default": "colours-tasks", "blue": "blue-tasks", "green": "green-tasks"}


@pytest.fixture(scope="module")
def colours(install: Install) -> Installed:
    release = install(VALUES, release="colours", namespace="colours")
    for group, namespace in HOMES.items():
        pod = kpo_pod(release.manifests, group="blue", namespace=namespace)
        pod["spec"]["nodeName"] = "none"

        def held(group: str = group, pod: dict[str, Any] = pod) -> bool:
            return "nodeName" in refusal(lambda: release.group(group).create(pod, dry_run=True))

        wait_until(held, 60, f"the fence of {namespace} holds")
    return release


@pytest.mark.parametrize("group", HOMES)
@pytest.mark.attack(actor=AUTHOR)
def test_rights_end_in_its_own_namespace(colours: Installed, group: str) -> None:
    everything = rights(*GATEWAY) | (NONE if group == "default" else WORKER_DEFAULT)
    for other, namespace in HOMES.items():
        found = colours.group(group).rights(namespace)
        assert found == (everything if other == group else NONE), f"{group} in {namespace}"
    assert colours.group(group).rights("colours") == NONE


@pytest.mark.attack(actor=PARSING, finding=(8,))
def test_the_triggerers_rights_end_where_no_group_asks_for_them(colours: Installed) -> None:
    triggerer = colours.account("triggerer")
    assert triggerer.rights("blue-tasks") == TRIGGERER_DEFAULT
    # Whose only group has no Kubernetes operators; whose settings do not say that it should.
    assert triggerer.rights("colours-tasks") == triggerer.rights("green-tasks") == NONE


@pytest.mark.parametrize(("group", "other"), [("blue", "green"), ("green", "blue"), ("green", "default")])
@pytest.mark.attack(actor=AUTHOR)
def test_a_pod_in_anothers_namespace(colours: Installed, group: str, other: str) -> None:
    """Attack: the same pod, by the same account, in its own namespace and in another group's."""
    client = colours.group(group)
    client.create(kpo_pod(colours.manifests, group=group), dry_run=True)
    with pytest.raises(Refused, match="cannot create resource") as refused:
        client.create(kpo_pod(colours.manifests, group=group, namespace=HOMES[other]), dry_run=True)
    assert refused.value.status == 403


def test_the_gateways_pods_are_let_in(colours: Installed, tmp_path: Path) -> None:
    gateway, uid = colours.bound("blue", group="blue")
    pod = gateway_pod(colours.manifests, tmp_path, owner=uid, group="blue")
    assert pod["metadata"].get("namespace", "blue-tasks") == "blue-tasks"
    pod["metadata"]["namespace"] = "blue-tasks"
    gateway.create(pod, dry_run=True)


def test_one_groups_list_is_not_the_others(colours: Installed) -> None:
    """A Secret that blue's tasks may read: green's fence refuses it, and blue's no less any other."""

    def attempt(group: str, secret: str) -> str:
        pod = kpo_pod(colours.manifests, group=group)
        pod["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": secret}}]
        return refusal(lambda: colours.group(group).create(pod, dry_run=True))

    assert attempt("blue", "warehouse") == ""
    assert "Secret warehouse (tasks.admission.secrets)" in attempt("green", "warehouse")
    assert "Secret other (tasks.admission.secrets)" in attempt("blue", "other")
