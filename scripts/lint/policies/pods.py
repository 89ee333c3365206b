"""Policies for pods that go beyond the Pod Security Standards."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scripts.lint.model import Found, Policy, cis, nsa, pod_path
from scripts.manifests import Container, Manifest, Manifests, Mount, PodSpec

#: Sockets of container runtimes, with /var/run already resolved to /run.
RUNTIME_SOCKETS = (
    "/run/docker.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/dockershim.sock",
    "/run/podman/podman.sock",
    "/run/buildkit/buildkitd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
)
_SOCKET_NAMES = {posixpath.basename(path) for path in RUNTIME_SOCKETS}
# The root of the node's file system, seen from a process of the node.
_PROC_ROOT = re.compile(r"^/proc/[^/]+/root(?=/|$)")


def plain_path(path: str) -> str:
    """A path of the node without detours: no ``//``, ``..`` or ``/proc/1/root``, and /run for /var/run."""
    plain = posixpath.normpath("/" + path.lstrip("/"))
    plain = _PROC_ROOT.sub("", plain) or "/"
    plain = re.sub(r"^/host(?=/)", "", plain)
    return re.sub(r"^/var/run(?=/|$)", "/run", plain)


def is_runtime_socket(path: str) -> bool:
    """Whether a path of the node is a container runtime's socket, however it is spelled."""
    plain = plain_path(path)
    return plain in RUNTIME_SOCKETS or posixpath.basename(plain) in _SOCKET_NAMES


def holds_runtime_socket(path: str) -> bool:
    """Whether a path of the node is a directory that has a runtime's socket below it."""
    below = plain_path(path).rstrip("/") + "/"
    return any(socket.startswith(below) for socket in RUNTIME_SOCKETS)


