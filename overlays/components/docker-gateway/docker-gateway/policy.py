"""What is mapped, ignored with a reason, or refused by name, for every field of the create request.

The tables are complete: a test compares them with model.py, so that a new field cannot pass unnoticed. A
refusal speaks to the author of the DAG: the parameter, why, and the way out. A field asks for something only
if it is set (is_set).
"""

# ruff: noqa: SIM905
from __future__ import annotations

import fnmatch
import ipaddress
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

from .backend import Refusal
from .model import Create, is_set

_DIND = "run the task on a queue of a worker group in mode dind"
_NODE = (
    "it reaches outside the container, into the node that other people's tasks share; remove it, or " + _DIND
)
_TUNING = "a pod has no such setting; remove it"
_LIMITS = "a pod has no such setting; use mem_limit and cpus"
_STDIN = "a task has no one at its standard input; remove it"

#: Fields of HostConfig that the cluster backend refuses when set: name -> why, and the way out.
CLUSTER_HOST_REFUSED = {
    "privileged": "a privileged container is root on the node; remove it, or " + _DIND,
    "cap_add": "task pods hold no capabilities; remove it, or " + _DIND,
    "devices": _NODE,
    "device_cgroup_rules": _NODE,
    "volumes_from": "another container's volumes cannot be mounted; use a volume that is allowed",
    "volume_driver": "volumes are claims that the administrator allows by name; remove it",
    "links": "containers are not linked; give the other side's address in an environment variable",
    "port_bindings": "ports of a pod are not published on a node; reach the pod by its address, or remove it",
    "publish_all_ports": "ports of a pod are not published on a node; remove it",
    "uts_mode": _NODE,
    "userns_mode": _NODE,
    "cgroup_parent": _NODE,
    "sysctls": "a task may not tune the kernel; remove it",
    "runtime": "the runtime is the administrator's choice; remove it",
    "isolation": "is for Windows; remove it",
    "init_path": _TUNING,
    "init": "a pod has no --init; let the command reap its children, or start it with an image that has tini",
    "storage_opt": _TUNING,
    "kernel_memory": _LIMITS,
    "oom_kill_disable": _LIMITS,
    "cpuset_cpus": _LIMITS,
    "cpuset_mems": _LIMITS,
    "cpu_realtime_period": _LIMITS,
    "cpu_realtime_runtime": _LIMITS,
    "cpu_count": _LIMITS,
    "cpu_percent": _LIMITS,
    "blkio_weight": _LIMITS,
    "blkio_weight_device": _LIMITS,
    "blkio_read_bps": _LIMITS,
    "blkio_write_bps": _LIMITS,
    "blkio_read_iops": _LIMITS,
    "blkio_write_iops": _LIMITS,
    "lxc_conf": _TUNING,
}
#: Fields of HostConfig that make no difference to a pod: name -> why.
CLUSTER_HOST_IGNORED = {
    "memory_swap": "nodes of a cluster do not swap for a pod",
    "memory_swappiness": "nodes of a cluster do not swap for a pod",
    "oom_score_adj": "the kubelet sets it from the resources",
    "pids_limit": "the kubelet has its own limit",
    "cap_drop": "every capability is dropped",
}
CLUSTER_HOST_MAPPED = frozenset(
    "memory memory_reservation shm_size cpu_shares cpu_quota cpu_period nano_cpus ulimits mounts"
    " binds tmpfs readonly_rootfs network_mode dns dns_search dns_options extra_hosts security_opt"
    " device_requests group_add pid_mode ipc_mode cgroupns_mode log_config restart_policy auto_remove".split()
)
#: The same for the fields outside HostConfig.
CLUSTER_REFUSED = {
    "domainname": "a pod has no NIS domain; use extra_hosts or dns_search",
    "open_stdin": _STDIN,
    "stdin_once": _STDIN,
    "attach_stdin": _STDIN,
    "volumes": "an anonymous volume cannot be filled from the image; use a tmpfs mount, or a volume that the"
    " administrator allows",
    "mac_address": "a pod's network address is the cluster's; remove it",
    "runtime": "the runtime is the administrator's choice; remove it",
    "networking": "use network_mode",
}
CLUSTER_IGNORED = {
    "attach_stdout": "output is always there to attach to",
    "attach_stderr": "output is always there to attach to",
    "exposed_ports": "documentation only",
    "healthcheck": "nothing asks for a task's health",
}
CLUSTER_MAPPED = frozenset(
    "name platform image entrypoint cmd env user working_dir hostname labels tty network_disabled"
    " stop_signal stop_timeout host".split()
)

