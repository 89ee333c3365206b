"""The gateway's settings: one JSON file, strictly read, and what only the pod knows, from the environment.

AIRDOCK_GATEWAY_CONFIG  path of the file; without it every setting has its default
AIRDOCK_GATEWAY_OWNER   uid of the worker's pod (the downward API's metadata.uid)
AIRDOCK_TASK_NAMESPACE, AIRDOCK_TASK_SERVICE_ACCOUNT, AIRDOCK_XCOM_SIDECAR_IMAGE,
AIRDOCK_XCOM_SIDECAR_PULL_POLICY
AIRDOCK_ADMISSION_FENCE without it there are no policies, and tasks/forbiddenPods has no effect
                        take precedence over tasks/namespace, tasks/serviceAccount, tasks/retrieveImage and
                        tasks/retrievePullPolicy: a deployment tool that renames objects changes variables,
                        and not the content of the file
AIRDOCK_TRUST_DIRECTORY takes precedence over daemon/trustDirectory: it contains the pod's uid

Keys of the file are the camelCase forms of the attributes below, in the same nesting. A message names a key
by its path, tasks/leaseSeconds: with dots it would look like a value of the chart.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

from . import references
from .quantities import is_quantity

#: Names of the daemon's objects.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}\Z")
#: Clients that send input at a time: each takes two file descriptors and a thread more than others.
MAX_INPUTS = 128
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: Where every container has the CA certificates of `trust`, and the file there.
TRUST_DIRECTORY, TRUST_FILE = "/opt/airdock-trust", "ca-certificates.crt"
#: Where most public images are. None of them lets the owner of an image choose what a client fetches.
PUBLIC_REGISTRIES = (
    "docker.io", "gcr.io", "ghcr.io", "mcr.microsoft.com", "nvcr.io", "public.ecr.aws", "quay.io",
    "registry.gitlab.com", "registry.k8s.io",
)  # fmt: skip
#: Highest values of the ulimits that take something from the node. -1: any value.
ULIMITS = {
    "core": 0, "memlock": 4 << 30, "msgqueue": 819_200, "nice": 0, "nofile": 1 << 20, "nproc": -1,
    "rtprio": 0, "sigpending": 1 << 17,
}  # fmt: skip


class ConfigError(Exception):
    """A setting is wrong; the text names it and the way out."""


@dataclass(frozen=True)
class Volume:
    """A PersistentVolumeClaim of the task namespace that DAGs may mount."""

    claim_name: str = ""
    sub_path: str = ""
    read_only: bool = False


@dataclass(frozen=True)
class Registry:
    """A registry whose images tasks may use with credentials: a pull secret of the task namespace."""

    pull_secret: str = ""


@dataclass(frozen=True)
class Network:
    """What a named Docker network means: labels for the pod, which NetworkPolicies select."""

    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trust:
    """A ConfigMap of the task namespace with all CA certificates that task pods trust; off without a name."""

    config_map: str = ""
    key: str = "ca.crt"


@dataclass(frozen=True)
class Kubernetes:
    """How to reach the API server; in a pod the defaults are right."""

    server: str = ""
    token_file: str = str(ACCOUNT / "token")
    ca_file: str = str(ACCOUNT / "ca.crt")


@dataclass(frozen=True)
class Tasks:
    """What task pods look like.

    `user` is the uid of containers that name none, null for 50000; auto: the image's own where the kubelet
    takes it (cluster_users.py); assigned: the one that the cluster assigns. `user_namespaces` on: each pod
    has one, and root is allowed in it; auto: where root is wanted, and cluster and node can; off or null:
    root is refused. `resources` are requests
    and limits of a container that asks for none. `claims` are volumes by their Docker name, `binds` are
    sources of bind mounts by their path, `networks` are networks by name. `pod` is merged into the pod's spec
    (nodeSelector, tolerations, ...). `env` are variables of every container. `reserved_labels` are keys that
    no author may set. `images` are allowed images, as the admission policy lists them; empty for any.
    `trust` is mounted in every container; `env` has the variables that name its file. `forbidden_pods` are
    names of pods that the admission policies reject. `egress_policy` is the NetworkPolicy that restricts
    egress, empty if none does. `stdin`: clients may send input to pods. `result_max_size` is that of a file
    that a task retrieves. `max_grace_seconds` is the
    longest grace period of a pod that admission allows. `ttl_seconds` are for pods of containers,
    `ttl_seconds_after_finished` for others, 0 to keep them. Times are in seconds.
    """

    namespace: str = "airdock-tasks"
    service_account: str = ""
    user: int | str | None = None
    user_namespaces: str | None = None
    resources: dict[str, Any] = field(
        default_factory=lambda: {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "2", "memory": "4Gi"},
        }
    )
    tmp_size_limit: str = "2Gi"
    registries: dict[str, Registry] = field(default_factory=dict)
    image_pull_secrets: list[str] = field(default_factory=list)
    claims: dict[str, Volume] = field(default_factory=dict)
    binds: dict[str, Volume] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    forbidden_pods: list[str] = field(default_factory=list)
    egress_policy: str = ""
    gpu_resource: str = "nvidia.com/gpu"
    gpus_per_container: int = 1
    ulimits: str = "ignore"
    stdin: bool = False
    pod_labels: dict[str, str] = field(default_factory=dict)
    reserved_labels: list[str] = field(default_factory=list)
    pod_annotations: dict[str, str] = field(default_factory=dict)
    pod: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)
    retrieve_image: str = "busybox:1.37"
    retrieve_pull_policy: str = "IfNotPresent"
    result_max_size: str = "64Mi"
    max_grace_seconds: int = 600
    ttl_seconds: int = 600
    ttl_seconds_after_finished: int = 86400
    schedule_timeout_seconds: int = 600
    mount_timeout_seconds: int = 600
    pull_timeout_seconds: int = 120
    create_timeout_seconds: int = 120
    lease_seconds: int = 120

    @property
    def uid(self) -> int | None:
        """The uid of containers for which neither author nor image decides; None leaves it to the cluster."""
        if isinstance(self.user, int):
            return self.user
        return None if self.user == "assigned" else 50000


@dataclass(frozen=True)
class Bind:
    """A directory of the node that containers may mount."""

    path: str = ""
    read_only: bool = False


@dataclass(frozen=True)
class Daemon:
    """The node's Docker daemon, and what its containers may do.

    `images` are entries as references.py reads them, `registries` hosts with an optional port, or `*`;
    `binds` are paths of the node, `volumes` and `networks` names. `memory` and `cpu` (Kubernetes quantities)
    and `pids` are ceilings, 0 for none; a container that asks for none gets the ceiling. The rest of the
    ceilings is in daemon_limits.py. `cgroup_parent`: auto puts containers into the cgroup of this pod, so
    that its limits hold them too, where this container can see that; none leaves them where the daemon puts
    them; else it is a cgroup. `env` are variables of every container. `trust_directory` is a directory of the
    node with CA certificates, which every container gets; empty for none. Times are in seconds.
    """

    socket: str = "/run/docker-host/docker.sock"
    images: list[str] = field(default_factory=lambda: ["*"])
    registries: list[str] = field(default_factory=lambda: list(PUBLIC_REGISTRIES))
    binds: list[str | Bind] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    gpus: bool = False
    memory: str | int | float = "4Gi"
    cpu: str | int | float = "2"
    pids: int = 4096
    storage: str | int | float = "20Gi"
    logs: str | int | float = "200Mi"
    anonymous_volumes: int = 16
    containers: int = 500
    healthcheck_seconds: int = 10
    stop_seconds: int = 300
    ulimits: dict[str, int] = field(default_factory=lambda: dict(ULIMITS))
    cgroup_parent: str = "auto"
    env: dict[str, str] = field(default_factory=dict)
    trust_directory: str = ""
    ttl_seconds: int = 600
    lease_seconds: int = 300

    def directories(self) -> dict[str, Bind]:
        """Give the entries of `binds` by their paths."""
        entries = [Bind(each) if isinstance(each, str) else each for each in self.binds]
        return {each.path: each for each in entries}


@dataclass(frozen=True)
class Settings:
    """All of it. `backend` is cluster or daemon; `health_port` 0 switches health and metrics off."""

    backend: str = "cluster"
    socket: str = "/run/airdock/docker.sock"
    health_host: str = ""
    health_port: int = 9323
    worker_group: str = ""
    owner: str = ""
    kubernetes: Kubernetes = field(default_factory=Kubernetes)
    tasks: Tasks = field(default_factory=Tasks)
    daemon: Daemon = field(default_factory=Daemon)


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises ConfigError."""
    path = environment.get("AIRDOCK_GATEWAY_CONFIG", "")
    values: Any = {}
    if path:
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"AIRDOCK_GATEWAY_CONFIG: {path} is no readable JSON file: {error}") from None
    settings: Settings = _read(Settings, values, "")
    tasks = dataclasses.replace(
        settings.tasks,
        namespace=environment.get("AIRDOCK_TASK_NAMESPACE") or settings.tasks.namespace,
        service_account=environment.get("AIRDOCK_TASK_SERVICE_ACCOUNT") or settings.tasks.service_account,
        forbidden_pods=settings.tasks.forbidden_pods if environment.get("AIRDOCK_ADMISSION_FENCE") else [],
        retrieve_image=environment.get("AIRDOCK_XCOM_SIDECAR_IMAGE") or settings.tasks.retrieve_image,
        retrieve_pull_policy=environment.get("AIRDOCK_XCOM_SIDECAR_PULL_POLICY")
        or settings.tasks.retrieve_pull_policy,
    )
    daemon = dataclasses.replace(
        settings.daemon,
        trust_directory=environment.get("AIRDOCK_TRUST_DIRECTORY") or settings.daemon.trust_directory,
    )
    owner = environment.get("AIRDOCK_GATEWAY_OWNER", "") or settings.owner
    settings = dataclasses.replace(settings, owner=owner, tasks=tasks, daemon=daemon)
    if not settings.owner:
        raise ConfigError(
            "AIRDOCK_GATEWAY_OWNER: is empty; set it to the pod's uid by a fieldRef to metadata.uid"
        )
    user = settings.tasks.user
    for name, value, choices in (
        ("backend", settings.backend, ("cluster", "daemon")),
        ("tasks/user", user if isinstance(user, str) else "auto", ("auto", "assigned")),
        ("tasks/userNamespaces", settings.tasks.user_namespaces or "off", ("auto", "on", "off")),
        ("tasks/ulimits", settings.tasks.ulimits, ("ignore", "refuse")),
        (
            "tasks/retrievePullPolicy",
            settings.tasks.retrieve_pull_policy,
            ("IfNotPresent", "Always", "Never"),
        ),
    ):
        if value not in choices:
            raise ConfigError(f"{name}: {value!r} is not one of {', '.join(choices)}")
    if not is_quantity(size := settings.tasks.result_max_size):
        raise ConfigError(f"tasks/resultMaxSize: {size!r} is no Kubernetes quantity; write 64Mi")
    if isinstance(user, int) and not 0 < user < 2**31:
        raise ConfigError(f"tasks/user: {user} is not a uid that task pods may have; set 1 or more")
    for name, seconds in (
        ("tasks/leaseSeconds", settings.tasks.lease_seconds),
        ("daemon/leaseSeconds", settings.daemon.lease_seconds),
    ):
        if seconds < 1:
            raise ConfigError(f"{name}: {seconds} is not a positive number of seconds")
    _check_daemon(settings.daemon)
    return settings


