"""Helm itself against the API server: what `kubectl apply` of the manifests does not show."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from scripts import tools
from scripts.chart import CHART, HELM4
from tests.api.control_plane import ControlPlane

COPIED = ("config", "scripts", "docker-gateway", "docker-gateway-cluster")


def test_config_maps_in_several_namespaces(control_plane: ControlPlane, tmp_path: Path) -> None:
    """They are a List in the manifests. Helm owns each: it creates, updates and deletes them one by one."""
    release = "copies"

    def run(*words: str) -> None:
        done = subprocess.run(
            [tools.path(HELM4), *words, "--namespace", release, "--kubeconfig", control_plane.kubeconfig],
            capture_output=True,
            text=True,
            env={**os.environ, "HELM_CACHE_HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr

    def install(*groups: str, parallelism: int = 32) -> None:
        workers: dict[str, Any] = {"default": None}
        workers |= {
            each: {"mode": "kubernetes", "queues": [each], "namespace": f"{release}-{each}"}
            for each in groups
        }
        values = {"workers": workers, "airflow": {"config": {"core": {"parallelism": parallelism}}}}
        (tmp_path / "values.json").write_text(json.dumps(values))
        run(
            "upgrade",
            "--install",
            "r",
            str(CHART),
            "--create-namespace",
            "--values",
            str(tmp_path / "values.json"),
        )

    def data(namespace: str) -> dict[str, dict[str, str]]:
        found = control_plane.admin.request("GET", f"/api/v1/namespaces/{release}-{namespace}/configmaps")[
            "items"
        ]
        return {each["metadata"]["name"].removeprefix("r-airdock-"): each["data"] for each in found}

    install("a", "b")
    first, second = data("a"), data("b")
    for name in COPIED:
        assert first[name] == second[name]
    assert "pods" in first["docker-gateway-cluster"]["cluster_pods.py"]
    install("a", "b", parallelism=7)
    for namespace in ("a", "b"):
        assert "parallelism = 7" in data(namespace)["config"]["airflow.cfg"]
    install("a")
    assert not data("b").keys() & set(COPIED), "Helm deletes the copy that is no longer in the List"
    assert data("a").keys() >= set(COPIED)
    run("uninstall", "r")
    assert not data("a").keys() & set(COPIED)
