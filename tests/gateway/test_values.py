"""What is decided about the values of every field that a backend takes, for both backends.

A field that passes is decided by its values: each has some here that must be refused or changed, or the
reason why any value may pass. A field that a table of the policies gains fails until its values are decided.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from docker_gateway import cluster_policy, daemon_policy
from docker_gateway.backend import ApiError
from docker_gateway.daemon_images import Images
from docker_gateway.model import Create, HostConfig, parse_create

from tests.support.attacks import AUTHOR

from . import cluster_pods as cluster
from . import test_daemon_body as daemon
from .cluster_pods import KEYS

BIG = 1 << 62
#: Any value may pass: why.
ANY = {
    "cmd": "what a container does inside is not ours",
    "entrypoint": "as cmd",
    "working_dir": "a path inside",
    "tty": "true or false",
    "attach_stdin": "true or false",
    "attach_stdout": "true or false",
    "attach_stderr": "true or false",
    "open_stdin": "true or false",
    "stdin_once": "true or false",
    "network_disabled": "less than it would have",
    "exposed_ports": "documentation, as no port is published",
    "stop_signal": "a signal to its own process",
    "user": "of the image, in a container without privileges",
    "hostname": "inside; no name server knows it",
    "domainname": "as hostname",
    "readonly_rootfs": "less than it would have",
    "cap_drop": "less than it would have",
    "init": "docker-init, which the daemon brings",
    "auto_remove": "sooner than it would be",
    "group_add": "groups of the image: a group of the node matters on an allowed directory alone",
    "dns": "addresses that it may reach anyway",
    "dns_search": "as dns",
    "dns_options": "as dns",
    "extra_hosts": "as dns; host-gateway is an address of the bridge",
    "cpu_period": "the ceiling is of quota by period",
}
#: Values that may not come through as they are: by field of HostConfig, or of the body.
HOSTILE_HOST: dict[str, list[Any]] = {
    "memory": [BIG, -1],
    "memory_reservation": [BIG, -1],
    "shm_size": [BIG, -1],
    "pids_limit": [BIG, -1],
    "nano_cpus": [BIG, -1],
    "cpu_quota": [BIG],
    "cpu_shares": [BIG, 262_144, -1],
    "ulimits": [[{"Name": name, "Soft": 1, "Hard": 99}] for name in ("rtprio", "nice", "core", "RTPRIO")],
    "mounts": [
        [{"Type": "bind", "Source": "/etc", "Target": "/d"}],
        [{"Type": "bind", "Source": "", "Target": "/d"}],
        [{"Type": "bind", "Source": "/srv/shared/../x", "Target": "/d"}],
        [{"Type": "bind", "Source": "/srv/shared/x", "Target": "/d"}],
        [{"Type": "volume", "Source": "/etc", "Target": "/d"}],
        [{"Type": "volume", "Source": "../data", "Target": "/d"}],
        [{"Type": "volume", "Target": "/d", "VolumeOptions": {"Labels": {"io.kubernetes.x": "y"}}}],
        [{"Type": "image", "Source": "busybox", "Target": "/d"}],
        [{"Type": "tmpfs", "Target": "/proc/x"}],
        [{"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"SizeBytes": -1}}],
    ],
    "binds": [
        [entry]
        for entry in (
            ":/etc:ro,ro", ":/etc", "/etc:/d", "/etc", "x", "", "data:/d:ro:z", "data:/d:z", "data:/d:rw,ro",
            "/srv/shared:/d:rshared", "/srv/shared/.:/d", "/srv/shared/..:/d", "data:d", "/srv/sharedx:/d",
        )
    ],
    "tmpfs": [{"/proc": ""}, {"/d": "size=1g,suid"}, {"d": ""}, {"/d:/e": ""}],
    "network_mode": ["host", "container:x", "backend2", "ns:/proc/1/ns/net", "slirp4netns", "Host"],
    "pid_mode": ["host", "container:x", "ns:/proc/1"],
    "ipc_mode": ["host", "container:x", "shareable"],
    "cgroupns_mode": ["host"],
    "security_opt": [
        [option]
        for option in ("seccomp=unconfined", "label=disable", "no-new-privileges:false", "apparmor=x")
    ],
    "device_requests": [
        [{"Driver": "cdi", "DeviceIDs": ["vendor.com/net=x"]}],
        [{"Count": -1, "Capabilities": [["cdi"]]}],
    ],
    "log_config": [
        {"Type": "syslog"},
        {"Type": "json-file", "Config": {"max-size": "9t"}},
        {"Type": "local", "Config": {"tag": "x"}},
    ],
    "restart_policy": [{"Name": "always"}, {"Name": "on-failure", "MaximumRetryCount": 9}],
}  # fmt: skip
HOSTILE: dict[str, list[Any]] = {
    "image": ["a/../b", "http://a/b", "A", "busybox\n", "-", "a@sha256:1", ""],
    "env": [
        ["NVIDIA_VISIBLE_DEVICES=all"],
        ["NVIDIA_VISIBLE_DEVICES=vendor.com/net=x"],
        ["NVIDIA_MOFED=enabled"],
    ],
    "labels": [{"io.kubernetes.pod.uid": "x"}, {"traefik.enable": "true"}, {"airdock.dev/gateway": "x"}],
    "volumes": [{"/proc": {}}, {"d": {}}, {"/a:/b": {}}],
    "stop_timeout": [BIG, -1],
    "healthcheck": [{"Test": ["CMD", "true"], "Interval": 1_000_000}, {"Interval": -1}],
}
#: In the query, or whole: test_daemon_backend.py has their values.
ELSEWHERE = {"name", "platform", "host"}
#: Of the cluster backend: a pod has no such thing, or the kubelet decides.
NOT_IN_PODS = {
    "ulimits": "tasks.ulimits decides: ignored, or refused whole",
    "log_config": "the kubelet rotates logs",
    "cpu_quota": "a limit of the pod, which quota and LimitRange hold",
    "memory": "as cpu_quota", "memory_reservation": "as cpu_quota", "shm_size": "as cpu_quota",
    "nano_cpus": "as cpu_quota", "cpu_shares": "as cpu_quota",
}  # fmt: skip


def test_the_values_of_every_field_are_decided() -> None:
    for taken, hostile in ((daemon_policy.HOST_PASSED, HOSTILE_HOST), (daemon_policy.PASSED, HOSTILE)):
        assert taken - hostile.keys() - ANY.keys() - ELSEWHERE == set()
        assert hostile.keys() <= taken, "no such field passes"
    mapped = cluster_policy.HOST_MAPPED | cluster_policy.MAPPED
    assert mapped - HOSTILE.keys() - HOSTILE_HOST.keys() - ANY.keys() - ELSEWHERE == set()
    fields = {field.name for kind in (HostConfig, Create) for field in dataclasses.fields(kind)}
    assert ANY.keys() <= fields


def request(field: str, value: Any) -> dict[str, Any]:
    key = KEYS[field]
    return {"host": {key: value}} if field in HOSTILE_HOST else {key: value}


CASES = [
    pytest.param(field, value, id=f"{field}-{json.dumps(value)[:60]}")
    for table in (HOSTILE_HOST, HOSTILE)
    for field, values in table.items()
    for value in values
]


def holds(found: Any, value: Any) -> bool:
    """Tell whether a value is anywhere in what was written, as it is."""
    if found == value and type(found) is type(value):
        return True
    items = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return any(holds(item, value) for item in items)


@pytest.mark.parametrize(("field", "value"), CASES)
@pytest.mark.attack(actor=AUTHOR, finding=(3, 4, 18, 21, 22))
def test_the_daemon_gets_no_hostile_value(field: str, value: Any) -> None:
    if field == "image":
        with pytest.raises((ApiError, ValueError)):
            parsed = parse_create(json.dumps({"Image": value}).encode())
            Images(daemon.RULES, "workers.g.socket").check(parsed.image)
        return
    try:
        written = daemon.write(**request(field, value))
    except ApiError as refused:
        assert refused.message.partition(":")[0] in (field, PARAMETERS.get(field), "device_requests")
        return
    assert not holds(written, value), "it came through as it is"
    if field == "labels":
        assert not [key for key, text in value.items() if written["Labels"].get(key) == text]
    for item in value if isinstance(value, list) else []:
        assert not holds(written, item), "it came through as it is"


#: As DockerOperator names them.
PARAMETERS = {"memory": "mem_limit", "memory_reservation": "mem_reservation"}


@pytest.mark.parametrize(("field", "value"), CASES)
@pytest.mark.attack(actor=AUTHOR, finding=(20, 21))
def test_a_pod_gets_no_hostile_value(field: str, value: Any) -> None:
    if field in NOT_IN_PODS or field not in cluster_policy.HOST_MAPPED | cluster_policy.MAPPED:
        return
    try:
        manifest = cluster.build(**({"Image": value} if field == "image" else request(field, value))).manifest
    except (ApiError, ValueError):
        return
    spec = manifest["spec"]
    for item in value if isinstance(value, list) else [value]:
        assert not holds(spec, item), "it came through as it is"
        if isinstance(item, str) and "=" in item:
            name, _, text = item.partition("=")
            assert not holds(spec, {"name": name, "value": text})