def _node_paths(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """(field, path) of all paths of the node that an object gives to pods."""
    if manifest.kind == "PersistentVolume":
        for source in ("hostPath", "local"):
            if path := manifest.get("spec", source, "path"):
                yield f"spec.{source}.path", str(path)
    for name, volume in _volumes(manifest):
        if path := (volume.get("hostPath") or {}).get("path"):
            yield f"{pod_path(manifest)}spec.volumes[{name}].hostPath.path", str(path)


def _runtime_sockets(manifest: Manifest) -> Iterator[Found]:
    for field, path in _node_paths(manifest):
        if not is_runtime_socket(path):
            continue
        message = f"{path} is a container runtime's socket"
        mounting = [
            container.name
            for container in _containers(manifest)
            if any(field.endswith(f"volumes[{mount.volume}].hostPath.path") for mount in container.mounts)
        ]
        for name in mounting or [""]:
            yield Found(field, message, name)


def _runtime_directories(manifest: Manifest) -> Iterator[Found]:
    for field, path in _node_paths(manifest):
        if holds_runtime_socket(path):
            yield Found(field, f"{path} has container runtimes' sockets below it")


_TCP = re.compile(r"(^|=|\s)(tcp|http)://")


def _docker_over_tcp(manifest: Manifest) -> Iterator[Found]:
    for container in _containers(manifest):
        host = container.env.get("DOCKER_HOST")
        if host and host.value and not host.value.startswith(("unix://", "fd://")):
            yield Found("env.DOCKER_HOST", f"{host.value} is Docker's API over the network", container.name)
        daemon = any(posixpath.basename(word) == "dockerd" for word in container.words)
        if daemon and any(_TCP.search(word) for word in container.words):
            yield Found("command", "dockerd listens on TCP", container.name)
        if not container.raw.get("command") and re.search(r"(^|/)docker:[^/]*dind", container.image):
            message = "without a command, the image's entrypoint makes dockerd listen on TCP"
            yield Found("command", message, container.name)
        for port in container.ports:
            if port.get("containerPort") in (2375, 2376):
                yield Found(f"ports.containerPort={port['containerPort']}", "Docker's port", container.name)


def _insecure_registries(manifest: Manifest) -> Iterator[Found]:
    for container in _containers(manifest):
        for word in container.words:
            if word.startswith("--insecure-registry"):
                yield Found("command", f"{word}: images come unencrypted, from anybody", container.name)


def _socket_mounts(container: Container) -> list[Mount]:
    """Where a container has the volume of the Docker socket."""
    return [mount for mount in container.mounts if "docker" in mount.volume and "socket" in mount.volume]


def _writable_docker_socket(manifest: Manifest) -> Iterator[Found]:
    for container in _containers(manifest):
        if container.role == "sidecar":
            continue  # The daemon, or what stands in for it, makes the socket.
        for mount in _socket_mounts(container):
            if not mount.read_only:
                message = f"{mount.path} can be replaced by the container"
                yield Found(f"volumeMounts[{mount.path}].readOnly", message, container.name)


def _daemon_uid(manifest: Manifest) -> Iterator[Found]:
    pod = manifest.pod
    if pod is None:
        return

    def uid(container: Container) -> Any:
        return container.security.get("runAsUser", pod.security.get("runAsUser"))

    daemons = [
        c for c in pod.containers if c.role == "sidecar" and any(not m.read_only for m in _socket_mounts(c))
    ]
    for daemon in daemons:
        sharing = [c.name for c in pod.containers if c is not daemon and uid(c) == uid(daemon)]
        if sharing:
            message = f"runs as uid {uid(daemon)}, as {', '.join(sharing)} does"
            yield Found("securityContext.runAsUser", message, daemon.name)


def _containers(manifest: Manifest) -> tuple[Container, ...]:
    return manifest.pod.containers if manifest.pod else ()


def _writable_root(manifest: Manifest) -> Iterator[Found]:
    for container in _containers(manifest):
        if container.security.get("readOnlyRootFilesystem") is not True:
            field = "securityContext.readOnlyRootFilesystem"
            yield Found(field, "the root file system is writable", container.name)


def _limits(manifest: Manifest) -> Iterator[Found]:
    for container in _containers(manifest):
        limits = (container.raw.get("resources") or {}).get("limits") or {}
        for resource in ("cpu", "memory"):
            if limits.get(resource) in (None, 0, "0", ""):
                yield Found(f"resources.limits.{resource}", f"no {resource} limit", container.name)


def _requests(manifest: Manifest) -> Iterator[Found]:
    for container in _containers(manifest):
        resources = container.raw.get("resources") or {}
        for resource in ("cpu", "memory"):
            # Without a request, Kubernetes takes the limit.
            if not any((resources.get(kind) or {}).get(resource) for kind in ("requests", "limits")):
                yield Found(f"resources.requests.{resource}", f"no {resource} request", container.name)


def _volumes(manifest: Manifest) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return manifest.pod.volumes.items() if manifest.pod else ()


def _unsized_volumes(manifest: Manifest) -> Iterator[Found]:
    for name, volume in _volumes(manifest):
        if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
            field = f"{pod_path(manifest)}spec.volumes[{name}].emptyDir.sizeLimit"
            yield Found(field, "it grows until the node's disk is full")


def _no_liveness(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind in ("Job", "CronJob", "Pod"):
        return  # What ends by itself is not to be restarted.
    for container in _containers(manifest):
        if container.role in ("main", "sidecar") and "livenessProbe" not in container.probes:
            yield Found("livenessProbe", "nobody notices when it hangs", container.name)


def split_image(image: str) -> tuple[str, str, str]:
    """(repository, tag, digest) of an image; "" for what it does not have."""
    name, _, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return head + slash + last, tag, digest


def _moving_tags(manifest: Manifest) -> Iterator[Found]:
    for container in _containers(manifest):
        _, tag, digest = split_image(container.image)
        if not digest and not re.search(r"\d", tag):
            yield Found("image", f"{container.image}: the tag names no version", container.name)


def _no_digest(manifest: Manifest) -> Iterator[Found]:
    for container in _containers(manifest):
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
    for container in _containers(manifest):
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
    for container in _containers(manifest):
        for mount in container.mounts:
            if (value := mount.raw.get("mountPropagation")) not in (None, "None"):
                field = f"volumeMounts[{mount.path}].mountPropagation"
                yield Found(field, f"{value}: mounts pass between node and container", container.name)


def _automount(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind == "ServiceAccount" and manifest.raw.get("automountServiceAccountToken") is not False:
        yield Found("automountServiceAccountToken", "pods of this account get its token unasked")
    if manifest.pod and manifest.pod.raw.get("automountServiceAccountToken") is not False:
        field = f"{pod_path(manifest)}spec.automountServiceAccountToken"
        yield Found(field, "every container gets the service account's token")


def token_volumes(pod: PodSpec) -> set[str]:
    """Names of the volumes that hold a token of the pod's service account for the API server."""
    return {
        name
        for name, volume in pod.volumes.items()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if source.get("serviceAccountToken") is not None and not source["serviceAccountToken"].get("audience")
    }


def _shared_token(manifest: Manifest) -> Iterator[Found]:
    if not manifest.pod:
        return
    tokens = token_volumes(manifest.pod)
    holders = [c for c in manifest.pod.containers if any(mount.volume in tokens for mount in c.mounts)]
    # Those that stay come first: one that ends is the further holder.
    holders.sort(key=lambda container: container.role == "init")
    for container in holders[1:]:
        # Which use they have tells what may be accepted: Airflow's Kubernetes operators have the connection,
        # the reader of KubernetesExecutor's logs the namespace.
        uses = {
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": container.env,
            "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": holders[0].env,
        }
        use = "".join(f", for {variable}" for variable, there in uses.items() if variable in there)
        yield Found(f"volumeMounts{use}", f"mounts the token that {holders[0].name} has", container.name)


def _unused_tokens(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    bound = {
        (subject.get("namespace") or binding.namespace, subject.get("name"))
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for binding in manifests.all(kind)
        for subject in binding.raw.get("subjects") or ()
    }
    for manifest, pod in manifests.pods:
        tokens = token_volumes(pod)
        if tokens and (manifest.namespace, pod.service_account) not in bound:
            for name in sorted(tokens):
                message = f"a token of {pod.service_account}, which has no rights: no use but to an attacker"
                yield manifest, Found(f"{pod_path(manifest)}spec.volumes[{name}].projected", message)


def _default_accounts(manifest: Manifest) -> Iterator[Found]:
    if manifest.pod and manifest.pod.service_account == "default":
        field = f"{pod_path(manifest)}spec.serviceAccountName"
        yield Found(field, "the namespace's default account, which others use too")


def _shared_accounts(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    users = Counter((manifest.namespace, pod.service_account) for manifest, pod in manifests.pods)
    for manifest, pod in manifests.pods:
        if users[manifest.namespace, pod.service_account] > 1 and pod.service_account != "default":
            message = f"{pod.service_account} is also another workload's account"
            yield manifest, Found(f"{pod_path(manifest)}spec.serviceAccountName", message)


def _privileged_with_credentials(manifest: Manifest) -> Iterator[Found]:
    if not manifest.pod:
        return
    tokens = token_volumes(manifest.pod)
    secrets = {name for name, volume in manifest.pod.volumes.items() if volume.get("secret")}
    for container in manifest.pod.containers:
        if not container.security.get("privileged"):
            continue
        for mount in container.mounts:
            if mount.volume in tokens | secrets:
                yield Found(f"volumeMounts[{mount.path}]", "a token or a Secret is mounted", container.name)
        for variable in container.env_list:
            if variable.secret:
                yield Found(f"env.{variable.name}", "comes from a Secret", container.name)
        if any(source.get("secretRef") for source in container.raw.get("envFrom") or ()):
            yield Found("envFrom", "comes from a Secret", container.name)


POLICIES: tuple[Policy, ...] = (
    Policy(
        "runtime-socket",
        "No container runtime's socket",
        "high",
        "Whoever reaches the socket starts privileged containers: that is root on the node.",
        "Use worker mode kubernetes or dind, or remove the volume.",
        (cis("5.2.11"),),
        check_object=_runtime_sockets,
    ),
    Policy(
        "runtime-directory",
        "No directory of the node with runtimes' sockets below it",
        "high",
        "It gives all that the socket gives, and whatever else the node keeps there.",
        "Remove the volume.",
        (cis("5.2.11"),),
        check_object=_runtime_directories,
    ),
    Policy(
        "docker-over-tcp",
        "No Docker API on the network",
        "high",
        "Whoever reaches the port is root in the daemon; a socket file has an owner.",
        "Let dockerd listen on a unix socket alone, and set DOCKER_HOST to it.",
        check_object=_docker_over_tcp,
    ),
    Policy(
        "insecure-registry",
        "Registries are spoken to by TLS",
        "medium",
        "Over plain HTTP anybody on the way can put another image in place.",
        "Give the registry a certificate and remove it from insecureRegistries.",
        check_object=_insecure_registries,
    ),
    Policy(
        "docker-socket-writable",
        "The Docker socket cannot be replaced",
        "medium",
        "A container that can write the socket's directory can put a daemon of its own in place.",
        "Mount it with readOnly: true: connecting needs no more.",
        check_object=_writable_docker_socket,
    ),
    Policy(
        "daemon-uid",
        "What serves the Docker socket has a uid of its own",
        "high",
        "Under one uid, DAG code could signal the process, replace its socket and read its files.",
        "Set the sidecar's securityContext.runAsUser to one that no other container of the pod has.",
        check_object=_daemon_uid,
    ),
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
    Policy(
        "token-automount",
        "No token unasked",
        "medium",
        "A token in a container that does not use it is a gift to whoever gets in.",
        "Set automountServiceAccountToken: false; mount a projected token in the container that needs it.",
        (cis("5.1.6"), nsa("C-0034")),
        check_object=_automount,
    ),
    Policy(
        "token-shared",
        "One container of a pod holds the token",
        "medium",
        "Each further container that has it is one more way to it.",
        "Mount the token volume in the one container that talks to the API server.",
        (cis("5.1.6"),),
        check_object=_shared_token,
    ),
    Policy(
        "token-unused",
        "No token without rights to use it for",
        "low",
        "A token with no rights still proves an identity.",
        "Remove the token volume, or bind a Role to the service account.",
        (cis("5.1.6"),),
        check_release=_unused_tokens,
    ),
    Policy(
        "default-account",
        "No pod runs as the default service account",
        "medium",
        "What is granted to the default account is granted to every pod that names none.",
        "Set serviceAccountName to an account of the workload's own.",
        (cis("5.1.5"),),
        check_object=_default_accounts,
    ),
    Policy(
        "shared-account",
        "Every workload has a service account of its own",
        "medium",
        "Rights meant for one workload are the other's as well.",
        "Give each workload an account of its own.",
        (cis("5.1.5"),),
        check_release=_shared_accounts,
    ),
    Policy(
        "privileged-credentials",
        "A privileged container holds no credentials",
        "high",
        "Who breaks into it would have the node and the release's secrets.",
        "Mount tokens and Secrets in the other containers alone.",
        check_object=_privileged_with_credentials,
    ),
)
