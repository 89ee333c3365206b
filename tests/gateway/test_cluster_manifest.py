"""Containers as pods: what each field becomes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from docker_gateway import cluster_manifest
from docker_gateway.backend import Refusal
from docker_gateway.cluster_users import Users
from docker_gateway.model import Create
from docker_gateway.settings import Tasks, Volume

from tests.support.attacks import AUTHOR

from .cluster_pods import TASKS, build, main, refusal, spec
from .escapes import ESCAPES, TMP, TMP_MOUNT


def test_the_temporary_directory_is_an_empty_directory() -> None:
    built = build(host={"Mounts": [TMP_MOUNT]})
    mount = next(
        m for m in built.manifest["spec"]["containers"][0]["volumeMounts"] if m["mountPath"] == "/tmp/airflow"
    )
    volume = next(v for v in built.manifest["spec"]["volumes"] if v["name"] == mount["name"])
    assert volume["emptyDir"] == {"sizeLimit": "2Gi"}
    assert TMP not in json.dumps(built.manifest)


@pytest.mark.parametrize("name", ESCAPES)
def test_no_refusal_names_the_temporary_directory(name: str) -> None:
    mounts = [*ESCAPES[name].get("Mounts", []), TMP_MOUNT]
    assert TMP not in refusal(host={**ESCAPES[name], "Mounts": mounts})


def test_a_second_mount_at_the_same_place_is_refused_without_the_path() -> None:
    assert TMP not in refusal(host={"Mounts": [TMP_MOUNT, TMP_MOUNT]})


def test_dollars_stay_dollars() -> None:
    container = main(Cmd=["echo", "$(HOME) $X"], Env=["A=$(B)$", "HOME=/x"], Entrypoint=["sh", "$0"])
    assert container["args"] == ["echo", "$$(HOME) $$X"]
    assert container["command"] == ["sh", "$$0"]
    assert {"name": "A", "value": "$$(B)$$"} in container["env"]


def test_entrypoint_and_command() -> None:
    assert "command" not in main(Cmd=["a"])
    assert main(Entrypoint=["a"]).keys() & {"command", "args"} == {"command"}
    for cleared in ([], [""]):
        container = main(Entrypoint=cleared, Cmd=["a", "b"])
        assert container["command"] == ["a", "b"]
        assert "args" not in container
    assert "entrypoint" in refusal(Entrypoint=[])


def test_environment() -> None:
    names = {entry["name"]: entry["value"] for entry in main(Env=["A=1", "B", "A=2", "C=", "D=x=y"])["env"]}
    without = {"NVIDIA_VISIBLE_DEVICES": "void"}
    own = {name: "airdock" for name in ("USER", "LOGNAME")} | without
    assert names == {"A": "2", "C": "", "D": "x=y", "HOME": "/home/airdock"} | own
    asked = {
        entry["name"]: entry["value"] for entry in main(Env=["NVIDIA_VISIBLE_DEVICES=all", "A=1"])["env"]
    }
    assert asked == {"A": "1", "HOME": "/home/airdock"} | own
    gpu = {"DeviceRequests": [{"Count": 1, "Capabilities": [["gpu"]]}]}
    given = {entry["name"] for entry in main(host=gpu, Env=["NVIDIA_VISIBLE_DEVICES=all", "A=1"])["env"]}
    assert given == {"A", "HOME", "USER", "LOGNAME"}, "the device plugin sets it"
    none = {"DeviceRequests": [{"Count": 0, "Capabilities": [["gpu"]]}]}
    assert without.items() <= {e["name"]: e.get("value") for e in main(host=none)["env"]}.items(), (
        "a request for no GPU: the image's variable would give all"
    )
    assert {"name": "HOME", "value": "/x"} in main(Env=["HOME=/x"])["env"]
    assert refusal(Env=["=a"])


def test_users() -> None:
    assert spec()["securityContext"]["runAsUser"] == 50000
    assert spec(User="1000")["securityContext"]["runAsUser"] == 1000
    both = spec(User="1000:2000")["securityContext"]
    assert (both["runAsUser"], both["runAsGroup"]) == (1000, 2000)
    for root in ("0", "root", "0:0"):
        assert "may not run as root" in refusal(User=root)
    for name in ("nobody", "1000:staff", "-1", "99999999999", "1000:", ":5"):
        if name != "1000:":
            assert refusal(User=name), name
    own = spec(tasks=dataclasses.replace(TASKS, user="auto"))["securityContext"]
    assert "runAsUser" not in own
    assert own["runAsNonRoot"] is True


def test_user_namespaces_let_root_in() -> None:
    tasks = dataclasses.replace(TASKS, user_namespaces="on")
    for user in ("", "root", "0"):
        value = spec(User=user, tasks=tasks)
        assert value["hostUsers"] is False
        assert "runAsNonRoot" not in value["securityContext"]
        assert value["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "runAsUser" not in spec(tasks=tasks)["securityContext"]


@pytest.mark.parametrize("user", ["auto", 1000, None])
@pytest.mark.parametrize("namespaces", ["auto", "on", "off", None])
@pytest.mark.parametrize("author", ["", "0", "root", "1000:0"])
@pytest.mark.attack(actor=AUTHOR)
def test_only_a_user_namespace_has_root(user: Any, namespaces: Any, author: str) -> None:
    """Whatever the settings: the kubelet refuses root, or root is one in a user namespace."""
    tasks = dataclasses.replace(TASKS, user=user, user_namespaces=namespaces)
    try:
        ways = Users(tasks).ways(Create(image="busybox", user=author))
    except Refusal:
        assert (author in ("0", "root"), namespaces in ("off", None)) == (True, True)
        return
    for way in ways:
        value = spec(User=author, tasks=tasks, way=way)
        inside = value.get("hostUsers") is False
        assert inside or value["securityContext"]["runAsNonRoot"] is True
        assert inside <= (namespaces in ("auto", "on"))


def test_resources() -> None:
    default = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "4Gi"}}
    assert main()["resources"] == default
    assert main(host={"CpuShares": 1024})["resources"] == default
    assert main(host={"CpuShares": 2048})["resources"]["requests"]["cpu"] == "2000m"
    assert main(host={"CpuShares": 2048})["resources"]["limits"]["cpu"] == "2"
    assert main(host={"CpuShares": 4096})["resources"]["limits"]["cpu"] == "4000m"
    small = main(host={"Memory": 64 << 20})["resources"]
    assert (small["limits"]["memory"], small["requests"]["memory"]) == (str(64 << 20), str(64 << 20))
    assert main(host={"Memory": 1 << 30})["resources"]["requests"]["memory"] == "128Mi"
    assert main(host={"NanoCpus": 50_000_000})["resources"] == {
        "requests": {"cpu": "50m", "memory": "128Mi"},
        "limits": {"cpu": "50m", "memory": "4Gi"},
    }
    assert main(host={"CpuQuota": 150_000})["resources"]["limits"]["cpu"] == "1500m"
    assert "mem_limit" in refusal(host={"Memory": -1})


def test_gpus() -> None:
    def gpu(**request: Any) -> dict[str, Any]:
        return {
            "DeviceRequests": [
                {
                    "Driver": "",
                    "Count": 0,
                    "DeviceIDs": [],
                    "Capabilities": [["gpu"]],
                    "Options": {},
                    **request,
                }
            ]
        }

    assert main(host=gpu(Count=2))["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert main(host=gpu(Count=-1))["resources"]["limits"]["nvidia.com/gpu"] == "1"
    four = dataclasses.replace(TASKS, gpus_per_container=4)
    assert main(host=gpu(Count=-1), tasks=four)["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert "nvidia.com/gpu" not in main(host=gpu(Count=0))["resources"]["limits"]
    forbidden = dataclasses.replace(TASKS, gpus_per_container=0)
    assert "tasks.gpusPerContainer" in refusal(host=gpu(Count=-1), tasks=forbidden)
    assert "device_ids" in refusal(host=gpu(DeviceIDs=["0"]))
    for bad in (
        {"DeviceIDs": ["0"], "Count": -1},
        {"Driver": "cdi", "Count": 1},
        {"Capabilities": [["tpu"]], "Count": 1},
    ):
        assert "device_requests" in refusal(host=gpu(**bad))


def test_memory_mounts() -> None:
    value = spec(
        host={
            "ShmSize": 1 << 20,
            "Tmpfs": {"/scratch": "size=64m,mode=1777"},
            "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5}}],
        }
    )
    sizes = {
        m["mountPath"]: next(v for v in value["volumes"] if v["name"] == m["name"]).get("emptyDir")
        for m in value["containers"][0]["volumeMounts"]
    }
    assert sizes["/dev/shm"] == {"medium": "Memory", "sizeLimit": str(1 << 20)}
    assert sizes["/scratch"] == {"medium": "Memory", "sizeLimit": str(64 << 20)}
    assert sizes["/t"] == {"medium": "Memory", "sizeLimit": "5"}


def test_claims_and_binds() -> None:
    value = spec(
        host={
            "Binds": ["data:/d:ro", "/srv/shared/:/s"],
            "Mounts": [
                {"Type": "volume", "Source": "ro", "Target": "/r"},
                {"Type": "volume", "Source": "data", "Target": "/d2", "VolumeOptions": {"Subpath": "x"}},
            ],
        }
    )
    mounts = {m["mountPath"]: m for m in value["containers"][0]["volumeMounts"]}
    claims = {
        v["name"]: v["persistentVolumeClaim"]["claimName"]
        for v in value["volumes"]
        if "persistentVolumeClaim" in v
    }
    assert sorted(claims.values()) == ["data-claim", "ro-claim", "shared-claim"]
    assert (mounts["/d"]["subPath"], mounts["/d"]["readOnly"]) == ("base", True)
    assert mounts["/d2"]["subPath"] == "base/x"
    assert mounts["/r"]["readOnly"] is True
    assert claims[mounts["/s"]["name"]] == "shared-claim"
    assert "tasks.claims has data, ro" in refusal(host={"Binds": ["other:/d"]})
    assert "tasks.binds" in refusal(host={"Binds": ["/etc:/d"]})


def test_networks() -> None:
    def labels(**arguments: Any) -> dict[str, str]:
        return build(**arguments).manifest["metadata"]["labels"]  # type: ignore[no-any-return]

    assert labels(host={"NetworkMode": "none"})["airdock.dev/network"] == "none"
    assert labels(NetworkDisabled=True)["airdock.dev/network"] == "none"
    assert "airdock.dev/network" not in labels(host={"NetworkMode": "bridge"})
    assert labels(host={"NetworkMode": "backend"})["net"] == "backend"
    assert "tasks.networks has backend" in refusal(host={"NetworkMode": "frontend"})


def test_names_and_dns() -> None:
    value = spec(
        Hostname="h-1",
        host={
            "Dns": ["8.8.8.8"],
            "DnsSearch": ["a.b"],
            "DnsOptions": ["ndots:2", "rotate"],
            "ExtraHosts": ["a:1.2.3.4", "b:1.2.3.4", "c:[::1]"],
        },
    )
    assert value["hostname"] == "h-1"
    assert value["dnsPolicy"] == "None"
    assert value["dnsConfig"] == {
        "nameservers": ["8.8.8.8"],
        "searches": ["a.b"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}],
    }
    assert value["hostAliases"] == [
        {"ip": "1.2.3.4", "hostnames": ["a", "b"]},
        {"ip": "::1", "hostnames": ["c"]},
    ]
    for host in (
        {"Dns": ["x"]},
        {"ExtraHosts": ["a:host-gateway"]},
        {"ExtraHosts": ["a"]},
        {"DnsSearch": ["a b"]},
        {"Dns": ["1.1.1.1"] * 4},
    ):
        assert refusal(host=host)
    assert "hostname" in refusal(Hostname="Not_A_Name")


def test_labels() -> None:
    labels = {
        "team": "a",
        "bad value": "x",
        "long": "x" * 64,
        "airdock.dev/dag-id": "d",
        "app.kubernetes.io/name": "x",
    }
    meta = build(Labels=labels).manifest["metadata"]
    assert meta["labels"]["team"] == "a"
    assert meta["labels"]["airdock.dev/dag-id"] == "d"
    assert "app.kubernetes.io/name" not in meta["labels"]
    assert json.loads(meta["annotations"]["airdock.dev/docker-labels"]) == labels
    for name in (
        "airdock.dev/gateway", "airdock.dev/container-id", "airdock.dev/network", "x.airdock.dev/y",
        "sidecar.istio.io/inject", "azure.workload.identity/use", "com.example/team",
    ):  # fmt: skip
        if name.startswith("airdock.dev/"):
            assert "labels" in refusal(Labels={name: "x"})
        else:
            assert name not in build(Labels={name: "x"}).manifest["metadata"]["labels"]


@pytest.mark.attack(actor=AUTHOR, finding=(20,))
def test_the_administrators_labels_win() -> None:
    tasks = dataclasses.replace(TASKS, pod_labels={"cost": "tasks"}, reserved_labels=["other-groups-net"])
    for name in ("cost", "net", "other-groups-net"):
        assert "tasks.networks" in refusal(tasks=tasks, Labels={name: "author"})
    labels = build(tasks=tasks, Labels={"team": "a"}, host={"NetworkMode": "backend"}).manifest["metadata"][
        "labels"
    ]
    assert (labels["cost"], labels["net"], labels["team"]) == ("tasks", "backend", "a")


def test_the_administrators_variables_are_defaults() -> None:
    tasks = dataclasses.replace(TASKS, env={"A": "$(B)", "C": "1", "D": "1", "NVIDIA_VISIBLE_DEVICES": "all"})
    container = build(tasks=tasks, Env=["C=2", "D"]).manifest["spec"]["containers"][0]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert (env["A"], env["C"], "D" in env) == ("$$(B)", "2", False)
    assert env["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_pull_policy_and_secrets() -> None:
    assert main()["imagePullPolicy"] == "IfNotPresent"
    assert main(pull=True)["imagePullPolicy"] == "Always"
    assert "imagePullSecrets" not in spec()
    assert spec(Image="registry.example.com:5000/a")["imagePullSecrets"] == [{"name": "pull-secret"}]


def test_container_names_are_not_unique_and_not_trusted() -> None:
    name = build(query={"name": "My Task/../x"}).manifest["metadata"]["name"]
    assert name == "my-task-x-c0ffeec0ffee"
    assert build(query={"name": "---"}).manifest["metadata"]["name"].startswith("container-")


def test_platform() -> None:
    assert spec(query={"platform": "linux/arm64"})["nodeSelector"] == {
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "arm64",
    }
    assert "platform" in refusal(query={"platform": "windows"})


def test_a_pod_that_etcd_would_not_take_is_refused() -> None:
    assert "environment" in refusal(Env=["A=" + "x" * cluster_manifest.MAX_MANIFEST])


@pytest.mark.parametrize(
    ("source", "claim", "sub_path"),
    [
        ("/data", "data", None),
        ("/data/", "data", None),
        ("/data/2026-01-01", "data", "2026-01-01"),
        ("/data/a/b", "data", "a/b"),
        ("/data/own/x", "own", "base/x"),
        ("/database", "all", "database"),
    ],
)
def test_binds_map_all_that_is_below_them(source: str, claim: str, sub_path: str | None) -> None:
    """The nearest one wins."""
    binds = {"/": Volume("all"), "/data": Volume("data"), "/data/own": Volume("own", "base")}
    built = build(host={"Binds": [f"{source}:/in"]}, tasks=Tasks(binds=binds)).manifest["spec"]
    (mount,) = (m for m in built["containers"][0]["volumeMounts"] if m["mountPath"] == "/in")
    (volume,) = (v for v in built["volumes"] if v["name"] == mount["name"])
    assert (volume["persistentVolumeClaim"]["claimName"], mount.get("subPath")) == (claim, sub_path)


def test_binds_outside_are_refused() -> None:
    tasks = Tasks(binds={"/data": Volume("data")})
    for source in ("/database", "/", "/data/../etc", "/dat"):
        assert "tasks.binds" in refusal(host={"Binds": [f"{source}:/in"]}, tasks=tasks)


def test_names_that_kubernetes_takes_in_lower_case() -> None:
    pod = spec(Hostname="MyHost", host={"ExtraHosts": ["MyDb.Example.com:1.2.3.4"]})
    assert pod["hostname"] == "myhost"
    assert pod["hostAliases"] == [{"ip": "1.2.3.4", "hostnames": ["mydb.example.com"]}]


def test_names_that_it_does_not_take_say_what_to_use() -> None:
    assert "underscore" in refusal(host={"ExtraHosts": ["my_db:1.2.3.4"]})
    text = refusal(Hostname="a.example.com")
    assert "use 'a'" in text
    assert "dns_search=['example.com']" in text
