"""Volumes, mounts, and the files that are named."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from scripts.chart import Container, Manifest, Manifests, PodSpec
from tests.render.contracts.registry import at, contract
from tests.render.scenarios import Scenario

#: Paths that the images have; everything else that is named must be mounted.
IN_IMAGE: Mapping[str, str] = {
    "/opt/airflow/dags": "without dags.*, DAG files are in a user's own image, at dags.path",
    "/dev/null": "every container has it",
    "/home/airflow": "Airflow's image has the home of its user, which an assigned uid of OpenShift gets, too",
}
#: Containers that need no temporary directory.
WRITES_NOTHING: Mapping[str, str] = {
    "docker-gateway": "what passes through it stays in memory",
}
#: Variables that hold a part of a URL.
URL_PATHS = {"AIRDOCK_BASE_PATH"}
#: Variables that hold a path of the node, for its Docker daemon.
NODE_PATHS = {"AIRDOCK_TRUST_DIRECTORY"}
#: Settings that only some containers act on: the files that they name are mounted in those alone.
READ_BY: Mapping[tuple[str, ...], frozenset[str]] = {
    ("fab", "config_file"): frozenset({"api-server", "create-admin"}),
}


@contract
def mounts(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Every mount has its volume, every volume is mounted, and nothing is mounted where it cannot be."""
    for manifest, pod in manifests.pods:
        there = {*pod.volumes, *pod.claims}
        used = {mount.volume for container in pod.containers for mount in container.mounts}
        for container in pod.containers:
            for mount in container.mounts:
                if mount.volume not in there:
                    yield (
                        f"{at(manifest, container)}: mounts the volume {mount.volume!r}, which the pod lacks"
                    )
                for outer in container.mounts:
                    inside = mount.path != outer.path and PurePosixPath(mount.path).is_relative_to(outer.path)
                    if inside and (
                        outer.read_only or {"configMap", "secret"} & set(pod.volumes.get(outer.volume, {}))
                    ):
                        yield (
                            f"{at(manifest, container)}: {mount.path} lies inside the read-only mount "
                            f"{outer.path}, where the runtime cannot make it"
                        )
        for name in sorted(there - used):
            yield f"{manifest}: no container mounts the volume {name!r}"


@contract
def paths(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Every file that a command, variable, probe or airflow.cfg names is mounted, or in the image."""
    dags = {scenario.effective["dags"]["path"]: IN_IMAGE["/opt/airflow/dags"]}
    for manifest, pod, container in manifests.containers:
        for where, text in named_in(manifest, container, pod, manifests):
            for path in file_paths(text):
                mount = container.mount_over(path)
                if mount is None:
                    if path not in IN_IMAGE and path not in dags:
                        yield (
                            f"{at(manifest, container)}, {where}: {path} is on no mount; mount it, "
                            "or give the reason why the image has it in IN_IMAGE"
                        )
                    continue
                config_map = (pod.volumes.get(mount.volume) or {}).get("configMap")
                data = config_map and manifests.find(
                    "ConfigMap", name=config_map["name"], namespace=manifest.namespace
                )
                rest = PurePosixPath(path).relative_to(mount.path).parts
                if data and rest and rest[0] not in (data.get("data") or {}):
                    yield (
                        f"{at(manifest, container)}, {where}: {path} is mounted from {data}, "
                        f"which has no {rest[0]}"
                    )


@contract
def temporary_directory(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """A container with a read-only root has a writable /tmp or TMPDIR."""
    for manifest, _, container in manifests.containers:
        if not container.security.get("readOnlyRootFilesystem") or container.name in WRITES_NOTHING:
            continue
        variable = container.env.get("TMPDIR")
        place = (variable.value if variable else None) or "/tmp"
        mount = container.mount_over(place)
        if mount is None or mount.read_only:
            yield f"{at(manifest, container)}: its root is read-only and {place} is on no writable mount"


def file_paths(text: str) -> Iterator[str]:
    """The absolute file paths in a text; those of http URLs and of URL paths in databases are not files."""
    text = re.sub(r"\b(?!unix:)[a-z][a-z0-9+.-]*://\S*", " ", text)
    text = text.replace("unix://", " ")
    for match in re.finditer(r"(?:^|(?<=[\s=:,\"'(<>]))/(?![/\s])[^\s\"',:;|&<>)]+", text):
        yield match[0].rstrip("/.") or "/"


def named_in(
    manifest: Manifest, container: Container, pod: PodSpec, manifests: Manifests
) -> Iterator[tuple[str, str]]:
    """(where, text) of all places in which a container names files."""
    for word in container.words:
        yield "command", word
    for name, value in manifests.environment(manifest, container).items():
        setting = tuple(name.lower().removeprefix("airflow__").split("__"))
        if value.startswith("{") or name in URL_PATHS | NODE_PATHS:
            continue
        if container.name in READ_BY.get(setting, {container.name}):
            yield f"env {name}", value
    for name, probe in container.probes.items():
        for word in (probe.get("exec") or {}).get("command") or ():
            yield name, word
    for word in ((container.raw.get("lifecycle") or {}).get("preStop", {}).get("exec") or {}).get(
        "command"
    ) or ():
        yield "preStop", word
    if (config := container.env.get("AIRFLOW_CONFIG")) and config.value:
        for section, key, value in airflow_config(
            container, pod, manifests, manifest.namespace, config.value
        ):
            # A format or a URL is no path; dag_bundle_config_list and the like are JSON.
            if container.name not in READ_BY.get((section, key), {container.name}):
                continue
            if not value.startswith(("[", "{", "s3:", "http")):
                yield f"airflow.cfg [{section}] {key}", value


def airflow_config(
    container: Container, pod: PodSpec, manifests: Manifests, namespace: str, path: str
) -> Iterator[tuple[str, str, str]]:
    """(section, key, value) of the airflow.cfg that a container reads."""
    mount = container.mount_over(path)
    name = ((pod.volumes.get(mount.volume) or {}).get("configMap") or {}).get("name") if mount else None
    found = manifests.find("ConfigMap", name=name, namespace=namespace) if name else None
    text = (found.get("data", PurePosixPath(path).name) if found else None) or ""
    parser = configparser.ConfigParser(interpolation=configparser.BasicInterpolation(), strict=True)
    parser.read_string(text)
    for section in parser.sections():
        for key, value in parser.items(section):
            yield section, key, value