def _check_daemon(daemon: Daemon) -> None:
    for key in ("memory", "cpu", "storage", "logs"):
        if not is_quantity(ceiling := getattr(daemon, key)):
            raise ConfigError(f"daemon/{key}: {ceiling!r} is no Kubernetes quantity; write 4Gi or 500m")
    for entry in daemon.images:
        if entry != "*" and references.parse_entry(entry) is None:
            raise ConfigError(
                f"daemon/images: {entry!r} is no entry; write an image, registry/path/*, or * for any image"
            )
    for registry in daemon.registries:
        if registry != "*" and not references.is_registry(registry):
            raise ConfigError(f"daemon/registries: {registry!r} is no host; write host or host:port, or *")
    for network in daemon.networks:
        if not NAME.match(network) or network == "host":
            raise ConfigError(f"daemon/networks: {network!r} is no name of a network that tasks can share")
    for volume in daemon.volumes:
        if not NAME.match(volume):
            raise ConfigError(f"daemon/volumes: {volume!r} is no name of a volume")
    known = daemon.directories()
    if len(known) < len(daemon.binds):
        raise ConfigError("daemon/binds: two entries have the same path; remove one")
    for path in known:
        if not path.startswith("/") or set(path[1:].split("/")) & {"", ".", ".."} or ":" in path:
            raise ConfigError(
                f"daemon/binds: {path!r} is no absolute path in its shortest form; write it without '.',"
                " '..', ':' and a slash at the end"
            )
        for other in known:
            if path.startswith(other + "/"):
                raise ConfigError(
                    f"daemon/binds: {path!r} is below {other!r}, where a container could put a link to any"
                    " path of the node in its place; remove one of them"
                )


