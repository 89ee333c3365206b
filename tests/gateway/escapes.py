"""HostConfigs that lead from a create body to the node, or to other people's containers."""

from __future__ import annotations

from typing import Any

#: DockerOperator's temporary directory.
TMP = "/run/airdock-tmp/airflowtmpabc123"
TMP_MOUNT = {"Target": "/tmp/airflow", "Source": TMP, "Type": "bind", "ReadOnly": False}
#: Known ways from a create body to the node, or to other people's containers.
ESCAPES: dict[str, dict[str, Any]] = {
    "privileged": {"Privileged": True},
    "all capabilities": {"CapAdd": ["ALL"]},
    "one capability": {"CapAdd": ["SYS_PTRACE"]},
    "host pids": {"PidMode": "host"},
    "another container's pids": {"PidMode": "container:abc"},
    "host ipc": {"IpcMode": "host"},
    "host network": {"NetworkMode": "host"},
    "another container's network": {"NetworkMode": "container:abc"},
    "host cgroups": {"CgroupnsMode": "host"},
    "host uts": {"UTSMode": "host"},
    "host users": {"UsernsMode": "host"},
    "root of the node": {"Binds": ["/:/host"]},
    "root of the node as a mount": {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]},
    "the Docker socket": {"Binds": ["/var/run/docker.sock:/var/run/docker.sock"]},
    "out of a mapped directory": {"Binds": ["/srv/shared/../../etc:/host"]},
    "out of a mapped directory as a mount": {
        "Mounts": [{"Type": "bind", "Source": "/srv/shared/../..", "Target": "/h"}]
    },
    "beside a mapped directory": {"Binds": ["/srv/shared-not:/host"]},
    "a volume of the local driver over /": {
        "Mounts": [
            {
                "Type": "volume",
                "Source": "data",
                "Target": "/h",
                "VolumeOptions": {
                    "DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}
                },
            }
        ]
    },
    "any volume": {"Mounts": [{"Type": "volume", "Source": "secrets", "Target": "/h"}]},
    "out of a claim": {
        "Mounts": [
            {"Type": "volume", "Source": "data", "Target": "/h", "VolumeOptions": {"Subpath": "../.."}}
        ]
    },
    "shared propagation": {
        "Mounts": [
            {
                "Type": "bind",
                "Source": "/srv/shared",
                "Target": "/h",
                "BindOptions": {"Propagation": "rshared"},
            }
        ]
    },
    "over /proc": {"Tmpfs": {"/proc": ""}},
    "over /sys by dots": {"Tmpfs": {"/a/../sys": ""}},
    "a named pipe": {"Mounts": [{"Type": "npipe", "Source": "//./pipe/docker_engine", "Target": "/h"}]},
    "a cluster mount": {"Mounts": [{"Type": "cluster", "Source": "x", "Target": "/h"}]},
    "a device": {
        "Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]
    },
    "device rules": {"DeviceCgroupRules": ["b *:* rwm"]},
    "volumes of another": {"VolumesFrom": ["abc"]},
    "no seccomp": {"SecurityOpt": ["seccomp=unconfined"]},
    "no apparmor": {"SecurityOpt": ["apparmor=unconfined"]},
    "paths unmasked": {"SecurityOpt": ["systempaths=unconfined"]},
    "kernel core pattern": {"Sysctls": {"kernel.core_pattern": "|/x"}},
    "cgroup of the node": {"CgroupParent": "/"},
    "another runtime": {"Runtime": "runc-privileged"},
    "a volume driver": {"VolumeDriver": "local"},
    "a port of the node": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}},
    "all ports": {"PublishAllPorts": True},
    "logs elsewhere": {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "udp://1.2.3.4"}}},
    "restart for ever": {"RestartPolicy": {"Name": "always"}},
}
