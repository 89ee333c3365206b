"""One container of the Docker API as a pod: manifest building, with no request to anything.

The pod passes the Pod Security Standard "restricted". Every `$` is written `$$`: the kubelet expands $(NAME).
"""

from __future__ import annotations

import json
import math
import posixpath
import re
from dataclasses import dataclass
from typing import Any

from . import policy, retrieval
from .backend import Refusal
from .model import Create, Mount
from .settings import Tasks, Volume

#: Labels. The owner is the worker's pod, the container's label the first 32 characters of its id.
OWNER = "airdock.dev/gateway"
CONTAINER = "airdock.dev/container-id"
GROUP = "airdock.dev/worker-group"
#: Labels on the create request that the cluster policy sets.
RETRIEVE = "airdock.dev/retrieve-output"
XCOM_ALL = "airdock.dev/xcom-all"
DAG, TASK, RUN = "airdock.dev/dag-id", "airdock.dev/task-id", "airdock.dev/run-id"
_OWN = (RETRIEVE, XCOM_ALL, DAG, TASK, RUN, "airdock.dev/map-index", "airdock.dev/try-number")
#: NetworkPolicies of the chart select it.
NETWORK = "airdock.dev/network"
MAIN = "container"
#: Bytes; etcd takes 1.5 MiB, and the cluster adds to a pod.
MAX_MANIFEST = 1024 * 1024
_HOME = "/home/airdock"
_TMP_PREFIX = "airflowtmp"
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
_LABEL_NAME = re.compile(
    r"(?:([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z"
)
_RESERVED = re.compile(r"(?:.*\.)?(?:airdock\.dev|kubernetes\.io|k8s\.io)\Z")
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True)
class Built:
    """A pod for a container. `notes` say what was ignored; `retrieve` is the path to give back, or empty."""

    manifest: dict[str, Any]
    notes: list[str]
    retrieve: str
    xcom_all: bool


