"""What the tests of the admission fence share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api.attacks import Attack
from tests.api.conftest import Installed
from tests.api.control_plane import Client, Refused
from tests.api.pods import kpo_pod
from tests.support.attacks import AUTHOR

TASKS = "airdock-tasks"
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "airdock-airdock-task-pods"},
}


def refusal(ask: Callable[[], object]) -> str:
    """The message of a 403, "" if it was granted. Any other refusal is a mistake in the test."""
    try:
        ask()
    except Refused as error:
        assert error.status == 403, str(error)
        return str(error)
    return ""


def attempt(client: Client, installed: Installed, attack: Attack, namespace: str) -> str:
    """The refusal of one attack in a namespace, "" if it works."""
    if installed.plane.version < attack.since:
        pytest.skip(f"Kubernetes {attack.since} has this first")
    pod = kpo_pod(installed.manifests, namespace=namespace)
    attack.change(pod)
    return refusal(lambda: client.create(pod, dry_run=True))


def by_name(attacks: tuple[Attack, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "attack",
        [
            pytest.param(
                attack, id=attack.name, marks=pytest.mark.attack(actor=AUTHOR, finding=attack.finding)
            )
            for attack in attacks
        ],
    )
