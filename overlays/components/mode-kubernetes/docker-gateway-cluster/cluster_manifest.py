"""One container of the Docker API as a pod: manifest building, with no request to anything.

The pod passes the Pod Security Standard "restricted". Every `$` is written `$$`: the kubelet expands $(NAME).
"""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass
from typing import Any

from . import cluster_policy, cluster_resources, cluster_retrieval, devices, fields
from .backend import Refusal
from .cluster_judgement import MAIN
from .cluster_users import Way
from .cluster_volumes import Volumes
from .labels import CONTAINER, GROUP, NETWORK, OWNER, POLICY, RETRIEVE, XCOM_ALL
from .model import Create
from .settings import Settings, Tasks

#: Bytes; etcd takes 1.5 MiB, and the cluster adds to a pod.
MAX_MANIFEST = 1024 * 1024
#: Seconds that a container may take to end.
MAX_GRACE = 300
_USER, _HOME = "airdock", "/home/airdock"
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
_LABEL_NAME = re.compile(
    r"(?:([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z"
)
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True)
class Built:
    """A pod for a container. `notes` say what was ignored; `retrieve` is the path to give back, or empty.

    `size` is its bytes as JSON.
    """

    manifest: dict[str, Any]
    notes: list[str]
    retrieve: str
    xcom_all: bool
    size: int


def build(request: Create, container: str, settings: Settings, *, always_pull: bool, way: Way) -> Built:
    """Build the pod, or raise Refusal. `way`: what decides the user."""
    tasks = settings.tasks
    notes = cluster_policy.check(request)
    if request.attach_stdin:
        cluster_policy.check_input(tasks)
    if request.host.ulimits:
        if tasks.ulimits == "refuse":
            raise Refusal("ulimits", "pods have no ulimits; remove it")
        notes.append("ulimits: ignored, pods have none")
    check_image(request.image, tasks)
    volumes = Volumes(tasks)
    volumes.add_all(request)
    retrieve = _retrieve_path(request)
    shared = volumes.share(retrieve) if retrieve else None
    gpus = cluster_resources.requested_gpus(request, tasks.gpus_per_container)
    env = _environment(request, tasks, gpus > 0)
    userns = way is Way.NAMESPACE
    security = _security(request, tasks, way)
    if way is Way.NUMBER:
        # A uid that the image does not know has no name, and / for its home, where it cannot write.
        env = {"USER": _USER, "LOGNAME": env.get("USER", _USER), **env}
        if "HOME" not in env:
            env["HOME"] = _HOME
            if _HOME not in volumes.mounts:
                volumes.empty_dir(_HOME)
    spec: dict[str, Any] = {
        **({"hostUsers": False} if userns else {}),
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace(request),
        "securityContext": security,
        "containers": [_main(request, tasks, env, volumes, always_pull)],
        **_network_names(request),
        **tasks.pod,
    }
    if tasks.service_account:
        spec["serviceAccountName"] = tasks.service_account
    if secrets := _pull_secrets(request, tasks):
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    if volumes.volumes:
        spec["volumes"] = volumes.volumes
    if shared:
        # Without a uid, the container's is its image's, which nobody knows; the sidecar's image may say root.
        unknown = tasks.uid if "runAsUser" not in security and not userns else None
        spec["initContainers"] = cluster_retrieval.init_containers(tasks, shared, unknown)
        longest = min(cluster_retrieval.GRACE, tasks.max_grace_seconds)
        spec["terminationGracePeriodSeconds"] = max(grace(request), longest)
    if request.platform:
        spec["nodeSelector"] = {**spec.get("nodeSelector", {}), **_platform(request.platform)}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(request, container, settings),
        "spec": spec,
    }
    size = len(json.dumps(manifest))
    if size > MAX_MANIFEST:
        raise Refusal(
            "environment",
            f"the pod has {size} bytes with its command and environment, and {MAX_MANIFEST} is the maximum;"
            " pass large data as a file on a volume, or pass its address",
        )
    xcom_all = request.labels.get(XCOM_ALL, "").lower() in ("1", "true")
    return Built(manifest, notes, retrieve, xcom_all, size)


def check_image(image: str, tasks: Tasks) -> None:
    """Refuse an image that the admission policy would not let run."""
    read = fields.parse_image(image)
    if tasks.images:
        fields.check_image(read, tasks.images, image, "tasks.admission.images")