def build(
    request: Create, container: str, owner: str, group: str, tasks: Tasks, *, always_pull: bool, userns: bool
) -> Built:
    """Build the pod, or raise Refusal. `userns`: root is allowed, in a user namespace."""
    notes = policy.check_cluster(request)
    policy.check_image(request.image, tasks.images, "tasks.images")
    mounts = _Mounts(tasks)
    mounts.add_all(request)
    uid, gid = policy.parse_user(request.user)
    retrieve = _retrieve_path(request)
    if retrieve:
        mounts.share(retrieve)

    main: dict[str, Any] = {
        "name": MAIN,
        "image": request.image,
        "imagePullPolicy": "Always" if always_pull else "IfNotPresent",
        "resources": _resources(request, tasks),
        "securityContext": {**_RESTRICTED, "readOnlyRootFilesystem": request.host.readonly_rootfs},
        **_command(request),
    }
    env = _environment(request)
    security: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    spec: dict[str, Any] = {}
    if uid is None and not userns:
        uid = tasks.user
        if uid and "HOME" not in env:
            # A uid that the image does not know has / for its home, and cannot write there.
            env["HOME"] = _HOME
            mounts.empty_dir(_HOME, {"sizeLimit": tasks.tmp_size_limit})
    if uid == 0 and not userns:
        raise Refusal(
            "user",
            "root is not allowed in this cluster's task pods; give another number, or ask the administrator"
            " for tasks.userNamespaces, with which root of the container is nobody outside it",
        )
    if userns:
        spec["hostUsers"] = False
    else:
        security["runAsNonRoot"] = True
    for key, number in (("runAsUser", uid), ("runAsGroup", gid)):
        if number is not None:
            security[key] = number
    if request.host.group_add:
        security["supplementalGroups"] = [_group(each) for each in request.host.group_add]
    if env:
        main["env"] = [{"name": name, "value": value.replace("$", "$$")} for name, value in env.items()]
    if request.working_dir:
        if not request.working_dir.startswith("/"):
            raise Refusal("working_dir", f"{request.working_dir[:200]!r} is not an absolute path")
        main["workingDir"] = request.working_dir
    if request.tty:
        main["tty"] = True
    if mounts.mounts:
        main["volumeMounts"] = list(mounts.mounts.values())
    if request.host.ulimits:
        if tasks.ulimits == "refuse":
            raise Refusal("ulimits", "a pod has no ulimits; remove it")
        notes.append("ulimits: ignored, a pod has none")

    labels = {**tasks.pod_labels, **_author_labels(request.labels)}
    labels |= _network(request, tasks)
    labels |= {"app.kubernetes.io/managed-by": "airdock", OWNER: owner, CONTAINER: container[:32]}
    if group:
        labels[GROUP] = group
    spec |= {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _grace(request),
        "securityContext": security,
        "containers": [main],
        **_names(request),
        **tasks.pod,
    }
    if tasks.service_account:
        spec["serviceAccountName"] = tasks.service_account
    secrets = list(tasks.image_pull_secrets)
    registry = tasks.registries.get(policy.registry_of(request.image))
    if registry and registry.pull_secret:
        secrets.append(registry.pull_secret)
    if secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in dict.fromkeys(secrets)]
    if mounts.volumes:
        spec["volumes"] = mounts.volumes
    if retrieve:
        # Without a uid, the container's is its image's, which nobody knows; the sidecar's image may say root.
        unknown = 50000 if uid is None and not userns else None
        sidecar = retrieval.sidecar(
            tasks.retrieve_image, tasks.retrieve_pull_policy, retrieve, mounts.mount_of(retrieve), unknown
        )
        spec["initContainers"] = [sidecar]
    if request.platform:
        spec["nodeSelector"] = {**spec.get("nodeSelector", {}), **_platform(request.platform)}
    annotations = dict(tasks.pod_annotations) | {CONTAINER: container}
    if request.name:
        annotations["airdock.dev/container-name"] = request.name[:256]
    if request.labels:
        annotations["airdock.dev/docker-labels"] = json.dumps(request.labels)
    name = (
        re.sub(r"[^a-z0-9]+", "-", (request.name or policy_name(request.image)).lower())
        .strip("-")[:40]
        .strip("-")
    )
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name or 'container'}-{container[:12]}",
            "namespace": tasks.namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": spec,
    }
    size = len(json.dumps(manifest))
    if size > MAX_MANIFEST:
        raise Refusal(
            "environment",
            f"with its command it makes a pod of {size} bytes, and a pod has {MAX_MANIFEST} at most; give"
            " large data as a file on a volume or as an address",
        )
    return Built(manifest, notes, retrieve, request.labels.get(XCOM_ALL, "").lower() in ("1", "true"))


def policy_name(image: str) -> str:
    """Give the last part of an image's name, without tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _command(request: Create) -> dict[str, Any]:
    """Map entrypoint and cmd to command and args; an empty entrypoint clears the image's."""
    entrypoint = None if request.entrypoint is None else list(request.entrypoint)
    args = list(request.cmd or ())
    if entrypoint in ([], [""]):
        if not args:
            raise Refusal(
                "entrypoint", "it is empty, and there is no command: nothing says what to run; give a command"
            )
        entrypoint, args = args, []
    result = {}
    if entrypoint:
        result["command"] = [part.replace("$", "$$") for part in entrypoint]
    if args:
        result["args"] = [part.replace("$", "$$") for part in args]
    return result


def _environment(request: Create) -> dict[str, str]:
    env: dict[str, str] = {}
    for entry in request.env:
        name, equals, value = entry.partition("=")
        if not name or not name.isascii() or not name.isprintable():
            raise Refusal("environment", f"{name[:80]!r} is not the name of a variable")
        env.pop(name, None)
        if equals:
            env[name] = value
    return env


