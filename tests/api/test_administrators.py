"""Administrators of a namespace (the role `admin`): what the release keeps from them, and what not."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.api.attacks import ATTACKS, POD_SECURITY
from tests.api.conftest import UNFENCED, Installed
from tests.api.control_plane import Client, ControlPlane
from tests.api.fence import TASKS, attempt, refusal
from tests.api.test_rights import ASKED
from tests.support.attacks import ADMINISTRATOR, AUTHOR
from tests.support.waiting import wait_until

RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module")
def administrator(control_plane: ControlPlane, installed: Installed) -> Client:
    """Of the task namespace, of one without a fence, and of the release's."""
    for namespace in (TASKS, UNFENCED, installed.namespace):
        control_plane.admin.apply(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "administrator", "namespace": namespace},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "admin"},
                "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "administrator"}],
            }
        )
    client = control_plane.user("administrator")
    for namespace in (TASKS, UNFENCED, installed.namespace):
        wait_until(partial(client.may, "create", "pods", namespace), 60, "the rights hold")
    return client


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.attack(actor=ADMINISTRATOR)
def test_pods(installed: Installed, administrator: Client, attack: Any) -> None:
    """The fence and Pod Security judge their pods as a DAG author's."""
    assert attempt(administrator, installed, attack, UNFENCED) == ""
    if attack.needs_no_limit_range:
        return
    said = attempt(administrator, installed, attack, TASKS)
    assert "Airdock release" in said or "violates PodSecurity" in said
    assert attack.rule != POD_SECURITY or "violates PodSecurity" in said


@pytest.mark.parametrize(
    "what", ["the fence taken down", "the fence's label taken off", "the quota lifted", "rights everywhere"]
)
@pytest.mark.attack(actor=ADMINISTRATOR)
def test_what_is_no_object_of_the_namespace(
    control_plane: ControlPlane, administrator: Client, what: str
) -> None:
    ASKED[what](control_plane.admin)
    assert "cannot" in refusal(partial(ASKED[what], administrator))


@pytest.mark.attack(actor=ADMINISTRATOR, by_design="removing NetworkPolicies there")
def test_network_policies(administrator: Client) -> None:
    ASKED["the network opened"](administrator)


@pytest.mark.attack(actor=ADMINISTRATOR, by_design="all Secrets of the release")
def test_secrets_of_the_release(administrator: Client) -> None:
    ASKED["secrets of the release"](administrator)


@pytest.mark.attack(actor=AUTHOR, by_design="deleting other authors' pods and reading their logs")
def test_pods_of_other_authors(installed: Installed) -> None:
    assert installed.worker.may("delete", "pods", TASKS, name="another-authors")
    assert installed.worker.may("get", "pods/log", TASKS, name="another-authors")
