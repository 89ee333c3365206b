"""Gives CA certificates of `trust` to what a task starts: a file, which variables name.

What the author sets stays: a variable of the same name, and what is mounted at the same place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

# As in every Airflow container, and for containers of a Docker gateway.
DIRECTORY, FILE = "/opt/airdock-trust", "ca-certificates.crt"


def give_container(task: Any) -> None:
    """Give the worker's file to a DockerOperator's container, where no Docker gateway does.

    Environment of the worker: AIRDOCK_TRUST_DIRECTORY, where its Docker daemon has the file;
    AIRDOCK_TRUST_ENV, the variables as a JSON object.
    """
    urls = task.docker_url if isinstance(task.docker_url, list | tuple) else [task.docker_url]
    if set(urls) != {os.environ["DOCKER_HOST"]}:
        return  # another daemon has no such directory
    from docker.types import Mount

    env = json.loads(os.environ["AIRDOCK_TRUST_ENV"])
    by_file = task.unpack_environment_variables(task.env_file) if task.env_file else {}
    added = {name: value for name, value in env.items() if name not in by_file}
    task.environment = {**added, **task.environment}
    targets = {mount.get("Target") or mount.get("target") for mount in task.mounts}
    if DIRECTORY not in targets:
        source = os.environ["AIRDOCK_TRUST_DIRECTORY"]
        task.mounts = [*task.mounts, Mount(DIRECTORY, source, "bind", read_only=True)]


def give_pod(
    spec: Any,
    containers: list[Any],
    models: Any,
    get: Callable[[Any, str], Any],
    put: Callable[[Any, str, Any], None],
) -> None:
    """Mount the ConfigMap of `trust.tasks` in every container of a task pod.

    Environment of the worker: AIRDOCK_TASK_TRUST, a JSON object with configMap and key. The variables are in
    AIRDOCK_TASK_ENV.
    """
    trust = json.loads(os.environ["AIRDOCK_TASK_TRUST"])
    name = "airdock-trust"
    volumes = spec.volumes or []
    if all(get(volume, "name") != name for volume in volumes):
        items = [models.V1KeyToPath(key=trust["key"], path=FILE)]
        source = models.V1ConfigMapVolumeSource(name=trust["configMap"], items=items)
        spec.volumes = [*volumes, models.V1Volume(name=name, config_map=source)]
    for container in containers:
        mounts = get(container, "volume_mounts") or []
        if all(get(mount, "mount_path") != DIRECTORY for mount in mounts):
            own = models.V1VolumeMount(name=name, mount_path=DIRECTORY, read_only=True)
            put(container, "volume_mounts", [*mounts, own])
