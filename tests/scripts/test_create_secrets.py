"""What the chart creates in the cluster is no object that a deployment tool takes for its own and deletes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.paths import FILES


@pytest.mark.parametrize(
    ("namespace", "name"),
    [("airflow", "airflow-admin"), ("airflow", "airflow-fernet-key"), ("team-a", "airflow-redis")],
)
def test_argo_cd_leaves_the_secrets_alone(monkeypatch: pytest.MonkeyPatch, namespace: str, name: str) -> None:
    """Argo CD counts an object by its label app.kubernetes.io/instance, unless annotations say otherwise."""
    monkeypatch.syspath_prepend(str(FILES / "scripts"))
    import create_secrets

    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(create_secrets.api_server, "create", lambda path, body: sent.append(body))
    monkeypatch.setenv("AIRDOCK_LABELS", json.dumps({"app.kubernetes.io/instance": "airflow"}))
    assert create_secrets.create(namespace, name, {"password": "x"}) == "created"
    annotations = sent[0]["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"
    assert "Prune=false" in annotations["argocd.argoproj.io/sync-options"].split(",")