def grace(request: Create) -> int:
    """Give the seconds between SIGTERM and SIGKILL."""
    return min(max(10 if request.stop_timeout is None else request.stop_timeout, 0), MAX_GRACE)


def _security(request: Create, tasks: Tasks, way: Way) -> dict[str, Any]:
    """Give the pod's security context. Only in a user namespace may the user be root."""
    uid, gid = fields.parse_user(request.user)
    if way is Way.NUMBER:
        uid = tasks.uid
    security: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if way is not Way.NAMESPACE:
        security["runAsNonRoot"] = True
    for key, number in (("runAsUser", uid), ("runAsGroup", gid)):
        if number is not None:
            security[key] = number
    if request.host.group_add:
        security["supplementalGroups"] = [fields.parse_group(each) for each in request.host.group_add]
    return security


def _main(
    request: Create, tasks: Tasks, env: dict[str, str], volumes: Volumes, always_pull: bool
) -> dict[str, Any]:
    main: dict[str, Any] = {
        "name": MAIN,
        "image": request.image,
        "imagePullPolicy": "Always" if always_pull else "IfNotPresent",
        "resources": cluster_resources.resources(request, tasks),
        "securityContext": {**_RESTRICTED, "readOnlyRootFilesystem": request.host.readonly_rootfs},
        **_command(request),
    }
    if env:
        main["env"] = [{"name": name, "value": value.replace("$", "$$")} for name, value in env.items()]
    if request.working_dir:
        if not request.working_dir.startswith("/"):
            raise Refusal("working_dir", f"{request.working_dir[:200]!r} must be an absolute path")
        main["workingDir"] = request.working_dir
    for key, wanted in (
        ("tty", request.tty),
        ("stdin", request.open_stdin),
        ("stdinOnce", request.stdin_once),
    ):
        if wanted:
            main[key] = True
    if volumes.mounts:
        main["volumeMounts"] = list(volumes.mounts.values())
    return main


def _metadata(request: Create, container: str, settings: Settings) -> dict[str, Any]:
    tasks = settings.tasks
    labels = {**_author_labels(request.labels, tasks), **tasks.pod_labels, **_network(request, tasks)}
    labels |= {
        "app.kubernetes.io/managed-by": "airdock",
        OWNER: settings.owner,
        CONTAINER: container[:32],
    }
    if settings.worker_group:
        labels[GROUP] = settings.worker_group
    annotations = {**tasks.pod_annotations, CONTAINER: container}
    if request.name:
        annotations["airdock.dev/container-name"] = request.name[:256]
    if request.labels:
        annotations["airdock.dev/docker-labels"] = json.dumps(request.labels)
    # The last part of the image's name, without tag and digest, where the client gave none.
    name = request.name or request.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    # With input, the admission policy lets only the gateway attach whose uid is in the name: 63 characters.
    middle, longest = (f"-{settings.owner}", 13) if request.open_stdin else ("", 40)
    return {
        "name": f"{name[:longest].strip('-') or 'container'}{middle}-{container[:12]}",
        "namespace": tasks.namespace,
        "labels": labels,
        "annotations": annotations,
    }


def _pull_secrets(request: Create, tasks: Tasks) -> list[str]:
    secrets = list(tasks.image_pull_secrets)
    registry = tasks.registries.get(fields.parse_image(request.image).registry)
    if registry and registry.pull_secret:
        secrets.append(registry.pull_secret)
    return list(dict.fromkeys(secrets))


def _command(request: Create) -> dict[str, Any]:
    """Map entrypoint and cmd to command and args; an empty entrypoint clears the image's."""
    entrypoint = None if request.entrypoint is None else list(request.entrypoint)
    args = list(request.cmd or ())
    if entrypoint in ([], [""]):
        if not args:
            raise Refusal("entrypoint", "it is empty, and there is no command to run; give a command")
        entrypoint, args = args, []
    result = {}
    if entrypoint:
        result["command"] = [part.replace("$", "$$") for part in entrypoint]
    if args:
        result["args"] = [part.replace("$", "$$") for part in args]
    return result


