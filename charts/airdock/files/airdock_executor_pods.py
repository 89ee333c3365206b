"""What the author of a DAG may say about a pod of KubernetesExecutor.

executor_config's pod_override reaches every field of a pod that the scheduler then makes: a hostPath, a
privileged container, another worker group's account. Here all fields are the worker group's but those of
kubernetesExecutor.allowedOverrides. Airflow calls this through the cluster policies: in the dag-processor,
where a refusal is an import error of the DAG's file, and in the scheduler, where no code of a DAG runs.

Environment of both: AIRDOCK_POD_TEMPLATES, the directory of the groups' templates, and
AIRDOCK_POD_OVERRIDES, the allowed fields with commas between.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

GROUP = "airdock.dev/worker-group"
# Volumes of these kinds reach neither the node nor a service account's token.
VOLUMES = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"}
# What the executor itself says.
_EXECUTOR_METADATA = {"name", "labels", "annotations"}
_EXECUTOR_ENV = "AIRFLOW_IS_K8S_EXECUTOR_POD"


class PodOverrideError(Exception):
    """A pod differs from its worker group's template where it may not; the message names the fields."""


def check_override(template: str, override: Any) -> None:
    """Check an author's pod_override (a V1Pod) for a task of the group with this template file.

    Raises:
        PodOverrideError: if it changes what it may not.
    """
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    check_pod(PodGenerator.reconcile_pods(PodGenerator.deserialize_model_file(template), override))


def check_pod(pod: Any) -> None:
    """Check a V1Pod that is about to be made, with all overrides in it.

    Raises:
        PodOverrideError: if it is not as its worker group's template has it.
    """
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from kubernetes.client import ApiClient

    group = str((pod.metadata.labels or {}).get(GROUP))
    groups = {path.stem: path for path in Path(os.environ["AIRDOCK_POD_TEMPLATES"]).glob("*.yaml")}
    if group not in groups:
        raise PodOverrideError(f"the pod's label {GROUP} is {group}, and no worker group has that name")
    template = PodGenerator.deserialize_model_file(str(groups[group]))
    allowed = set(os.environ.get("AIRDOCK_POD_OVERRIDES", "").split(","))
    serialize = ApiClient().sanitize_for_serialization
    if found := refused(serialize(pod), serialize(template), allowed):
        raise PodOverrideError(
            f"pod_override may not change {', '.join(found)} of worker group {group}: leave it out, choose a"
            " queue of another group, or have it added to kubernetesExecutor.allowedOverrides or workers"
        )


def refused(pod: dict[str, Any], template: dict[str, Any], allowed: set[str]) -> list[str]:
    """The fields of a pod, in the API's form, that differ from the template and are not allowed to."""
    found = [
        f"metadata.{key}"
        for key in _different(pod["metadata"], template["metadata"])
        if key not in _EXECUTOR_METADATA
    ]
    for key in ("labels", "annotations"):
        given = pod["metadata"].get(key) or {}
        for name, value in (template["metadata"].get(key) or {}).items():
            if given.get(name) != value:
                found.append(f"metadata.{key}[{name}]")

    spec, ours = pod["spec"], template["spec"]
    found += [
        f"spec.{key}"
        for key in _different(spec, ours)
        if key not in allowed and key not in ("containers", "volumes")
    ]
    known = {volume["name"] for volume in ours["volumes"]}
    for volume in _added("spec.volumes", spec, ours, allowed, found):
        if volume["name"] in known or not set(volume) - {"name"} <= VOLUMES:
            found.append(f"spec.volumes[{volume['name']}]")

    if len(spec["containers"]) != 1:
        found.append("spec.containers (there is one)")
    base, our_base = spec["containers"][0], ours["containers"][0]
    lists = ("env", "envFrom", "volumeMounts")
    found += [
        f"spec.containers[base].{key}"
        for key in _different(base, our_base)
        if key not in allowed and key not in ("args", *lists)
    ]
    for key in lists:
        for entry in _added(f"spec.containers[base].{key}", base, our_base, allowed, found):
            if key == "volumeMounts" and entry["name"] in known:
                found.append(f"spec.containers[base].volumeMounts ({entry['name']} is the group's own)")
    return found


def _different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _added(
    path: str, one: dict[str, Any], other: dict[str, Any], allowed: set[str], found: list[str]
) -> list[dict[str, Any]]:
    """What a list has beside the template's entries, which come first and stay.

    `found` gets the list's path where one of those is not there, or the list may have no others.
    """
    key = path.rpartition(".")[2]
    ours = other.get(key) or []
    entries = [entry for entry in one.get(key) or [] if entry.get("name") != _EXECUTOR_ENV]
    added = entries[len(ours) :]
    if entries[: len(ours)] != ours or (added and key not in allowed):
        found.append(path)
    return added
