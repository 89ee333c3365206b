"""Which fields of a KubernetesExecutor pod a DAG author may override.

executor_config's pod_override reaches every field of a pod that the scheduler then creates: a hostPath
volume, a privileged container, the service account of another worker group. This module compares the pod
with what Airflow builds without the override. Only the fields of kubernetesExecutor.allowedOverrides may
differ.

Airflow calls it through the cluster policies. In the dag-processor a rejection is an import error of the
DAG file. That is a courtesy to the author: DAG code runs in the same process and can remove the check. In
the scheduler, where no DAG code runs, it checks every pod, whatever the pod says of itself.

Environment of both: AIRDOCK_POD_TEMPLATES, the directory of the worker groups' templates, and
AIRDOCK_POD_OVERRIDES, the allowed fields, separated by commas.
"""

from __future__ import annotations

import copy
import inspect
import os
from pathlib import Path
from typing import Any

# Volumes of these kinds reach neither the node nor a service account's token.
VOLUMES = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"}

# Of kubernetesExecutor.allowedOverrides, those that are fields of the container; the others are the pod's.
CONTAINER = {"image", "imagePullPolicy", "resources", "env", "envFrom", "volumeMounts"}

# What keys of metadata contain that others act on. Some runtimes read annotations without a slash, such as
# cpu-quota.crio.io.
METADATA = {"labels": {"/"}, "annotations": {"/", "."}}


class PodOverrideError(Exception):
    """A pod differs from its worker group's template in a field that is not allowed; names the fields."""


def check_override(template: str, override: Any) -> None:
    """Check an author's pod_override (a V1Pod) against the template file of a worker group.

    Raises:
        PodOverrideError: if it overrides a field that is not allowed.
    """
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    base = PodGenerator.deserialize_model_file(template)
    _compare(PodGenerator.reconcile_pods(base, override), base)


def check_pod(pod: Any) -> None:
    """Check a V1Pod that the scheduler is about to create, with all overrides merged into it.

    Raises:
        PodOverrideError: if a field differs that is not allowed, or if the pod's origin is unknown.
    """
    _compare(pod, _without_override())


def _without_override() -> Any:
    """Give the V1Pod that Airflow builds from the template and the task, without the author's override.

    The hook gets the merged pod alone, in which the author's words cannot be told from Airflow's. Its caller,
    PodGenerator.construct_pod, still holds the parts.

    Raises:
        PodOverrideError: if the caller is another, or the template is not one of this release.
    """
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    code = PodGenerator.construct_pod.__func__.__code__
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    parts: dict[str, Any] = dict(frame.f_locals) if frame is not None else {}
    if not {"base_worker_pod", "dynamic_pod", "kube_image"} <= parts.keys():
        raise PodOverrideError(
            "the pod was not built by PodGenerator.construct_pod as this release knows it, so it cannot be"
            " checked: use a version of apache-airflow-providers-cncf-kubernetes that the chart supports"
        )
    base, dynamic = parts["base_worker_pod"], copy.deepcopy(parts["dynamic_pod"])
    templates = Path(os.environ["AIRDOCK_POD_TEMPLATES"]).glob("*.yaml")
    if not any(PodGenerator.deserialize_model_file(str(path)) == base for path in templates):
        raise PodOverrideError(
            "executor_config's pod_template_file is not the template of a worker group: remove it"
        )
    # construct_pod writes the author's image into this part, too.
    dynamic.spec.containers[0].image = parts["kube_image"] or None
    return PodGenerator.reconcile_pods(base, dynamic)


def _compare(pod: Any, expected: Any) -> None:
    """Raise PodOverrideError if `pod` differs from `expected` (both V1Pod) in a field that is not allowed."""
    from kubernetes.client import ApiClient

    serialize = ApiClient().sanitize_for_serialization
    allowed = set(os.environ.get("AIRDOCK_POD_OVERRIDES", "").split(","))
    if found := refused(serialize(pod), serialize(expected), allowed):
        raise PodOverrideError(
            f"pod_override may not change {', '.join(found)}: remove it, choose a queue of another worker"
            " group, or have the field added to kubernetesExecutor.allowedOverrides or to the group in"
            " workers"
        )


def refused(pod: dict[str, Any], expected: dict[str, Any], allowed: set[str]) -> list[str]:
    """Give the fields of a pod that differ from what is expected and are not allowed to.

    Both pods are in the API's JSON form. Labels may be added if their keys have no slash, annotations if
    theirs have neither a slash nor a dot: network plugins, runtimes and controllers act on the others.
    """
    found = [key for key in _different(pod, expected) if key not in ("metadata", "spec")]
    found += [
        f"metadata.{key}"
        for key in _different(pod["metadata"], expected["metadata"])
        if key not in ("labels", "annotations")
    ]
    for key, marks in METADATA.items():
        given, ours = pod["metadata"].get(key) or {}, expected["metadata"].get(key) or {}
        found += [
            f"metadata.{key}[{name}]" for name in _different(given, ours) if name in ours or marks & {*name}
        ]

    spec, ours = pod["spec"], expected["spec"]
    found += [
        f"spec.{key}"
        for key in _different(spec, ours)
        if key not in allowed - CONTAINER and key not in ("containers", "volumes")
    ]
    known = {volume["name"] for volume in ours["volumes"]}
    for volume in _added("spec.volumes", spec, ours, allowed, found):
        if volume.get("name") in known or not set(volume) - {"name"} <= VOLUMES:
            found.append(f"spec.volumes[{volume.get('name', '')}]")

    if len(spec["containers"]) != 1:
        found.append("spec.containers (there is one)")
    base, our_base = spec["containers"][0], ours["containers"][0]
    lists = ("env", "envFrom", "volumeMounts")
    found += [
        f"spec.containers[base].{key}"
        for key in _different(base, our_base)
        if key not in allowed & CONTAINER and key not in lists
    ]
    for key in lists:
        for entry in _added(f"spec.containers[base].{key}", base, our_base, allowed, found):
            if key == "volumeMounts" and entry.get("name") in known:
                found.append(f"spec.containers[base].volumeMounts ({entry['name']} is the group's own)")
    return found


def _different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _added(
    path: str, one: dict[str, Any], other: dict[str, Any], allowed: set[str], found: list[str]
) -> list[dict[str, Any]]:
    """Give what a list has after the expected entries, which come first and stay.

    `found` gets the list's path if an expected entry is missing, or if the list may have no others.
    """
    key = path.rpartition(".")[2]
    ours = other.get(key) or []
    entries = one.get(key) or []
    added = entries[len(ours) :]
    if entries[: len(ours)] != ours or (added and key not in allowed):
        found.append(path)
    return added
