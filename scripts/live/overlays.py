"""An overlay of the repository on a cluster of ours: `make up OVERLAY=dind`, and the tests on a cluster."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scripts.cluster import REGISTRY
from scripts.live.target import Target, UpError
from scripts.overlays.build import build
from scripts.overlays.definitions import OVERLAYS, SOCKET_GID
from scripts.overlays.generate import NAMESPACE, OVERLAYS_DIR, dump

#: The registry takes any login: the example shows that one is sent. Pods would need a pull secret that the
#: fence knows, a value of the chart.
CONNECTION = {"conn_type": "docker", "host": REGISTRY, "login": "airdock", "password": "anonymous"}


#: Of a JSON patch: operation, path, value.
Operation = tuple[str, str, Any]


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


def has_registry(target: Target, overlay: str) -> bool:
    """Whether the example of a registry with a login can run."""
    # The daemon's filter takes its registries from values of the chart, too.
    return target.native and not {"mode-kubernetes", "mode-socket"} & set(OVERLAYS[overlay].components)


def groups(overlay: str) -> set[str]:
    """Names of an overlay's worker groups; none for no overlay."""
    if not overlay:
        return set()
    workers = build(OVERLAYS_DIR / overlay).all("Deployment", component="worker")
    return {worker.get("metadata", "labels", "airdock.dev/worker-group") for worker in workers}


def write(
    target: Target,
    overlay: str,
    folder: Path,
    *,
    namespace: str = NAMESPACE,
    labels: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    cpu: str = "",
    gid: int | None = None,
) -> Path:
    """Write a user's overlay over one of ours: what this cluster needs, labels of its namespace, settings.

    `cpu` is what every container requests, for small nodes; by default it is the chart's. `gid` is the group
    of the nodes' Docker socket.
    """
    top = Path(os.path.relpath(OVERLAYS_DIR, folder.resolve()))
    literals = [f"{key}={value}" for key, value in (settings or {}).items()]
    patches: list[dict[str, Any]] = [
        _patch("Namespace", NAMESPACE, "add", f"/metadata/labels/{key.replace('/', '~1')}", value)
        for key, value in (labels or {}).items()
    ]
    patches += _requests(overlay, cpu) if cpu else []
    if has_registry(target, overlay):
        literals.append(f"AIRFLOW_CONN_EXAMPLE_REGISTRY={json.dumps(CONNECTION)}")
    if target.native:
        patches += _sidecar_patches(overlay, "docker", lambda path: _registry_patches(f"{path}/command/-"))
    if gid not in (None, SOCKET_GID):
        patches += _sidecar_patches(
            overlay,
            "docker-gateway",
            lambda path: [("replace", f"{path}/securityContext/runAsGroup", gid)],
        )
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


def _registry_patches(path: str) -> list[Operation]:
    """Our cluster pulls from a registry of its own, plain HTTP: a daemon in a pod has to be told."""
    options = (f"--registry-mirror=http://{REGISTRY}", f"--insecure-registry={REGISTRY}")
    return [("add", path, option) for option in options]


def _sidecar_patches(
    overlay: str, name: str, operations: Callable[[str], list[Operation]]
) -> list[dict[str, Any]]:
    """Patches of the sidecars of this name, by operations on its path."""
    return [
        _patch("Deployment", workload.name, *operation)
        for workload in build(OVERLAYS_DIR / overlay).all("Deployment", component="worker")
        for number, container in enumerate(workload.get("spec", "template", "spec", "initContainers") or ())
        if container["name"] == name
        for operation in operations(f"/spec/template/spec/initContainers/{number}")
    ]


def _requests(overlay: str, cpu: str) -> list[dict[str, Any]]:
    return [
        _patch(
            workload.kind, workload.name, "replace",
            f"/spec/template/spec/{field}/{number}/resources/requests/cpu", cpu,
        )
        for workload, _ in build(OVERLAYS_DIR / overlay).pods
        for field in ("initContainers", "containers")
        for number, container in enumerate(workload.get("spec", "template", "spec", field) or ())
        if container["resources"]["requests"]["cpu"] != cpu
    ]  # fmt: skip


def _patch(kind: str, name: str, operation: str, path: str, value: Any) -> dict[str, Any]:
    change = dump([{"op": operation, "path": path, "value": value}])
    return {"target": {"kind": kind, "name": name}, "patch": change}


def install(
    target: Target, overlay: str, labels: Mapping[str, str], seconds: int, gid: int | None = None
) -> float:
    """`kubectl apply -k`, and wait until all is ready; give the seconds that it took. `gid` as for write.

    Raises:
        UpError: if it does not become ready within `seconds` for each workload.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        target.kubectl("apply", "-k", str(write(target, overlay, Path(scratch), labels=labels, gid=gid)))
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
