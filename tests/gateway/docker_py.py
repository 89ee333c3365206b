"""All that docker-py can send in a create request: one value for each parameter."""

from __future__ import annotations

import json
from typing import Any

from docker.types import (
    DeviceRequest,
    EndpointConfig,
    Healthcheck,
    HostConfig,
    LogConfig,
    Mount,
    NetworkingConfig,
    Ulimit,
)
from docker.types.containers import ContainerConfig

VERSION = "1.47"
#: One value for each parameter of docker-py's HostConfig.
HOST: dict[str, Any] = {
    "binds": {"/a": {"bind": "/b", "mode": "ro"}},
    "port_bindings": {80: ("127.0.0.1", 8080), "53/udp": None},
    "lxc_conf": {"a": "b"},
    "publish_all_ports": True,
    "links": {"a": "b"},
    "privileged": True,
    "dns": ["8.8.8.8"],
    "dns_search": ["a.b"],
    "volumes_from": ["a"],
    "network_mode": "bridge",
    "restart_policy": {"Name": "always", "MaximumRetryCount": 3},
    "cap_add": ["SYS_ADMIN"],
    "cap_drop": ["ALL"],
    "devices": ["/dev/a:/dev/b:rwm"],
    "extra_hosts": {"a": "1.2.3.4"},
    "read_only": True,
    "pid_mode": "host",
    "ipc_mode": "host",
    "security_opt": ["seccomp=unconfined"],
    "ulimits": [Ulimit(name="nofile", soft=1, hard=2)],
    "log_config": LogConfig(type="json-file", config={"max-size": "1m"}),
    "mem_limit": "1g",
    "memswap_limit": "2g",
    "mem_reservation": "1m",
    "kernel_memory": "1m",
    "mem_swappiness": 1,
    "cgroup_parent": "/a",
    "group_add": [1, "b"],
    "cpu_quota": 1000,
    "cpu_period": 1000,
    "blkio_weight": 10,
    "blkio_weight_device": [{"Path": "/dev/a", "Weight": 1}],
    "device_read_bps": [{"Path": "/dev/a", "Rate": 1}],
    "device_write_bps": [{"Path": "/dev/a", "Rate": 1}],
    "device_read_iops": [{"Path": "/dev/a", "Rate": 1}],
    "device_write_iops": [{"Path": "/dev/a", "Rate": 1}],
    "oom_kill_disable": True,
    "shm_size": "1m",
    "sysctls": {"a": 1},
    "tmpfs": {"/a": "size=1m"},
    "oom_score_adj": 1,
    "dns_opt": ["a"],
    "cpu_shares": 512,
    "cpuset_cpus": "0",
    "userns_mode": "host",
    "uts_mode": "host",
    "pids_limit": 10,
    "isolation": "hyperv",
    "auto_remove": True,
    "storage_opt": {"size": "1g"},
    "init": True,
    "volume_driver": "a",
    "cpu_count": 1,
    "cpu_percent": 1,
    "nano_cpus": 10,
    "cpuset_mems": "0",
    "runtime": "runc",
    "mounts": [
        Mount("/a", "/b", "bind", read_only=True, consistency="cached", propagation="rshared"),
        Mount(
            "/c",
            "v",
            "volume",
            no_copy=True,
            labels={"a": "b"},
            driver_config={"Name": "a", "Options": {"b": "c"}},
            subpath="d",
        ),
        Mount("/d", None, "tmpfs", tmpfs_size="1m", tmpfs_mode=0o700),
    ],
    "cpu_rt_period": 1,
    "cpu_rt_runtime": 1,
    "device_cgroup_rules": ["a *:* rwm"],
    "device_requests": [DeviceRequest(driver="nvidia", count=1, capabilities=[["gpu"]], options={"a": "b"})],
    "cgroupns": "host",
}
CONFIG: dict[str, Any] = {
    "image": "busybox",
    "command": "echo a",
    "hostname": "h",
    "user": 1000,
    "detach": False,
    "stdin_open": True,
    "tty": True,
    "ports": [80, (53, "udp")],
    "environment": {"A": "b", "C": None},
    "volumes": ["/v"],
    "network_disabled": True,
    "entrypoint": ["sh", "-c"],
    "working_dir": "/w",
    "domainname": "d",
    "mac_address": "02:00:00:00:00:01",
    "labels": ["l"],
    "stop_signal": "SIGINT",
    "networking_config": NetworkingConfig({"n": EndpointConfig(VERSION, aliases=["x"])}),
    "healthcheck": Healthcheck(test=["CMD", "true"], interval=1, timeout=1, retries=1, start_period=1),
    "stop_timeout": 3,
    "runtime": "runc",
}
#: Parameters that docker-py takes and refuses itself for this version.
NEVER_SENT = {"self", "version", "init_path"}
#: Fields of HostConfig that docker-py does not have or does not send, and the docker program sends.
BY_THE_PROGRAM: dict[str, Any] = {
    "InitPath": "/init",
    "Annotations": {"a": "b"},
    "Cgroup": "container:a",
    "IOMaximumIOps": 1,
    "IOMaximumBandwidth": 1,
    "MaskedPaths": [],
    "ReadonlyPaths": [],
}


def body(**overrides: Any) -> dict[str, Any]:
    """Give docker-py's whole create body, as its JSON is."""
    config = ContainerConfig(VERSION, **CONFIG, host_config=HostConfig(VERSION, **HOST))
    return json.loads(json.dumps({**config, **overrides}))