def _resources(request: Create, tasks: Tasks) -> dict[str, Any]:
    host = request.host
    requests = dict(tasks.resources.get("requests") or {})
    limits = dict(tasks.resources.get("limits") or {})
    for name in (
        "memory",
        "memory_reservation",
        "shm_size",
        "cpu_shares",
        "nano_cpus",
        "cpu_quota",
        "cpu_period",
    ):
        if getattr(host, name) < 0 and not (name == "cpu_quota" and host.cpu_quota == -1):
            raise Refusal({"memory": "mem_limit", "cpu_shares": "cpus"}.get(name, name), "is negative")
    if host.memory:
        limits["memory"] = str(host.memory)
        if quantity(requests.get("memory", "0")) > host.memory:
            requests["memory"] = str(host.memory)
    if host.memory_reservation:
        requests["memory"] = str(host.memory_reservation)
    cpus = 0.0
    # 1024 is DockerOperator's default and says nothing about the task.
    if host.cpu_shares not in (0, 1024):
        cpus = host.cpu_shares / 1024
        requests["cpu"] = f"{max(1, round(cpus * 1000))}m"
        if "cpu" in limits and quantity(limits["cpu"]) < cpus:
            limits["cpu"] = requests["cpu"]
    ceiling = host.nano_cpus / 1e9 or (
        host.cpu_quota / (host.cpu_period or 100_000) if host.cpu_quota > 0 else 0
    )
    if ceiling:
        limits["cpu"] = f"{max(1, math.ceil(ceiling * 1000))}m"
        if quantity(requests.get("cpu", "0")) > ceiling:
            requests["cpu"] = limits["cpu"]
    gpus = _gpus(request)
    if gpus:
        limits[tasks.gpu_resource] = str(gpus)
    return {"requests": requests, "limits": limits}


def _gpus(request: Create) -> int:
    count = 0
    for each in request.host.device_requests:
        kinds = {kind for group in each.capabilities for kind in group}
        if (
            each.driver not in ("", "nvidia")
            or not kinds <= {"gpu", "nvidia", "compute", "utility"}
            or each.options
        ):
            raise Refusal(
                "device_requests", "only GPUs can be asked for: driver 'nvidia', capabilities [['gpu']]"
            )
        if each.device_ids or each.count < 0:
            raise Refusal(
                "device_requests", "the cluster chooses which GPUs a pod gets; give `count`, 1 or more"
            )
        count += each.count
    return count


def quantity(text: Any) -> float:
    """Give a Kubernetes quantity as a number; 0 for what is none."""
    match = re.fullmatch(r"([0-9.]+)([numkMGTPE]?i?)", str(text))
    if not match:
        return 0.0
    units = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}
    for power, unit in enumerate("kMGTPE", 1):
        units[unit], units[unit + "i"] = 1000.0**power, 1024.0**power
    units["Ki"] = 1024.0
    return float(match[1]) * units.get(match[2], 0.0)


