"""Policies for pods that go beyond the Pod Security Standards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scripts.chart import Manifest, PodSpec
from scripts.lint.model import Found, Policy, cis, containers_of, nsa, pod_path, volumes_of


def _writable_root(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        if container.security.get("readOnlyRootFilesystem") is not True:
            field = "securityContext.readOnlyRootFilesystem"
            yield Found(field, "the root file system is writable", container.name)


def _limits(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        limits = (container.raw.get("resources") or {}).get("limits") or {}
        for resource in ("cpu", "memory"):
            if limits.get(resource) in (None, 0, "0", ""):
                yield Found(f"resources.limits.{resource}", f"no {resource} limit", container.name)


def _requests(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        resources = container.raw.get("resources") or {}
        for resource in ("cpu", "memory"):
            # Without a request, Kubernetes takes the limit.
            if not any((resources.get(kind) or {}).get(resource) for kind in ("requests", "limits")):
                yield Found(f"resources.requests.{resource}", f"no {resource} request", container.name)


def _unsized_volumes(manifest: Manifest) -> Iterator[Found]:
    for name, volume in volumes_of(manifest):
        if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
            field = f"{pod_path(manifest)}spec.volumes[{name}].emptyDir.sizeLimit"
            yield Found(field, "the volume can grow until the node's disk is full")


def _no_liveness(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind in ("Job", "CronJob", "Pod"):
        return  # What ends by itself is not to be restarted.
    for container in containers_of(manifest):
        if container.role in ("main", "sidecar") and "livenessProbe" not in container.probes:
            yield Found(
                "livenessProbe",
                "no liveness probe: nothing restarts the container when it hangs",
                container.name,
            )


def split_image(image: str) -> tuple[str, str, str]:
    """(repository, tag, digest) of an image; "" for what it does not have."""
    name, _, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return head + slash + last, tag, digest


def _moving_tags(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        _, tag, digest = split_image(container.image)
        if not digest and not re.search(r"\d", tag):
            yield Found("image", f"{container.image}: the tag contains no version", container.name)


def _no_digest(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        if not split_image(container.image)[2]:
            yield Found("image", f"{container.image} is a tag, which can be moved", container.name)


def _group_zero(manifest: Manifest) -> Iterator[Found]:
    pod = manifest.pod
    if pod is None:
        return
    for key in ("runAsGroup", "fsGroup"):
        if pod.security.get(key) == 0:
            yield Found(f"{pod_path(manifest)}spec.securityContext.{key}", "group 0")
    if 0 in (pod.security.get("supplementalGroups") or ()):
        yield Found(f"{pod_path(manifest)}spec.securityContext.supplementalGroups", "group 0")
    for container in pod.containers:
        if container.security.get("runAsGroup") == 0:
            yield Found("securityContext.runAsGroup", "group 0", container.name)


def _ephemeral(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        if container.role == "ephemeral":
            yield Found("name", "the manifest contains an ephemeral (debug) container", container.name)


def _custom_pods(manifest: Manifest) -> Iterator[Found]:
    group = manifest.api_version.rpartition("/")[0]
    # Kubernetes' own groups have no dot, or this domain.
    if "." in group and not group.endswith(".k8s.io"):
        for place in _pods_within(manifest.raw, ""):
            yield Found(place, f"no policy checks the pod in this {manifest.kind}")


def _pods_within(value: Any, place: str) -> Iterator[str]:
    """Paths of what looks like a pod: a list of containers with images."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            within = f"{place}.{key}".lstrip(".")
            if key == "containers" and any(
                isinstance(item, Mapping) and "image" in item for item in inner or ()
            ):
                yield within
            else:
                yield from _pods_within(inner, within)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, item in enumerate(value):
            yield from _pods_within(item, f"{place}[{number}]")


def _pod_flag(manifest: Manifest, pod: PodSpec, key: str, message: str) -> Iterator[Found]:
    if pod.raw.get(key):
        yield Found(f"{pod_path(manifest)}spec.{key}", message)


def _shared_processes(manifest: Manifest) -> Iterator[Found]:
    if manifest.pod:
        message = (
            "every container can see the processes of the others, send them signals, and read their files"
        )
        yield from _pod_flag(manifest, manifest.pod, "shareProcessNamespace", message)


