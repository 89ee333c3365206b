"""A user's overlay on a real API server: all of it is accepted, and its rights and fence hold where it is."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.chart import ROOT
from scripts.overlays.build import build
from tests.api.control_plane import ControlPlane, Refused
from tests.support.waiting import wait_until

RELEASE, TASKS = "team-data", "team-data-tasks"
ACCOUNT = "data-airdock-task"


def pod(account: str) -> dict[str, Any]:
    """A task pod as bare as Pod Security restricted and the fence allow."""
    container = {
        "name": "base",
        "image": "busybox:1.37",
        "resources": {"limits": {"cpu": "100m", "memory": "32Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "work", "namespace": TASKS}, "spec": spec}


def test_a_users_overlay_is_accepted_and_fenced(control_plane: ControlPlane) -> None:
    manifests = build(ROOT / "examples" / "kustomize")
    control_plane.admin.apply_all(manifests)

    worker = control_plane.service_account(RELEASE, "data-airdock-worker-default")

    def held() -> bool:
        try:
            worker.create(pod("default"), dry_run=True)
        except Refused as refused:
            return f"service account 'default' instead of {ACCOUNT}" in str(refused)
        return False

    wait_until(held, 60, "the fence holds")
    worker.create(pod(ACCOUNT), dry_run=True)
    elsewhere = pod(ACCOUNT)
    elsewhere["metadata"]["namespace"] = RELEASE
    with pytest.raises(Refused):
        worker.create(elsewhere, dry_run=True)