class _Mounts:
    """Volumes and where they are mounted."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.volumes: list[dict[str, Any]] = []
        self.mounts: dict[str, dict[str, Any]] = {}

    def add_all(self, request: Create) -> None:
        host = request.host
        for mount in host.mounts:
            self._add(mount)
        for entry in host.binds:
            source, _, rest = entry.partition(":")
            target, _, mode = rest.partition(":")
            if set(mode.split(",")) - {"", "ro", "rw", "z", "Z", "rprivate", "private"}:
                raise Refusal("binds", f"the mode {mode[:40]!r} is not known; use ro or rw")
            kind = "bind" if source.startswith("/") else "volume"
            self._add(Mount(target, source, kind, "ro" in mode.split(",")))
        for target, options in host.tmpfs.items():
            self.memory(policy.check_target("tmpfs", target), policy.tmpfs_size(options))
        if host.shm_size:
            self.memory("/dev/shm", host.shm_size)  # noqa: S108

    def _add(self, mount: Mount) -> None:
        target = policy.check_target("mounts", mount.target)
        if mount.type == "tmpfs":
            return self.memory(target, mount.tmpfs.size)
        if mount.type == "bind":
            name = posixpath.basename(mount.source)
            if name.startswith(_TMP_PREFIX):
                # DockerOperator's temporary directory: empty before, thrown away after. No message may hold
                # its path, or DockerOperator would run the task without it.
                return self.empty_dir(target, {"sizeLimit": self._tasks.tmp_size_limit})
            allowed = self._tasks.binds.get(posixpath.normpath(mount.source))
            if allowed is None or ".." in mount.source.split("/"):
                raise Refusal(
                    "mounts",
                    f"the directory {mount.source[:200]!r} is on no node of the cluster; use a volume, or ask"
                    " the administrator to map it to a claim in tasks.binds",
                )
            if mount.bind.propagation not in ("", "rprivate", "private"):
                raise Refusal("mounts", "mount propagation is not available; remove it")
            return self._claim(target, allowed, mount)
        if mount.type == "volume" or not mount.type:
            allowed = self._tasks.claims.get(mount.source)
            if allowed is None:
                what = f"the volume {mount.source[:80]!r}" if mount.source else "an anonymous volume"
                names = ", ".join(sorted(self._tasks.claims)) or "none"
                raise Refusal("mounts", f"{what} is not among the allowed ones (tasks.claims has {names})")
            if mount.volume.driver_config.name or mount.volume.driver_config.options:
                raise Refusal(
                    "mounts", "a volume's driver is the administrator's choice; remove driver_config"
                )
            return self._claim(target, allowed, mount)
        raise Refusal("mounts", f"the type {mount.type[:40]!r} is not known; use volume or tmpfs")

    def _claim(self, target: str, allowed: Volume, mount: Mount) -> None:
        name = next(
            (
                v["name"]
                for v in self.volumes
                if v.get("persistentVolumeClaim", {}).get("claimName") == allowed.claim_name
            ),
            "",
        )
        if not name:
            name = f"volume-{len(self.volumes)}"
            self.volumes.append({"name": name, "persistentVolumeClaim": {"claimName": allowed.claim_name}})
        extra: dict[str, Any] = {}
        if ".." in mount.volume.subpath.split("/") or mount.volume.subpath.startswith("/"):
            raise Refusal("mounts", "a subpath is relative and has no '..'")
        sub_path = "/".join(filter(None, (allowed.sub_path, mount.volume.subpath)))
        if sub_path:
            extra["subPath"] = sub_path
        if mount.read_only or allowed.read_only:
            extra["readOnly"] = True
        self._mount(target, name, **extra)

    def memory(self, target: str, size: int) -> None:
        """Mount memory; `size` in bytes, 0 for the container's limit."""
        if size < 0:
            raise Refusal("tmpfs", "a size is negative")
        self.empty_dir(target, {"medium": "Memory", **({"sizeLimit": str(size)} if size else {})})

    def empty_dir(self, target: str, source: dict[str, Any]) -> None:
        """Mount an empty directory."""
        name = f"volume-{len(self.volumes)}"
        self.volumes.append({"name": name, "emptyDir": source})
        self._mount(target, name)

    def _mount(self, target: str, name: str, **extra: Any) -> None:
        if target in self.mounts:
            raise Refusal("mounts", f"two mounts have the same mount point {target}")
        self.mounts[target] = {"name": name, "mountPath": target, **extra}

    def mount_of(self, path: str) -> dict[str, Any]:
        """Give the innermost mount that holds a path."""
        covering = [t for t in self.mounts if path.startswith(t + "/")]
        return self.mounts[max(covering, key=len)] if covering else {}

    def share(self, path: str) -> None:
        """See to it that a sidecar can read a file: its directory must be a volume."""
        if self.mount_of(path):
            return
        if posixpath.dirname(path) != "/tmp":  # noqa: S108
            raise Refusal(
                "retrieve_output_path",
                f"the file {path[:200]!r} is on no volume, so that it ends with the container; write it below"
                " /tmp or in the directory that AIRFLOW_TMP_DIR names",
            )
        self.empty_dir("/tmp", {"sizeLimit": self._tasks.tmp_size_limit})  # noqa: S108


