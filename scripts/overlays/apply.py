"""An overlay of the repository on a cluster of ours: `make up OVERLAY=dind`, and the tests on a cluster."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.cluster import REGISTRY
from scripts.overlays.build import build
from scripts.overlays.definitions import OVERLAYS
from scripts.overlays.generate import NAMESPACE, OVERLAYS_DIR, dump
from scripts.target import Target, UpError

#: The registry takes any login: the example shows that one is sent.
CONNECTION = {"conn_type": "docker", "host": REGISTRY, "login": "airdock", "password": "anonymous"}


def known(overlay: str) -> str:
    """The name of an overlay, if there is one of it.

    Raises:
        UpError: if there is none.
    """
    if overlay not in OVERLAYS or overlay == "production":
        choices = ", ".join(sorted(set(OVERLAYS) - {"production"}))
        raise UpError(
            f"OVERLAY={overlay} is not known: use one of {choices}; production needs stores of yours."
        )
    return overlay


def write(
    target: Target,
    overlay: str,
    folder: Path,
    *,
    namespace: str = NAMESPACE,
    labels: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    cpu: str = "",
) -> Path:
    """Write a user's overlay over one of ours: what this cluster needs, labels of its namespace, settings.

    `cpu` is what every container requests, for small nodes; by default it is the chart's.
    """
    top = Path(os.path.relpath(OVERLAYS_DIR, folder.resolve()))
    literals = [f"{key}={value}" for key, value in (settings or {}).items()]
    patches: list[dict[str, Any]] = [
        _patch("Namespace", NAMESPACE, "add", f"/metadata/labels/{key.replace('/', '~1')}", value)
        for key, value in (labels or {}).items()
    ]
    patches += _requests(overlay, cpu) if cpu else []
    if target.native:
        literals.append(f"AIRFLOW_CONN_EXAMPLE_REGISTRY={json.dumps(CONNECTION)}")
        patches += _registry_patches(overlay)
    content: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(top / overlay)],
        "patches": patches,
    }
    if literals:
        merge = {"name": "airdock-env", "namespace": NAMESPACE, "behavior": "merge", "literals": literals}
        content["configMapGenerator"] = [merge]
    if namespace != NAMESPACE:
        local = {"config.kubernetes.io/local-config": "true"}
        names = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "airdock-names", "annotations": local},
            "data": {"namespace": namespace, "tasks": f"{namespace}-tasks"},
        }
        (folder / "names.yaml").write_text(dump(names))
        content["resources"].append("names.yaml")
        tasks = ["tasks", "fence"] if "mode-kubernetes" in OVERLAYS[overlay].components else []
        content["transformers"] = [str(top / "names" / name) for name in ("release", *tasks)]
    (folder / "kustomization.yaml").write_text(dump(content))
    return folder


def _registry_patches(overlay: str) -> list[dict[str, Any]]:
    """Our cluster pulls from a registry of its own, plain HTTP: a daemon in a pod has to be told."""
    patches = []
    for workload in build(OVERLAYS_DIR / overlay).all("Deployment", component="worker"):
        containers = workload.get("spec", "template", "spec", "initContainers") or ()
        for number, container in enumerate(containers):
            if container["name"] == "docker":
                path = f"/spec/template/spec/initContainers/{number}/command/-"
                for option in (f"--registry-mirror=http://{REGISTRY}", f"--insecure-registry={REGISTRY}"):
                    patches.append(_patch("Deployment", workload.name, "add", path, option))
    return patches


def _requests(overlay: str, cpu: str) -> list[dict[str, Any]]:
    return [
        _patch(
            workload.kind, workload.name, "replace",
            f"/spec/template/spec/{field}/{number}/resources/requests/cpu", cpu,
        )
        for workload, _ in build(OVERLAYS_DIR / overlay).pods
        for field in ("initContainers", "containers")
        for number, _ in enumerate(workload.get("spec", "template", "spec", field) or ())
    ]  # fmt: skip


def _patch(kind: str, name: str, operation: str, path: str, value: Any) -> dict[str, Any]:
    change = dump([{"op": operation, "path": path, "value": value}])
    return {"target": {"kind": kind, "name": name}, "patch": change}


def install(target: Target, overlay: str, labels: Mapping[str, str], seconds: int) -> float:
    """`kubectl apply -k`, and wait until all is ready; give the seconds that it took.

    Raises:
        UpError: if it does not become ready within `seconds` for each workload.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        target.kubectl("apply", "-k", str(write(target, overlay, Path(scratch), labels=labels)))
    wait(target, NAMESPACE, seconds)
    return time.monotonic() - begun


def wait(target: Target, namespace: str, seconds: int) -> None:
    """Wait until every workload of a namespace runs what it was last told.

    Raises:
        CommandError: if one does not within `seconds`.
    """
    workloads = target.kubectl("get", "deployments,statefulsets", "-n", namespace, "-o", "name")
    for workload in workloads.split():
        target.kubectl(
            "rollout", "status", workload, "-n", namespace, f"--timeout={seconds}s", timeout=seconds + 10
        )
