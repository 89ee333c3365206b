"""Policies for pods that go beyond the Pod Security Standards."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
            yield Found(field, "it grows until the node's disk is full")


def _no_liveness(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind in ("Job", "CronJob", "Pod"):
        return  # What ends by itself is not to be restarted.
    for container in containers_of(manifest):
        if container.role in ("main", "sidecar") and "livenessProbe" not in container.probes:
            yield Found("livenessProbe", "nobody notices when it hangs", container.name)


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
            yield Found("image", f"{container.image}: the tag names no version", container.name)


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
            yield Found("name", "a debug container is part of the manifest", container.name)


def _pod_flag(manifest: Manifest, pod: PodSpec, key: str, message: str) -> Iterator[Found]:
    if pod.raw.get(key):
        yield Found(f"{pod_path(manifest)}spec.{key}", message)


def _shared_processes(manifest: Manifest) -> Iterator[Found]:
    if manifest.pod:
        message = "every container sees and signals the others' processes, and reads their files"
        yield from _pod_flag(manifest, manifest.pod, "shareProcessNamespace", message)


def _placement(manifest: Manifest) -> Iterator[Found]:
    pod = manifest.pod
    if pod is None:
        return
    yield from _pod_flag(manifest, pod, "nodeName", "goes past the scheduler to one node")
    if str(pod.raw.get("priorityClassName", "")).startswith("system-"):
        yield Found(f"{pod_path(manifest)}spec.priorityClassName", "evicts what the cluster itself needs")
    for toleration in pod.raw.get("tolerations") or ():
        if toleration.get("operator") == "Exists" and not toleration.get("key"):
            yield Found(f"{pod_path(manifest)}spec.tolerations", "tolerates every taint, control planes' too")


def _mount_propagation(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        for mount in container.mounts:
            if (value := mount.raw.get("mountPropagation")) not in (None, "None"):
                field = f"volumeMounts[{mount.path}].mountPropagation"
                yield Found(field, f"{value}: mounts pass between node and container", container.name)


POLICIES: tuple[Policy, ...] = (
    Policy(
        "read-only-root",
        "A read-only root file system",
        "medium",
        "What cannot be written cannot be replaced by an attacker's program.",
        "Set securityContext.readOnlyRootFilesystem: true, and mount an emptyDir where it must write.",
        (nsa("C-0017"),),
        check_object=_writable_root,
    ),
    Policy(
        "limits",
        "CPU and memory limits on every container",
        "medium",
        "Without a limit one container takes its node's other pods down; init containers and sidecars too.",
        "Set resources.limits.cpu and resources.limits.memory.",
        (nsa("C-0270"), nsa("C-0271")),
        check_object=_limits,
    ),
    Policy(
        "requests",
        "CPU and memory requests on every container",
        "low",
        "Without requests the scheduler overfills nodes, and the pod is the first to be evicted.",
        "Set resources.requests.cpu and resources.requests.memory.",
        check_object=_requests,
    ),
    Policy(
        "empty-dir-size",
        "Every emptyDir has a size limit",
        "medium",
        "An emptyDir without a limit fills the node's disk, and all its pods are evicted.",
        "Set emptyDir.sizeLimit.",
        check_object=_unsized_volumes,
    ),
    Policy(
        "liveness",
        "A liveness probe on every long-running container",
        "low",
        "A container that hangs is otherwise restarted by nobody.",
        "Add a livenessProbe.",
        check_object=_no_liveness,
    ),
    Policy(
        "image-tag",
        "Image tags name a version",
        "medium",
        "latest is another program tomorrow, and different on every node.",
        "Give a tag with a version, or a digest.",
        check_object=_moving_tags,
    ),
    Policy(
        "image-digest",
        "Images pinned by digest",
        "low",
        "A tag can be moved in the registry: a digest cannot.",
        "Set the image's digest (sha256:...).",
        (cis("5.5.1"),),
        check_object=_no_digest,
    ),
    Policy(
        "group-zero",
        "No root group",
        "low",
        "Files of group 0, root's own among them, may be writable to the group.",
        "Set runAsGroup and fsGroup to another group, if the image allows it.",
        (nsa("C-0013"),),
        check_object=_group_zero,
    ),
    Policy(
        "ephemeral-containers",
        "No debug containers in manifests",
        "medium",
        "They have no limits, and are meant for one debugging session.",
        "Remove ephemeralContainers.",
        check_object=_ephemeral,
    ),
    Policy(
        "shared-processes",
        "Containers do not share processes",
        "high",
        "With one process namespace, /proc/<pid>/root of a privileged neighbour is open to all containers.",
        "Remove shareProcessNamespace.",
        check_object=_shared_processes,
    ),
    Policy(
        "placement",
        "The scheduler decides where pods run",
        "medium",
        "Such a pod may run on control planes, or drive out what the cluster needs.",
        "Use nodeSelector and tolerations with keys, and no system- priority class.",
        check_object=_placement,
    ),
    Policy(
        "mount-propagation",
        "No mount propagation",
        "high",
        "A mount that propagates gives a container mounts of the node, or the node mounts of a container.",
        "Remove mountPropagation.",
        check_object=_mount_propagation,
    ),
)
