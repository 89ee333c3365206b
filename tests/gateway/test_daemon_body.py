"""The filter before a daemon: what is refused, what is forced, and that only known fields are written."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from docker_gateway import daemon_policy, policy
from docker_gateway.backend import Refusal
from docker_gateway.daemon_api import DaemonApi
from docker_gateway.daemon_body import BodyWriter
from docker_gateway.daemon_cgroup import CgroupParent, pod_cgroup
from docker_gateway.daemon_images import Image, auth
from docker_gateway.model import BadBody, Create, HostConfig, parse_create
from docker_gateway.settings import Bind, Settings
from docker_gateway.settings import Daemon as Rules
from hypothesis import given, settings
from hypothesis import strategies as st

from .cluster_pods import KEYS
from .docker_py import BY_THE_PROGRAM, HOST, body
from .escapes import ESCAPES, TMP_MOUNT

IMAGE = Image("sha256:" + "1" * 64, ("linux", "amd64", ""))
RULES = Rules(
    socket="/nowhere",
    binds=["/srv/shared"],
    volumes=["data"],
    networks=["backend"],
    memory="1Gi",
    cpu=2,
    pids=100,
    cgroup_parent="none",
)


def write(
    host: dict[str, Any] | None = None,
    rules: Rules = RULES,
    parent: str = "",
    in_pod: bool = False,
    image: Image = IMAGE,
    platform: str = "",
    **config: Any,
) -> dict[str, Any]:
    """Give the request that the daemon would get."""
    writer = BodyWriter(Settings(owner="pod-uid", worker_group="g", daemon=rules), lambda: parent, in_pod)
    text = {"Image": "busybox:1.37", **config, "HostConfig": host or {}}
    checked = writer.check(parse_create(json.dumps(text).encode(), platform=platform))
    return writer.write(checked, image)


def refusal(**arguments: Any) -> str:
    with pytest.raises(Refusal) as error:
        write(**arguments)
    return error.value.message


def test_the_tables_name_every_field_once() -> None:
    host = [policy.HOST_REFUSED, policy.HOST_CLIENT, daemon_policy.HOST_REFUSED, daemon_policy.HOST_PASSED]
    rest = [policy.REFUSED, daemon_policy.REFUSED, daemon_policy.PASSED]
    for tables, kind in ((host, HostConfig), (rest, Create)):
        names = sorted(name for table in tables for name in table)
        assert names == sorted(field.name for field in dataclasses.fields(kind))


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_are_refused(name: str) -> None:
    assert refusal(host=ESCAPES[name])
    assert TMP_MOUNT["Source"] not in refusal(
        host={**ESCAPES[name], "Mounts": [*ESCAPES[name].get("Mounts", []), TMP_MOUNT]}
    )


@pytest.mark.parametrize("name", sorted({**policy.HOST_REFUSED, **daemon_policy.HOST_REFUSED}))
def test_each_refused_field_is_named(name: str) -> None:
    values = {**body()["HostConfig"], **BY_THE_PROGRAM}
    assert refusal(host={KEYS[name]: values[KEYS[name]]}).startswith(f"{name}: ")


def test_what_is_forced() -> None:
    written = write()
    assert written["Labels"] == {
        "airdock.dev/gateway": "pod-uid",
        "airdock.dev/worker-group": "g",
        "airdock.dev/image": "busybox:1.37",
    }
    assert written["Image"] == IMAGE.id
    assert written["Env"] == ["NVIDIA_VISIBLE_DEVICES=void"]
    assert written["HostConfig"] == {
        "Memory": 1 << 30, "MemorySwap": 1 << 30, "PidsLimit": 100, "CpuPeriod": 100_000,
        "CpuQuota": 200_000,
        "SecurityOpt": ["no-new-privileges"], "Ulimits": [{"Name": "core"}],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": str(100 << 20), "max-file": "2"}},
    }  # fmt: skip
    placed = write(parent="/kubepods/x")
    assert placed["HostConfig"]["CgroupParent"] == "/kubepods/x"
    assert placed["HostConfig"]["OomScoreAdj"] == 1000


UID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
UNDERSCORES = UID.replace("-", "_")
SLICE = f"kubepods-burstable-pod{UNDERSCORES}.slice"


@pytest.mark.parametrize(
    ("cgroups", "driver", "parent"),
    [
        (
            f"4:memory:/kubepods/burstable/pod{UID}/{'c' * 64}\n0::/\n",
            "cgroupfs",
            f"/kubepods/burstable/pod{UID}",
        ),
        (f"4:memory:/kubepods/pod{UID}/{'c' * 64}\n", "cgroupfs", f"/kubepods/pod{UID}"),
        (
            f"0::/kubepods.slice/kubepods-burstable.slice/{SLICE}/cri-containerd-{'c' * 64}.scope",
            "systemd",
            SLICE,
        ),
        (f"4:memory:/kubepods/burstable/pod{UID}/{'c' * 64}", "systemd", ""),
        ("0::/\n", "cgroupfs", ""),
        ("0::/\n", "systemd", ""),
        ("4:memory:/docker/abc\n", "cgroupfs", ""),
        ("", "cgroupfs", ""),
    ],
)
def test_the_pods_own_cgroup(cgroups: str, driver: str, parent: str) -> None:
    assert pod_cgroup(cgroups, driver) == parent


@pytest.mark.parametrize(
    ("cgroups", "why"), [("0::/\n", "with cgroup v2"), ("4:memory:/docker/abc\n0::/\n", "no pod's cgroup")]
)
def test_a_cgroup_that_is_not_found_is_logged(
    cgroups: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = DaemonApi("/nowhere")
    monkeypatch.setattr(api, "call", lambda *_: {"CgroupDriver": "cgroupfs"})
    monkeypatch.setattr("docker_gateway.daemon_cgroup.Path.read_text", lambda _: cgroups)
    assert CgroupParent(api, "auto")() == ""
    said = json.loads(capsys.readouterr().err)
    assert said["event"] == "cgroup-parent"
    assert why in said["reason"]


def test_cpu_in_the_pods_cgroup() -> None:
    host = write(parent="/kubepods/burstable/pod1", in_pod=True)["HostConfig"]
    assert host["CgroupParent"] == "/kubepods/burstable/pod1"
    # A quota that is more than the pod's would be refused by cgroup v1.
    assert "CpuQuota" not in host
    assert write()["HostConfig"]["CpuQuota"] > 0


def test_a_refused_field_is_not_passed_on_as_a_zero() -> None:
    zeros = {"MemorySwappiness": 0, "OomScoreAdj": 0, "Privileged": False, "UsernsMode": "", "Devices": []}
    assert write(host=zeros)["HostConfig"] == write()["HostConfig"]


def test_ceilings() -> None:
    assert write(host={"Memory": 1 << 20})["HostConfig"]["Memory"] == 1 << 20
    assert "mem_limit" in refusal(host={"Memory": (1 << 30) + 1})
    assert "mem_limit" in refusal(host={"Memory": -1})
    assert "pids_limit" in refusal(host={"PidsLimit": -1})
    assert "nano_cpus" in refusal(host={"NanoCpus": 3_000_000_000})
    assert "cpu_quota" in refusal(host={"CpuQuota": 300_000})
    assert "cpu_quota" in refusal(host={"CpuQuota": 30_000, "CpuPeriod": 10_000})
    assert write({"NanoCpus": 500_000_000})["HostConfig"]["NanoCpus"] == 500_000_000
    assert write({"CpuPeriod": 10_000})["HostConfig"]["CpuQuota"] == 20_000
    assert "NanoCpus" not in write(host={"CpuQuota": 100_000, "CpuPeriod": 100_000})["HostConfig"]
    assert "shm_size" in refusal(host={"ShmSize": 2 << 30})


def test_the_temporary_directory_is_a_volume_of_the_containers_own() -> None:
    mount = write(host={"Mounts": [TMP_MOUNT]})["HostConfig"]["Mounts"][0]
    assert mount == {"Target": "/tmp/airflow", "Type": "volume", "VolumeOptions": {"NoCopy": True}}


def test_the_cgroup_that_the_settings_name() -> None:
    api = DaemonApi("/nowhere")
    assert CgroupParent(api, "none")() == ""
    assert CgroupParent(api, "/kubepods/x")() == "/kubepods/x"
    assert not CgroupParent(api, "/kubepods/x").auto


def test_what_is_allowed_by_name() -> None:
    host = write(host={"Binds": ["data:/d:ro", "/srv/shared:/s"], "NetworkMode": "backend"})["HostConfig"]
    assert "Binds" not in host
    assert host["Mounts"] == [
        {"Target": "/d", "Source": "data", "Type": "volume", "ReadOnly": True},
        {"Target": "/s", "Source": "/srv/shared", "Type": "bind"},
    ]
    assert host["NetworkMode"] == "backend"
    assert "binds" in refusal(host={"Binds": [":/d:ro"]})
    for bad in (
        "other:/d",
        "/srv/shared/sub:/s",
        "/srv/shared/../x:/s",
        "/srv/shared:/proc",
        "data:/d:shared",
        "/srv:/s",
    ):
        assert refusal(host={"Binds": [bad]}), bad
    assert refusal(host={"NetworkMode": "frontend"})
    assert "workers.g.socket.allowed.gpus" in refusal(host={"DeviceRequests": HOST["device_requests"]})


def test_directories_that_are_read_only() -> None:
    rules = dataclasses.replace(RULES, binds=["/srv/a", Bind("/srv/b", True)])
    for host in (
        {"Binds": ["/srv/a:/a", "/srv/b:/b:rw"]},
        {
            "Mounts": [
                {"Type": "bind", "Source": "/srv//a/", "Target": "/a"},
                {"Type": "bind", "Source": "/srv/b", "Target": "/b"},
            ]
        },
    ):
        assert write(host=host, rules=rules)["HostConfig"]["Mounts"] == [
            {"Target": "/a", "Source": "/srv/a", "Type": "bind"},
            {"Target": "/b", "Source": "/srv/b", "Type": "bind", "ReadOnly": True},
        ]


def test_credentials_are_written_from_known_fields() -> None:
    packed = base64.urlsafe_b64encode(b'{"username":"u","password":"p","surprise":"x"}').decode()
    assert json.loads(base64.urlsafe_b64decode(auth(packed, "a.b"))) == {"username": "u", "password": "p"}
    for bad in ("!", "e30x", base64.b64encode(b"[]").decode(), base64.b64encode(b'{"username":1}').decode()):
        with pytest.raises(BadBody):
            auth(bad, "a.b")


_whole = body()
values = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.text(max_size=5)
    | st.lists(st.text(max_size=5), max_size=2)
)
#: What may be in a HostConfig that goes to the daemon; every other key is a hole.
FORWARDED = {KEYS[name] for name in daemon_policy.HOST_PASSED} - {"Binds"} | {"MemorySwap", "CgroupParent"}


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(_whole["HostConfig"])), st.none(), max_size=6),
    st.dictionaries(st.sampled_from(sorted(_whole["HostConfig"])) | st.text(max_size=8), values, max_size=3),
    st.dictionaries(st.sampled_from(sorted(_whole)) | st.text(max_size=8), values, max_size=3),
)
def test_nothing_but_allowed_fields_is_forwarded(
    picked: dict[str, None], host: dict[str, Any], top: dict[str, Any]
) -> None:
    host_config = {**{key: _whole["HostConfig"][key] for key in picked}, **host}
    try:
        written = write(
            host=host_config,
            **{
                k: v
                for k, v in top.items()
                if k not in ("host", "rules", "parent", "in_pod", "image", "platform", "HostConfig", "Image")
            },
        )
    except (Refusal, BadBody):
        return
    assert written["HostConfig"].keys() <= FORWARDED
    assert written["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert written["HostConfig"]["Memory"] <= 1 << 30
    assert written["HostConfig"].get("NetworkMode", "") in ("", "default", "bridge", "none", "backend")
    assert written["HostConfig"].get("PidMode", "") in ("", "private")
    for mount in written["HostConfig"].get("Mounts", []):
        assert mount.get("Source", "") in ("", "data", "/srv/shared")
    assert written["Labels"]["airdock.dev/gateway"] == "pod-uid"