def _retrieve_path(request: Create) -> str:
    path = request.labels.get(RETRIEVE, "")
    if not path and any(entry.startswith("__PYTHON_SCRIPT=") for entry in request.env):
        path = "/tmp/script.out"  # noqa: S108  (@task.docker, from a worker without the cluster policy)
    if not path:
        return ""
    if not path.startswith("/") or ".." in path.split("/") or path.endswith("/") or not path.isprintable():
        raise Refusal("retrieve_output_path", f"{path[:200]!r} is not the absolute path of a file")
    return posixpath.normpath(path)


def _author_labels(labels: dict[str, str]) -> dict[str, str]:
    """Give the labels that Kubernetes can hold; all of them are in an annotation as well."""
    result = {}
    for name, value in labels.items():
        match = _LABEL_NAME.match(name)
        if not match or len(name) > 316:
            continue
        if match[1] and _RESERVED.match(match[1]) and name not in _OWN:
            if match[1] == "airdock.dev":
                raise Refusal(
                    "labels", f"{name!r}: labels of airdock.dev are the gateway's own; use another prefix"
                )
            continue
        if _LABEL_VALUE.match(value):
            result[name] = value
    return result


def _network(request: Create, tasks: Tasks) -> dict[str, str]:
    mode = request.host.network_mode
    if request.network_disabled or mode == "none":
        return {NETWORK: "none"}
    if mode in ("", "default", "bridge"):
        return {}
    if mode in tasks.networks:
        return dict(tasks.networks[mode].labels)
    if mode == "host" or mode.startswith("container:"):
        raise Refusal(
            "network_mode", f"{mode[:80]!r} is the node's or another container's network; remove it"
        )
    names = ", ".join(sorted(tasks.networks)) or "none"
    raise Refusal(
        "network_mode", f"the network {mode[:80]!r} is not mapped (tasks.networks has {names}); remove it"
    )


def _names(request: Create) -> dict[str, Any]:
    host = request.host
    result: dict[str, Any] = {}
    if request.hostname:
        if not policy.HOSTNAME.match(request.hostname):
            raise Refusal(
                "hostname", f"{request.hostname[:80]!r} is not a name of small letters, digits and '-'"
            )
        result["hostname"] = request.hostname
    if len(host.dns) > 3:
        raise Refusal("dns", "a pod has three name servers at most")
    dns: dict[str, Any] = {}
    if host.dns:
        dns["nameservers"] = [policy.check_address("dns", each) for each in host.dns]
        result["dnsPolicy"] = "None"
    if host.dns_search:
        dns["searches"] = [
            policy.check_dns_name("dns_search", each) for each in host.dns_search if each != "."
        ]
    if host.dns_options:
        pairs = [each.partition(":") for each in host.dns_options]
        dns["options"] = [
            {"name": name, **({"value": value} if colon else {})} for name, colon, value in pairs
        ]
    if dns:
        result["dnsConfig"] = dns
    addresses: dict[str, list[str]] = {}
    for entry in host.extra_hosts:
        name, address = policy.parse_host(entry)
        addresses.setdefault(address, []).append(name)
    if addresses:
        result["hostAliases"] = [{"ip": address, "hostnames": names} for address, names in addresses.items()]
    return result


def _group(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) >= 2**31:
        raise Refusal("group_add", f"{text[:40]!r} is a name, which only the image knows; give its number")
    return int(text)


def _grace(request: Create) -> int:
    return min(max(10 if request.stop_timeout is None else request.stop_timeout, 0), 300)


def _platform(platform: str) -> dict[str, str]:
    system, _, architecture = platform.partition("/")
    if system != "linux" or not re.fullmatch(r"[a-z0-9]{0,16}", architecture):
        raise Refusal("platform", f"{platform[:40]!r} is not linux, or linux/amd64 and the like")
    selector = {"kubernetes.io/os": "linux"}
    return selector | ({"kubernetes.io/arch": architecture} if architecture else {})