def _placement(manifest: Manifest) -> Iterator[Found]:
    pod = manifest.pod
    if pod is None:
        return
    yield from _pod_flag(manifest, pod, "nodeName", "spec.nodeName bypasses the scheduler")
    if str(pod.raw.get("priorityClassName", "")).startswith("system-"):
        yield Found(
            f"{pod_path(manifest)}spec.priorityClassName", "can evict pods that the cluster itself needs"
        )
    for toleration in pod.raw.get("tolerations") or ():
        if toleration.get("operator") == "Exists" and not toleration.get("key"):
            yield Found(
                f"{pod_path(manifest)}spec.tolerations",
                "tolerates every taint, including those of control plane nodes",
            )


def _mount_propagation(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        for mount in container.mounts:
            if (value := mount.raw.get("mountPropagation")) not in (None, "None"):
                field = f"volumeMounts[{mount.path}].mountPropagation"
                yield Found(field, f"{value}: mounts propagate between node and container", container.name)


POLICIES: tuple[Policy, ...] = (
    Policy(
        "read-only-root",
        "The root file system is read-only",
        "medium",
        "An attacker cannot replace files on a read-only file system.",
        "Set securityContext.readOnlyRootFilesystem: true, and mount an emptyDir where the program must "
        "write.",
        (nsa("C-0017"),),
        check_object=_writable_root,
    ),
    Policy(
        "limits",
        "CPU and memory limits on every container",
        "medium",
        "A container without limits can starve the other pods on its node. This includes init containers "
        "and sidecars.",
        "Set resources.limits.cpu and resources.limits.memory.",
        (nsa("C-0270"), nsa("C-0271")),
        check_object=_limits,
    ),
    Policy(
        "requests",
        "CPU and memory requests on every container",
        "low",
        "Without requests the scheduler can overload a node, and the kubelet evicts the pod first.",
        "Set resources.requests.cpu and resources.requests.memory.",
        check_object=_requests,
    ),
    Policy(
        "empty-dir-size",
        "Every emptyDir has a size limit",
        "medium",
        "An emptyDir without a limit can fill the node's disk. The kubelet then evicts pods of that node.",
        "Set emptyDir.sizeLimit.",
        check_object=_unsized_volumes,
    ),
    Policy(
        "liveness",
        "A liveness probe on every long-running container",
        "low",
        "Without a probe, nothing restarts a container that hangs.",
        "Add a livenessProbe.",
        check_object=_no_liveness,
    ),
    Policy(
        "image-tag",
        "Image tags name a version",
        "medium",
        "`latest` can point to a different image tomorrow, and differ between nodes.",
        "Use a tag that contains a version, or a digest.",
        check_object=_moving_tags,
    ),
    Policy(
        "image-digest",
        "Images are pinned by digest",
        "low",
        "A tag in the registry can be moved to another image. A digest cannot.",
        "Set the image's digest (images.<name>.digest: sha256:...).",
        (cis("5.5.1"),),
        check_object=_no_digest,
    ),
    Policy(
        "group-zero",
        "No root group",
        "low",
        "Files that belong to group 0, including root's files, may be writable for the group.",
        "Set runAsGroup and fsGroup to another group, if the image allows it.",
        (nsa("C-0013"),),
        check_object=_group_zero,
    ),
    Policy(
        "ephemeral-containers",
        "No debug containers in manifests",
        "medium",
        "An ephemeral container has no limits, and is meant for one debugging session.",
        "Remove ephemeralContainers.",
        check_object=_ephemeral,
    ),
    Policy(
        "custom-pods",
        "No pods in custom resources",
        "medium",
        "The policies check the pods of Kubernetes' own kinds. A pod in a custom resource, such as a Rollout "
        "of Argo, passes unchecked.",
        "Check the pods that its controller creates (kubectl get pods --output yaml), and accept this "
        "finding by name.",
        check_object=_custom_pods,
    ),
    Policy(
        "shared-processes",
        "Containers do not share a process namespace",
        "high",
        "In a shared process namespace, every container can reach the files of the others at "
        "/proc/<pid>/root.",
        "Remove shareProcessNamespace.",
        check_object=_shared_processes,
    ),
    Policy(
        "placement",
        "The scheduler decides where pods run",
        "medium",
        "Such a pod may run on control plane nodes, or evict pods that the cluster itself needs.",
        "Use nodeSelector, use tolerations that have a key, and use no priority class that starts with "
        "system-.",
        check_object=_placement,
    ),
    Policy(
        "mount-propagation",
        "No mount propagation",
        "high",
        "With propagation, mounts of the node appear in the container, or mounts of the container on the "
        "node.",
        "Remove mountPropagation.",
        check_object=_mount_propagation,
    ),
)
