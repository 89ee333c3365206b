"""Policies for what the Docker gateway lets containers do on the node's Docker daemon (mode socket)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.chart import Manifest
from scripts.lint.model import Found, Policy
from scripts.lint.policies.docker import holds_runtime_socket, is_runtime_socket, plain_path

#: Directories that the node itself relies on: who can write there becomes root on it, who can read there gets
#: its credentials. With everything below them.
NODE_DIRECTORIES = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys",
    "/usr", "/opt/cni", "/var/lib/cni", "/var/lib/containerd", "/var/lib/docker", "/var/lib/etcd",
    "/var/lib/kubelet", "/var/lib/rancher", "/var/spool/cron",
)  # fmt: skip
#: The settings' limits that a zero switches off, with their keys in the values.
LIMITS = {"memory": "memory", "cpu": "cpu", "pids": "pids"}


def _daemon_settings(manifest: Manifest) -> Mapping[str, Any]:
    """The settings of a gateway before the node's daemon; empty for any other object."""
    text = manifest.get("data", "settings.json") if manifest.kind == "ConfigMap" else None
    try:
        settings = json.loads(text) if text else {}
    except ValueError:
        return {}
    found = settings.get("daemon") if isinstance(settings, dict) else None
    return found if isinstance(found, dict) else {}


def is_of_the_node(path: str) -> bool:
    """Whether a directory is one that the node relies on, is below one, or contains one."""
    plain = plain_path(path)
    return (
        is_runtime_socket(plain)
        or holds_runtime_socket(plain)
        or any(
            plain == own or plain.startswith(f"{own}/") or own.startswith(plain.rstrip("/") + "/")
            for own in NODE_DIRECTORIES
        )
    )


def _binds(manifest: Manifest) -> Iterator[Found]:
    for entry in _daemon_settings(manifest).get("binds") or ():
        path = str(entry.get("path", "")) if isinstance(entry, Mapping) else str(entry)
        if is_of_the_node(path):
            yield Found("data.settings.json", f"containers may mount {path}, which the node relies on")


def _limits(manifest: Manifest) -> Iterator[Found]:
    daemon = _daemon_settings(manifest)
    for name, key in LIMITS.items():
        if daemon and re.fullmatch(r"[0.]*[A-Za-z]*", str(daemon.get(name) or "0")):
            yield Found("data.settings.json", f"containers have no maximum of {key}")


POLICIES: tuple[Policy, ...] = (
    Policy(
        "docker-binds",
        "Docker containers mount no directory that the node relies on",
        "high",
        "Containers can be root in a mounted directory. With one of the node's own, every DAG author can "
        "become root on the node, or read its credentials.",
        "Remove the path from workers.<name>.socket.allowed.binds. Use a directory that only tasks use.",
        check_object=_binds,
    ),
    Policy(
        "docker-limits",
        "Docker containers on the node's daemon have limits",
        "medium",
        "Without a limit, one container can use up the memory, CPU or process ids of the node.",
        "Set workers.<name>.socket.limits.memory, cpu and pids to values above 0.",
        check_object=_limits,
    ),
)