_OWN_LIMITS = "the administrator sets this limit; remove it"
#: The same for the daemon backend.
DAEMON_HOST_REFUSED = {
    "privileged": "a privileged container is root on the node; remove it, or " + _DIND,
    "cap_add": "capabilities lead into the node; remove it, or " + _DIND,
    "devices": _NODE,
    "device_cgroup_rules": _NODE,
    "volumes_from": "another container's volumes cannot be mounted; use a volume that is allowed",
    "volume_driver": "a volume's driver is the administrator's choice; remove it",
    "links": "containers are not linked; give the other side's address in an environment variable",
    "port_bindings": "ports of the node are not given to tasks; remove it, or " + _DIND,
    "publish_all_ports": "ports of the node are not given to tasks; remove it",
    "uts_mode": _NODE,
    "userns_mode": _NODE,
    "cgroup_parent": _NODE,
    "sysctls": "a task may not tune the kernel; remove it",
    "runtime": "the runtime is the administrator's choice; remove it",
    "isolation": "is for Windows; remove it",
    "init_path": _OWN_LIMITS,
    "storage_opt": _OWN_LIMITS,
    "kernel_memory": _OWN_LIMITS,
    "memory_swap": _OWN_LIMITS,
    "memory_swappiness": _OWN_LIMITS,
    "oom_kill_disable": "a task that cannot be killed can stop the node; remove it",
    "oom_score_adj": _OWN_LIMITS,
    "cpuset_cpus": _OWN_LIMITS,
    "cpuset_mems": _OWN_LIMITS,
    "cpu_realtime_period": _OWN_LIMITS,
    "cpu_realtime_runtime": _OWN_LIMITS,
    "cpu_count": _OWN_LIMITS,
    "cpu_percent": _OWN_LIMITS,
    "blkio_weight": _OWN_LIMITS,
    "blkio_weight_device": _OWN_LIMITS,
    "blkio_read_bps": _OWN_LIMITS,
    "blkio_write_bps": _OWN_LIMITS,
    "blkio_read_iops": _OWN_LIMITS,
    "blkio_write_iops": _OWN_LIMITS,
    "lxc_conf": _OWN_LIMITS,
}
#: Passed on as they are, or after a look at their values.
DAEMON_HOST_PASSED = frozenset(
    "memory memory_reservation shm_size pids_limit cpu_shares cpu_quota cpu_period nano_cpus ulimits mounts"
    " binds tmpfs readonly_rootfs network_mode dns dns_search dns_options extra_hosts cap_drop security_opt"
    " device_requests group_add pid_mode ipc_mode cgroupns_mode init log_config restart_policy"
    " auto_remove".split()
)
DAEMON_REFUSED = {
    "open_stdin": _STDIN,
    "stdin_once": _STDIN,
    "attach_stdin": _STDIN,
    "mac_address": "the network is the administrator's; remove it",
    "runtime": "the runtime is the administrator's choice; remove it",
    "networking": "use network_mode",
}
DAEMON_PASSED = frozenset(
    "name platform image entrypoint cmd env user working_dir hostname domainname labels tty attach_stdout"
    " attach_stderr exposed_ports volumes network_disabled stop_signal stop_timeout healthcheck host".split()
)

#: Names of fields as DockerOperator's authors write them, where they differ.
_PARAMETERS = {"networking": "networking_config"}

_IMAGE = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,128})?\Z"
)
HOSTNAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\.?\Z"
)
_SIZE = re.compile(r"([0-9]{1,15})([bkmgt]?)b?\Z", re.IGNORECASE)


def check_cluster(request: Create) -> list[str]:
    """Refuse what a pod cannot honour; gives notes on what was ignored. Raises Refusal."""
    host = request.host
    _check_tables(request, CLUSTER_HOST_REFUSED, CLUSTER_REFUSED)
    _check_common(request)
    if request.stop_signal not in ("", "SIGTERM", "TERM", "15"):
        raise Refusal("stop_signal", "a pod is stopped with SIGTERM; remove it, or let the command trap TERM")
    ignored = [
        f"{name}: ignored, {why}"
        for owner, table in ((host, CLUSTER_HOST_IGNORED), (request, CLUSTER_IGNORED))
        for name, why in table.items()
        if is_set(owner, name) and name not in ("attach_stdout", "attach_stderr")
    ]
    return ignored


def check_daemon(request: Create) -> None:
    """Refuse what would lead out of a container on the node. Raises Refusal."""
    _check_tables(request, DAEMON_HOST_REFUSED, DAEMON_REFUSED)
    _check_common(request)


def _check_tables(request: Create, host: Mapping[str, str], rest: Mapping[str, str]) -> None:
    for owner, table in ((request.host, host), (request, rest)):
        for name, why in table.items():
            if is_set(owner, name):
                raise Refusal(_PARAMETERS.get(name, name), why)


def _check_private(field: str, mode: str, allowed: Sequence[str]) -> None:
    """Refuse a namespace that is the host's or another container's."""
    if mode not in allowed:
        raise Refusal(field, f"{mode[:80]!r} shares what is the host's or another container's; remove it")


