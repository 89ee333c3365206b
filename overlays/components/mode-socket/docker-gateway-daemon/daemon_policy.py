"""What is passed to the node's Docker daemon or refused, for every field of the create request."""

# ruff: noqa: SIM905
from __future__ import annotations

from . import policy
from .model import Create

#: Fields of HostConfig that are refused when set, besides policy.HOST_REFUSED: name -> why, and the way out.
HOST_REFUSED = {
    "cap_add": f"added capabilities could give access to the node; remove it, or {policy.DIND}",
    "volume_driver": "the administrator chooses volume drivers; remove it",
    "port_bindings": f"tasks may not use ports of the node; remove it, or {policy.DIND}",
    "publish_all_ports": "tasks may not use ports of the node; remove it",
    "oom_kill_disable": "a task that cannot be killed could stop the node; remove it",
    **dict.fromkeys(
        (
            "init_path storage_opt kernel_memory memory_swap memory_swappiness oom_score_adj cpuset_cpus"
            " cpuset_mems cpu_realtime_period cpu_realtime_runtime cpu_count cpu_percent blkio_weight"
            " blkio_weight_device blkio_read_bps blkio_write_bps blkio_read_iops blkio_write_iops lxc_conf"
        ).split(),
        "the administrator sets it; remove it",
    ),
}
#: Passed on as they are, or after a look at their values.
HOST_PASSED = frozenset(
    "memory memory_reservation shm_size pids_limit cpu_shares cpu_quota cpu_period nano_cpus ulimits mounts"
    " binds tmpfs readonly_rootfs network_mode dns dns_search dns_options extra_hosts cap_drop security_opt"
    " device_requests group_add pid_mode ipc_mode cgroupns_mode init log_config restart_policy"
    " auto_remove".split()
)
#: The same for the fields outside HostConfig.
REFUSED = {"mac_address": "the administrator sets the network; remove it"}
PASSED = frozenset(
    "name platform image entrypoint cmd env user working_dir hostname domainname labels tty attach_stdin"
    " attach_stdout attach_stderr open_stdin stdin_once exposed_ports volumes network_disabled stop_signal"
    " stop_timeout healthcheck host".split()
)


def check(request: Create) -> None:
    """Refuse what could give access to the node, or change what the administrator sets. Raises Refusal."""
    policy.check(request, HOST_REFUSED, REFUSED)