def camel(name: str) -> str:
    """Give the camelCase form of a snake_case name."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _read(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ConfigError(f"{where or 'the file'}: must be an object")
        hints = get_type_hints(kind)
        names = {camel(f.name): f.name for f in dataclasses.fields(kind)}
        unknown = sorted(value.keys() - names.keys())
        if unknown:
            prefix = f"{where}/" if where else ""
            raise ConfigError(f"{prefix}{unknown[0]}: is not a setting; there are {', '.join(sorted(names))}")
        return kind(
            **{
                names[key]: _read(hints[names[key]], item, f"{where}/{key}".lstrip("/"))
                for key, item in value.items()
            }
        )
    origin, arguments = getattr(kind, "__origin__", None), get_args(kind)
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: must be an object")
        if arguments[1] is Any:
            return value
        return {str(key): _read(arguments[1], item, f"{where}/{key}") for key, item in value.items()}
    if origin is list:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: must be a list")
        return [_read(arguments[0], item, where) for item in value]
    kinds = arguments or (kind,)
    if isinstance(value, dict):
        for each in filter(dataclasses.is_dataclass, kinds):
            return _read(each, value, where)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not any(type(value) is each for each in kinds):
        raise ConfigError(f"{where}: {value!r} is not {' or '.join(each.__name__ for each in kinds)}")
    return value
