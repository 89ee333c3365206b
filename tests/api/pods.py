"""Task pods as Airflow makes them: what KubernetesPodOperator 10.25 builds, after the chart's own hook."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import kubernetes.client
from kubernetes.client import models

from scripts.chart import CHART, Manifest, Manifests, versions
from tests.support.chart_modules import load_module


@cache
def _local_settings() -> Any:
    path = CHART / "files" / "airflow_local_settings.py"
    sys.path.insert(0, str(path.parent))
    return load_module(path)


def worker_of(manifests: Manifests, group: str = "") -> Manifest:
    """The workers of a group; without one, of the first."""
    return next(
        worker
        for worker in manifests.all("Deployment", component="worker")
        if group in ("", worker.labels["airdock.dev/worker-group"])
    )


def worker_env(manifests: Manifests, group: str = "") -> dict[str, str]:
    """The plain environment of a group's rendered workers: the connection and what the hook reads."""
    worker = worker_of(manifests, group)
    assert worker.pod
    return manifests.environment(worker, worker.pod.container("worker"))


def kpo_pod(
    manifests: Manifests,
    *,
    group: str = "",
    namespace: str = "",
    xcom: bool = False,
    init: bool = False,
    hook: bool = True,
) -> dict[str, Any]:
    """The pod of a KubernetesPodOperator that was given an image and a command, as it reaches the API server.

    group   whose worker makes it, in which namespace if none is named
    xcom    do_xcom_push=True: the provider's sidecar, as the connection sets it up
    init    one init container
    hook    False leaves out the chart's pod_mutation_hook
    """
    env = worker_env(manifests, group)
    connection = json.loads(env["AIRFLOW_CONN_KUBERNETES_DEFAULT"])["extra"]
    base = models.V1Container(name="base", image="busybox:1.37", command=["echo", "hello"])
    labels = {
        "dag_id": "weather",
        "task_id": "summer",
        "run_id": "manual__2026-11-21T0930000000-1cc3b0a4e",
        "kubernetes_pod_operator": "True",
        "try_number": "1",
        "airflow_version": versions.AIRFLOW,
        "airflow_kpo_in_cluster": "True",
    }
    spec = models.V1PodSpec(containers=[base], restart_policy="Never")
    if init:
        spec.init_containers = [models.V1Container(name="fetch", image="busybox:1.37", command=["true"])]
    if xcom:
        mount = models.V1VolumeMount(name="xcom", mount_path="/airflow/xcom")
        spec.volumes = [models.V1Volume(name="xcom", empty_dir=models.V1EmptyDirVolumeSource())]
        base.volume_mounts = [mount]
        sidecar = models.V1Container(
            name="airflow-xcom-sidecar",
            image=connection["xcom_sidecar_container_image"],
            command=["sh", "-c", 'trap "exit 0" INT; while true; do sleep 1; done;'],
            volume_mounts=[mount],
            # The operator passes both on as the connection has them: dicts in the API's own spelling.
            security_context=json.loads(connection["xcom_sidecar_container_security_context"]),
            resources=connection["xcom_sidecar_container_resources"],
        )
        spec.containers.append(sidecar)
    metadata = models.V1ObjectMeta(
        name="weather-summer-x7f3", namespace=namespace or connection["namespace"], labels=labels
    )
    pod = models.V1Pod(api_version="v1", kind="Pod", metadata=metadata, spec=spec)
    if hook:
        with patch.dict("os.environ", env):
            _local_settings().pod_mutation_hook(pod)
    found: dict[str, Any] = kubernetes.client.ApiClient().sanitize_for_serialization(pod)
    return found


def gateway_pod(
    manifests: Manifests, directory: Path, *, owner: str, group: str = "default", **body: Any
) -> dict[str, Any]:
    """The pod that the Docker gateway makes of a create request, with the settings that the chart renders.

    body        what the request has besides an image and a command; HostConfig among it
    directory   where the settings file is written
    owner       the uid of the gateway's pod
    """
    sys.path.insert(0, str(CHART / "files"))
    from docker_gateway import cluster_manifest, cluster_users, model, settings

    rendered = manifests.one("ConfigMap", name=f"{worker_of(manifests, group).name}-docker-gateway")
    file = directory / "settings.json"
    file.write_text(rendered.raw["data"]["settings.json"])
    given = {
        "AIRDOCK_GATEWAY_CONFIG": str(file),
        "AIRDOCK_GATEWAY_OWNER": owner,
    }
    loaded = settings.load(worker_env(manifests, group) | given)
    request = {"Image": "busybox:1.37", "Cmd": ["echo", "hello"], "HostConfig": {}, **body}
    create = model.parse_create(json.dumps(request).encode())
    way = cluster_users.Users(loaded.tasks).ways(create)[0]
    made = cluster_manifest.build(create, "c0ffee" * 10 + "abcd", loaded, always_pull=False, way=way)
    found: dict[str, Any] = made.manifest
    return found
