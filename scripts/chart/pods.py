"""Typed access to a pod: its containers, their mounts and variables, and what it refers to by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal

from scripts.chart.frozen import FrozenDict, as_map
from scripts.chart.yaml import ManifestError


@dataclass(frozen=True)
class Mount:
    """One of a container's volumeMounts."""

    raw: Mapping[str, Any]

    @property
    def volume(self) -> str:
        """The name of the volume."""
        return str(self.raw["name"])

    @property
    def path(self) -> str:
        """Where it is in the container."""
        return str(self.raw["mountPath"])

    @property
    def read_only(self) -> bool:
        """Whether the container cannot write there."""
        return bool(self.raw.get("readOnly", False))

    @property
    def sub_path(self) -> str:
        """The part of the volume that is mounted, or nothing."""
        return str(self.raw.get("subPath") or self.raw.get("subPathExpr") or "")


@dataclass(frozen=True)
class EnvVar:
    """One environment variable: either a value, or a source in Kubernetes' form."""

    name: str
    value: str | None
    source: Mapping[str, Any]

    @property
    def secret(self) -> tuple[str, str] | None:
        """(name, key) of the Secret that it comes from, or None."""
        ref = self.source.get("secretKeyRef")
        return (ref["name"], ref["key"]) if ref else None


@dataclass(frozen=True)
class Reference:
    """What a pod needs to find in its namespace: a Secret, ConfigMap (or a key of it), claim or account."""

    kind: str
    name: str
    key: str | None
    optional: bool
    #: For people, such as `container worker, env POSTGRES_PASSWORD`.
    where: str


@dataclass(frozen=True)
class Container:
    """A container of any sort."""

    raw: Mapping[str, Any]
    #: A sidecar is an init container with restartPolicy Always.
    role: Literal["main", "init", "sidecar", "ephemeral"]

    @property
    def name(self) -> str:
        """The container's name, "" where it has none."""
        return str(self.raw.get("name", ""))

    @property
    def image(self) -> str:
        """The image, "" where it has none."""
        return str(self.raw.get("image", ""))

    @property
    def security(self) -> Mapping[str, Any]:
        """The container's own securityContext."""
        return as_map(self.raw.get("securityContext"))

    @property
    def words(self) -> tuple[str, ...]:
        """Command and arguments."""
        return tuple(str(word) for key in ("command", "args") for word in self.raw.get(key) or ())

    @cached_property
    def env(self) -> Mapping[str, EnvVar]:
        """Environment variables by name; the last of a name, as the kubelet has it. Without envFrom."""
        return FrozenDict((variable.name, variable) for variable in self.env_list)

    @cached_property
    def env_list(self) -> tuple[EnvVar, ...]:
        """Environment variables as they are written, duplicates too."""
        return tuple(
            EnvVar(str(entry["name"]), entry.get("value"), as_map(entry.get("valueFrom")))
            for entry in self.raw.get("env") or ()
        )

    @cached_property
    def mounts(self) -> tuple[Mount, ...]:
        """All volumeMounts."""
        return tuple(Mount(entry) for entry in self.raw.get("volumeMounts") or ())

    @property
    def ports(self) -> tuple[Mapping[str, Any], ...]:
        """The declared ports."""
        return tuple(self.raw.get("ports") or ())

    @property
    def probes(self) -> Mapping[str, Mapping[str, Any]]:
        """startupProbe, readinessProbe and livenessProbe, those that are there."""
        names = ("startupProbe", "readinessProbe", "livenessProbe")
        return {name: self.raw[name] for name in names if self.raw.get(name)}

    def mount_at(self, path: str) -> Mount:
        """The mount at exactly this path.

        Raises:
            ManifestError: if there is none.
        """
        for mount in self.mounts:
            if mount.path == path:
                return mount
        there = ", ".join(mount.path for mount in self.mounts) or "none"
        raise ManifestError(f"container {self.name} has no mount at {path}; it has {there}")

    def mount_over(self, path: str) -> Mount | None:
        """The mount on which a path lies: the deepest one that contains it."""
        wanted = PurePosixPath(path)
        found = [mount for mount in self.mounts if wanted.is_relative_to(mount.path)]
        return max(found, key=lambda mount: len(PurePosixPath(mount.path).parts), default=None)


@dataclass(frozen=True)
class PodSpec:
    """A pod, or a workload's pod template."""

    raw: Mapping[str, Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    #: Claims of a StatefulSet's volumeClaimTemplates: volumes that the spec does not name.
    claims: tuple[str, ...] = ()

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """All containers: init, sidecars, main and ephemeral."""
        init = [
            Container(raw, "sidecar" if raw.get("restartPolicy") == "Always" else "init")
            for raw in self.raw.get("initContainers") or ()
        ]
        main = [Container(raw, "main") for raw in self.raw.get("containers") or ()]
        ephemeral = [Container(raw, "ephemeral") for raw in self.raw.get("ephemeralContainers") or ()]
        return (*init, *main, *ephemeral)

    def container(self, name: str) -> Container:
        """The container of that name, of any sort.

        Raises:
            ManifestError: if there is none.
        """
        for container in self.containers:
            if container.name == name:
                return container
        there = ", ".join(container.name for container in self.containers)
        raise ManifestError(f"the pod has no container {name}; it has {there}")

    @property
    def security(self) -> Mapping[str, Any]:
        """The pod's securityContext."""
        return as_map(self.raw.get("securityContext"))

    @cached_property
    def volumes(self) -> Mapping[str, Mapping[str, Any]]:
        """Volumes by name; each in Kubernetes' form, with its source."""
        return FrozenDict((str(volume["name"]), volume) for volume in self.raw.get("volumes") or ())

    @property
    def service_account(self) -> str:
        """The service account's name; `default` where none is given."""
        return str(self.raw.get("serviceAccountName") or self.raw.get("serviceAccount") or "default")

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """All that the pod needs by name, but its images."""
        found = [Reference("ServiceAccount", self.service_account, None, False, "serviceAccountName")]
        for secret in self.raw.get("imagePullSecrets") or ():
            found.append(Reference("Secret", secret["name"], None, False, "imagePullSecrets"))
        for container in self.containers:
            found += _container_references(container)
        for name, volume in self.volumes.items():
            found += _volume_references(f"volume {name}", volume)
        return tuple(found)


def _container_references(container: Container) -> Iterator[Reference]:
    for entry in container.raw.get("env") or ():
        where = f"container {container.name}, env {entry['name']}"
        for kind, ref in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")):
            if source := as_map(entry.get("valueFrom")).get(ref):
                yield Reference(kind, source["name"], source["key"], bool(source.get("optional")), where)
    for entry in container.raw.get("envFrom") or ():
        for kind, ref in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
            if source := entry.get(ref):
                optional = bool(source.get("optional"))
                yield Reference(kind, source["name"], None, optional, f"container {container.name}, envFrom")


def _volume_references(where: str, volume: Mapping[str, Any]) -> Iterator[Reference]:
    if claim := volume.get("persistentVolumeClaim"):
        yield Reference("PersistentVolumeClaim", claim["claimName"], None, False, where)
    sources = [volume, *(as_map(volume.get("projected")).get("sources") or ())]
    for source in sources:
        for kind, key, named in (("Secret", "secret", "secretName"), ("ConfigMap", "configMap", "name")):
            if not (ref := source.get(key)):
                continue
            name, optional = str(ref.get(named) or ref.get("name")), bool(ref.get("optional"))
            items = [item["key"] for item in ref.get("items") or ()]
            for item in items or [None]:
                yield Reference(kind, name, item, optional, where)