def _environment(request: Create, tasks: Tasks, gpus: bool) -> dict[str, str]:
    env = dict(tasks.env)
    for entry in request.env:
        name, equals, value = entry.partition("=")
        if not name or not name.isascii() or not name.isprintable():
            raise Refusal("environment", f"{name[:80]!r} is not the name of a variable; rename it")
        env.pop(name, None)
        if equals:
            env[name] = value
    # The device plugin sets them where a pod requests GPUs; otherwise the runtime's hook would add devices.
    env = {name: value for name, value in env.items() if not devices.requests_devices(name)}
    return env if gpus else {**env, devices.NVIDIA: "void"}


def _retrieve_path(request: Create) -> str:
    path = request.labels.get(RETRIEVE, "")
    if not path and any(entry.startswith("__PYTHON_SCRIPT=") for entry in request.env):
        path = "/tmp/script.out"  # noqa: S108  (@task.docker, from a worker without the cluster policy)
    if not path:
        return ""
    if not path.startswith("/") or ".." in path.split("/") or path.endswith("/") or not path.isprintable():
        raise Refusal("retrieve_output_path", f"{path[:200]!r} must be the absolute path of a file")
    return posixpath.normpath(path)


def _author_labels(labels: dict[str, str], tasks: Tasks) -> dict[str, str]:
    """Give the labels that Kubernetes can hold; all of them are in an annotation as well.

    Labels with a domain are left out: webhooks and controllers of the cluster act on them. Raises Refusal for
    those that the administrator sets.
    """
    result = {}
    reserved = {*tasks.reserved_labels, *tasks.pod_labels}.union(*(n.labels for n in tasks.networks.values()))
    for name, value in labels.items():
        match = _LABEL_NAME.match(name)
        if not match or len(name) > 316:
            continue
        if match[1] == "airdock.dev" and name not in POLICY:
            raise Refusal("labels", f"the gateway sets labels of airdock.dev; rename {name!r}")
        if name in reserved:
            raise Refusal(
                "labels",
                f"the administrator sets {name!r} (tasks.podLabels, tasks.networks); rename it, or set"
                " network_mode",
            )
        if match[1] and name not in POLICY:
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
            "network_mode", f"{mode[:80]!r} is the network of the node or of another container; remove it"
        )
    names = ", ".join(sorted(tasks.networks)) or "none"
    raise Refusal(
        "network_mode",
        f"the network {mode[:80]!r} is not mapped (tasks.networks has {names}); remove it, or ask the"
        " administrator to add it to tasks.networks",
    )


def _network_names(request: Create) -> dict[str, Any]:
    """Give the fields of the pod about its own name and those that it can look up."""
    host = request.host
    result: dict[str, Any] = {}
    if request.hostname:
        name = request.hostname.lower()
        if "." in name:
            first, _, rest = name.partition(".")
            raise Refusal(
                "hostname",
                f"the host name of a pod has no dots; use {first[:63]!r}, and extra_hosts to give"
                f" {name[:80]!r} an address, or dns_search=[{rest[:80]!r}]",
            )
        if not fields.HOSTNAME.match(name):
            raise Refusal("hostname", f"{request.hostname[:80]!r} must consist of letters, digits and '-'")
        result["hostname"] = name
    if len(host.dns) > 3:
        raise Refusal("dns", "a pod has at most three name servers; remove some")
    dns: dict[str, Any] = {}
    if host.dns:
        dns["nameservers"] = [fields.check_address("dns", each) for each in host.dns]
        result["dnsPolicy"] = "None"
    if host.dns_search:
        dns["searches"] = [
            fields.check_dns_name("dns_search", each) for each in host.dns_search if each != "."
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
        name, address = fields.parse_host(entry)
        addresses.setdefault(address, []).append(name)
    if addresses:
        result["hostAliases"] = [{"ip": address, "hostnames": names} for address, names in addresses.items()]
    return result


def _platform(platform: str) -> dict[str, str]:
    system, _, architecture = platform.partition("/")
    if system != "linux" or not re.fullmatch(r"[a-z0-9]{0,16}", architecture):
        raise Refusal("platform", f"{platform[:40]!r} is unknown; use linux, or linux/amd64 and the like")
    selector = {"kubernetes.io/os": "linux"}
    return selector | ({"kubernetes.io/arch": architecture} if architecture else {})
