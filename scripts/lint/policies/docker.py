"""Policies for Docker: its sockets, daemons and registries."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from typing import Any

from scripts.chart import Container, Manifest, Mount
from scripts.lint.model import Found, Policy, cis, containers_of, pod_path, volumes_of

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
    for name, volume in volumes_of(manifest):
        if path := (volume.get("hostPath") or {}).get("path"):
            yield f"{pod_path(manifest)}spec.volumes[{name}].hostPath.path", str(path)


def _runtime_sockets(manifest: Manifest) -> Iterator[Found]:
    for field, path in _node_paths(manifest):
        if not is_runtime_socket(path):
            continue
        message = f"{path} is the socket of a container runtime"
        mounting = [
            container.name
            for container in containers_of(manifest)
            if any(field.endswith(f"volumes[{mount.volume}].hostPath.path") for mount in container.mounts)
        ]
        for name in mounting or [""]:
            yield Found(field, message, name)


def _runtime_directories(manifest: Manifest) -> Iterator[Found]:
    for field, path in _node_paths(manifest):
        if holds_runtime_socket(path):
            yield Found(field, f"{path} contains the socket of a container runtime")


def _daemon_options(container: Container) -> dict[str, Any]:
    """Options that the container's start script gives the daemon as daemon.json; empty if there are none."""
    variable = container.env.get("AIRDOCK_DAEMON_CONFIG")
    try:
        options = json.loads(variable.value) if variable and variable.value else {}
    except ValueError:
        return {}
    return options if isinstance(options, dict) else {}


_TCP = re.compile(r"(^|=|\s)(tcp|http)://")


def _docker_over_tcp(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        host = container.env.get("DOCKER_HOST")
        if host and host.value and not host.value.startswith(("unix://", "fd://")):
            yield Found("env.DOCKER_HOST", f"{host.value} is a Docker API on the network", container.name)
        daemon = any(posixpath.basename(word) == "dockerd" for word in container.words)
        if daemon and any(_TCP.search(word) for word in container.words):
            yield Found("command", "dockerd listens on TCP", container.name)
        if any(_TCP.search(str(host)) for host in _daemon_options(container).get("hosts") or ()):
            yield Found("env.AIRDOCK_DAEMON_CONFIG", "dockerd listens on TCP", container.name)
        if not container.raw.get("command") and re.search(r"(^|/)docker:[^/]*dind", container.image):
            message = "without a command, the image's entrypoint starts dockerd with a TCP port"
            yield Found("command", message, container.name)
        for port in container.ports:
            if port.get("containerPort") in (2375, 2376):
                yield Found(
                    f"ports.containerPort={port['containerPort']}",
                    "this is the port of the Docker API",
                    container.name,
                )


def _insecure_registries(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        for registry in _daemon_options(container).get("insecure-registries") or ():
            yield Found(
                "env.AIRDOCK_DAEMON_CONFIG",
                f"{registry}: images are pulled without encryption and without proof of their origin",
                container.name,
            )
        for word in container.words:
            if word.startswith("--insecure-registry"):
                yield Found(
                    "command",
                    f"{word}: images are pulled without encryption and without proof of their origin",
                    container.name,
                )


def _socket_mounts(container: Container) -> list[Mount]:
    """Where a container has the volume of the Docker socket."""
    return [mount for mount in container.mounts if "docker" in mount.volume and "socket" in mount.volume]


def _writable_docker_socket(manifest: Manifest) -> Iterator[Found]:
    for container in containers_of(manifest):
        if container.role == "sidecar":
            continue  # The daemon, or what stands in for it, makes the socket.
        for mount in _socket_mounts(container):
            if not mount.read_only:
                message = f"the container can replace the socket in {mount.path}"
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
            message = f"runs as uid {uid(daemon)}, which {', '.join(sharing)} also uses"
            if uid(daemon) is None:
                message = f"sets no uid, nor do {', '.join(sharing)}"
            yield Found("securityContext.runAsUser", message, daemon.name)


POLICIES: tuple[Policy, ...] = (
    Policy(
        "runtime-socket",
        "No socket of a container runtime",
        "high",
        "Everyone who can use the socket can start privileged containers, and so become root on the node.",
        "Remove the volume, or use workers.<name>.mode kubernetes or dind.",
        (cis("5.2.11"),),
        check_object=_runtime_sockets,
    ),
    Policy(
        "runtime-directory",
        "No directory of the node that contains the socket of a container runtime",
        "high",
        "The directory gives access to the socket, and to everything else that it contains.",
        "Remove the volume.",
        (cis("5.2.11"),),
        check_object=_runtime_directories,
    ),
    Policy(
        "docker-over-tcp",
        "No Docker API on the network",
        "high",
        "Everyone who can connect to the port has the rights of the daemon. A socket file has an owner "
        "and a mode.",
        "Make dockerd listen only on a unix socket, and set DOCKER_HOST to that socket.",
        check_object=_docker_over_tcp,
    ),
    Policy(
        "insecure-registry",
        "Registries are used over TLS",
        "medium",
        "Over plain HTTP, anyone on the network path can replace the image.",
        "Give the registry a certificate, and remove it from workers.<name>.dind.insecureRegistries.",
        check_object=_insecure_registries,
    ),
    Policy(
        "docker-socket-writable",
        "The Docker socket cannot be replaced",
        "medium",
        "A container that can write to the socket's directory can replace the daemon's socket with its own.",
        "Mount the directory with readOnly: true. This is sufficient to connect.",
        check_object=_writable_docker_socket,
    ),
    Policy(
        "daemon-uid",
        "The sidecar that serves the Docker socket has a dedicated uid",
        "high",
        "With the same uid, DAG code could send signals to the sidecar, replace its socket and read its "
        "files.",
        "Set the sidecar's securityContext.runAsUser to a uid that no other container of the pod uses.",
        check_object=_daemon_uid,
    ),
)