def _check_common(request: Create) -> None:
    """Refuse what neither backend does."""
    host = request.host
    _check_private("pid_mode", host.pid_mode, ("", "private"))
    _check_private("ipc_mode", host.ipc_mode, ("", "private", "none"))
    _check_private("cgroupns_mode", host.cgroupns_mode, ("", "private"))
    for option in host.security_opt:
        if option not in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"):
            raise Refusal("security_opt", f"{option[:80]!r} is the administrator's choice; remove it")
    policy, log = request.host.restart_policy, request.host.log_config
    if policy.name not in ("", "no"):
        raise Refusal("restart_policy", "a task runs once; use the task's `retries`")
    if log.type not in ("", "json-file", "local"):
        raise Refusal(
            "log_config", f"the driver {log.type[:40]!r} would take the output away from Airflow; remove it"
        )
    unknown = log.config.keys() - {"max-size", "max-file", "compress", "mode", "max-buffer-size"}
    if unknown:
        raise Refusal("log_config", f"the option {min(unknown)[:40]!r} is not known; remove it")


def check_image(image: str, patterns: Iterable[str], setting: str) -> None:
    """Refuse what is no image reference or matches no pattern of `setting`."""
    if len(image) > 512 or not _IMAGE.match(image):
        raise Refusal("image", f"{image[:200]!r} is not an image's name")
    if not any(fnmatch.fnmatchcase(image, pattern) for pattern in patterns):
        raise Refusal("image", f"{image!r} matches none of the allowed images; ask for it in {setting}")


def registry_of(image: str) -> str:
    """Give the registry's host of an image's name, `docker.io` where it names none."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def check_target(field: str, target: str) -> str:
    """Give a mount point in its shortest form; refuse what is none or would hide what a container needs."""
    clean = posixpath.normpath(target)
    if not target.startswith("/") or ".." in target.split("/") or ":" in target or len(target) > 1024:
        raise Refusal(field, f"the mount point {target[:200]!r} is not an absolute path without '..' and ':'")
    clean = "/" + clean.lstrip("/")
    for reserved in ("/proc", "/sys", "/dev"):
        if clean == reserved or (clean.startswith(reserved + "/") and not clean.startswith("/dev/shm")):  # noqa: S108
            raise Refusal(field, f"nothing may be mounted at {clean}")
    if clean == "/":
        raise Refusal(field, "nothing may be mounted at /")
    return clean


def parse_user(user: str) -> tuple[int | None, int | None]:
    """Give uid and gid of a `user`, None for what it leaves open. Raises Refusal."""
    if not user:
        return None, None
    name, colon, group = user.partition(":")
    numbers = []
    for part, word in ((name, "user"), (group, "group")):
        if part == "root":
            numbers.append(0)
        elif re.fullmatch(r"[0-9]{1,10}", part) and int(part) < 2**31:
            numbers.append(int(part))
        elif part or word == "user":
            raise Refusal(
                "user", f"the {word} {part[:40]!r} is a name, which only the image knows; give its number"
            )
    return numbers[0], numbers[1] if colon and len(numbers) > 1 else None


def parse_size(field: str, text: str) -> int:
    """Give the bytes of a size such as 64m. Raises Refusal."""
    match = _SIZE.match(text)
    if not match:
        raise Refusal(field, f"{text[:40]!r} is not a size such as 64m")
    unit = (match[2] or "b").lower()
    return int(match[1]) << 10 * "bkmgt".index(unit)


def parse_host(entry: str) -> tuple[str, str]:
    """Give name and address of an entry of extra_hosts. Raises Refusal."""
    name, colon, address = entry.partition(":")
    if address == "host-gateway":
        raise Refusal("extra_hosts", "a pod has no host-gateway; give the address, or use a Service's name")
    if not colon or not _DNS_NAME.match(name.lower()):
        raise Refusal("extra_hosts", f"{entry[:200]!r} is not a host name and an address")
    return name, check_address("extra_hosts", address.strip("[]"))


def check_address(field: str, address: str) -> str:
    """Refuse what is no IP address."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise Refusal(field, f"{address[:80]!r} is not an IP address") from None


def check_dns_name(field: str, name: str) -> str:
    """Refuse what is no DNS name."""
    if not _DNS_NAME.match(name.lower()):
        raise Refusal(field, f"{name[:80]!r} is not a domain's name")
    return name


def tmpfs_size(options: str) -> int:
    """Give the size of a tmpfs's options in bytes, 0 for none; refuse options that are not known."""
    size = 0
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size":
            size = parse_size("tmpfs", value)
        elif key not in ("rw", "ro", "mode", "noexec", "exec", "nosuid", "nodev", "uid", "gid"):
            raise Refusal("tmpfs", f"the option {key[:40]!r} is not known; use size and mode")
    return size
