"""What a pod honours, ignores with a reason, or refuses, for every field of the create request."""

# ruff: noqa: SIM905
from __future__ import annotations

from . import policy
from .backend import Refusal
from .model import Create, is_set
from .settings import Tasks

_TUNING = "pods have no such setting; remove it"
_LIMITS = "pods have no such setting; use mem_limit and cpus"

#: Fields of HostConfig that are refused when set, besides policy.HOST_REFUSED: name -> why, and the way out.
HOST_REFUSED = {
    "cap_add": f"task pods have no capabilities; remove it, or {policy.DIND}",
    "volume_driver": "volumes are claims that the administrator allows by name; remove it",
    "port_bindings": "ports of a pod cannot be published on a node; use the pod's address, or remove it",
    "publish_all_ports": "ports of a pod cannot be published on a node; remove it",
    "init": "pods have no --init; let the command reap its children, or use an image that starts with tini",
    **dict.fromkeys(("init_path", "storage_opt", "lxc_conf"), _TUNING),
    **dict.fromkeys(
        (
            "kernel_memory oom_kill_disable cpuset_cpus cpuset_mems cpu_realtime_period cpu_realtime_runtime"
            " cpu_count cpu_percent blkio_weight blkio_weight_device blkio_read_bps blkio_write_bps"
            " blkio_read_iops blkio_write_iops"
        ).split(),
        _LIMITS,
    ),
}
#: Fields of HostConfig that make no difference to a pod: name -> why.
HOST_IGNORED = {
    "memory_swap": "pods do not use swap",
    "memory_swappiness": "pods do not use swap",
    "oom_score_adj": "the kubelet sets it from the pod's resources",
    "pids_limit": "the kubelet sets the limit",
    "cap_drop": "task pods drop every capability",
}
HOST_MAPPED = frozenset(
    "memory memory_reservation shm_size cpu_shares cpu_quota cpu_period nano_cpus ulimits mounts"
    " binds tmpfs readonly_rootfs network_mode dns dns_search dns_options extra_hosts security_opt"
    " device_requests group_add pid_mode ipc_mode cgroupns_mode log_config restart_policy auto_remove".split()
)
#: The same for the fields outside HostConfig.
REFUSED = {
    "domainname": "pods have no NIS domain; use extra_hosts or dns_search",
    "volumes": "anonymous volumes cannot be filled from the image; use a tmpfs mount, or a volume that the"
    " administrator allows",
    "mac_address": "the cluster assigns a pod's network address; remove it",
}
#: Output can always be attached to.
CLIENT = frozenset({"attach_stdout", "attach_stderr"})
IGNORED = {
    "exposed_ports": "it is documentation only",
    "healthcheck": "nothing checks a task's health",
}
MAPPED = frozenset(
    "name platform image entrypoint cmd env user working_dir hostname labels tty network_disabled"
    " stop_signal stop_timeout attach_stdin open_stdin stdin_once host".split()
)


def check_input(tasks: Tasks) -> None:
    """Refuse input if it is switched off. Raises Refusal."""
    if not tasks.stdin:
        raise Refusal(
            "attach_stdin",
            "the administrator has switched input for pods off (tasks.stdin); run without -i (stdin_open), or"
            " detached (-di), and pass the input in the command, in a variable or on a volume, or"
            f" {policy.DIND} or socket",
        )


def check(request: Create) -> list[str]:
    """Refuse what a pod cannot honour; gives notes on what is ignored. Raises Refusal."""
    policy.check(request, HOST_REFUSED, REFUSED)
    if request.stop_signal not in ("", "SIGTERM", "TERM", "15"):
        raise Refusal("stop_signal", "pods are stopped with SIGTERM; remove it, or let the command trap TERM")
    return [
        f"{name}: ignored, {why}"
        for owner, table in ((request.host, HOST_IGNORED), (request, IGNORED))
        for name, why in table.items()
        if is_set(owner, name)
    ]
