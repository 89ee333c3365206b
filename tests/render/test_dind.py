"""Mode dind: what each variant and each kind of storage switches together."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from scripts.chart import CHART, ROOT, Manifest, render
from tests.render.values import DIND, overlaid


def workload(dind: dict[str, Any], values: dict[str, Any] | None = None, **group: Any) -> Manifest:
    """The workload of a group of mode dind."""
    base = overlaid(DIND, {"workers": {"docker": {"dind": dind, **group}}})
    found = render(overlaid(base, values or {}))
    return found.one("StatefulSet" if "claim" in dind else "Deployment", component="worker")


def spec(dind: dict[str, Any], **options: Any) -> Any:
    return workload(dind, **options).raw["spec"]["template"]["spec"]


def container(pod: Any, name: str) -> Any:
    return next(c for c in pod["initContainers"] + pod["containers"] if c["name"] == name)


def env(pod: Any, name: str) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in container(pod, name)["env"]}


@pytest.mark.parametrize(
    ("variant", "privileged", "user", "group", "host_users", "runtime"),
    [
        ("privileged", True, 0, 2375, None, None),
        ("userNamespace", None, 0, 2375, False, None),
        ("rootless", True, 1000, 1000, None, None),
        ("sysbox", None, 0, 2375, None, "sysbox-runc"),
    ],
)
def test_a_variant_switches_all_that_it_needs(
    variant: str, privileged: bool | None, user: int, group: int, host_users: bool | None, runtime: str | None
) -> None:
    pod = spec({"variant": variant})
    daemon = container(pod, "docker")
    assert daemon["securityContext"].get("privileged") == privileged
    assert daemon["securityContext"]["runAsUser"] == user
    assert pod["securityContext"]["supplementalGroups"] == [group]
    assert pod.get("hostUsers") == host_users
    assert pod.get("runtimeClassName") == runtime
    assert daemon["image"].endswith("-rootless") == (variant == "rootless")
    assert daemon["command"][:4] == ["sh", "/opt/airdock/start.sh", variant, "dockerd"]


def test_a_runtime_class_of_ones_own_wins() -> None:
    assert spec({"variant": "sysbox"}, runtimeClassName="sysbox")["runtimeClassName"] == "sysbox"


def test_only_the_daemon_is_privileged_and_it_holds_no_login() -> None:
    pod = spec({"pullSecret": "logins", "pullBeforeStart": ["busybox"]})
    for name in ("docker-prune", "docker-pull", "worker"):
        assert container(pod, name)["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
    holders = {
        c["name"]
        for c in pod["initContainers"] + pod["containers"]
        if any(mount["name"] == "docker-registries" for mount in c["volumeMounts"])
    }
    assert holders == {"docker-pull", "worker"}


@pytest.mark.parametrize(
    ("dind", "size"),
    [
        ({}, "20Gi"),
        ({"dataVolume": {"emptyDir": {"sizeLimit": "7Gi"}}}, "7Gi"),
        ({"dataVolume": {"emptyDir": {}}}, None),
        ({"claim": {"size": "9Gi"}}, "9Gi"),
        (
            {
                "dataVolume": {
                    "ephemeral": {
                        "volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "8Gi"}}}}
                    }
                }
            },
            "8Gi",
        ),
    ],
)
def test_pruning_knows_the_volumes_size(dind: dict[str, Any], size: str | None) -> None:
    assert (env(spec(dind), "docker-prune")["AIRDOCK_DATA_SIZE"] or None) == size


def test_a_claim_makes_a_stateful_set() -> None:
    found = workload({"claim": {"size": "9Gi", "storageClassName": "fast"}}).raw["spec"]
    (claim,) = found["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "docker-data"
    assert claim["spec"]["storageClassName"] == "fast"
    assert "docker-data" not in {volume["name"] for volume in found["template"]["spec"]["volumes"]}
    assert found["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize("given", [{"imports": ["mine"], "task_track_started": True}, None])
@pytest.mark.parametrize("text", [True, False])
def test_the_users_celery_config_stays(given: dict[str, Any] | None, text: bool) -> None:
    """Celery imports the module that watches the daemon beside what the user has it import."""
    config = {"extra_celery_config": json.dumps(given) if text else given} if given else {}
    pod = spec({}, values={"airflow": {"config": {"celery": config}}})
    found = json.loads(env(pod, "worker")["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
    assert found == {**(given or {}), "imports": [*(given or {}).get("imports", []), "airdock_docker_watch"]}


@pytest.mark.parametrize(
    ("memory", "bytes_"),
    [("4Gi", str(4 << 30)), ("1500M", "1500000000"), (2**30, str(1 << 30)), (None, None)],
)
def test_a_task_can_name_its_memory_limit(memory: str | int | None, bytes_: str | None) -> None:
    """Of all containers: the daemon's own container has it."""
    found = env(spec({"resources": {"limits": {"memory": memory}}}), "worker")
    assert found["AIRDOCK_DIND_MEMORY_KEY"] == "workers.docker.dind.resources.limits.memory"
    assert found.get("AIRDOCK_DIND_MEMORY") == bytes_


def test_a_gpu_is_the_daemons() -> None:
    """The example: no other container asks for it, which would take a second one, and the limits stay."""
    values = yaml.safe_load((ROOT / "examples" / "values" / "docker-in-docker-gpu.yaml").read_text())
    pod = render(values).one("Deployment", name="airdock-worker-gpu").raw["spec"]["template"]["spec"]
    asking = {
        c["name"]: c["resources"]["limits"]
        for c in pod["initContainers"] + pod["containers"]
        if "nvidia.com/gpu" in json.dumps(c["resources"])
    }
    assert asking == {"docker": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": 1}}
    assert container(pod, "docker")["image"] == "registry.example.com/docker-nvidia:29-dind"


def test_the_example_renders() -> None:
    values = yaml.safe_load((ROOT / "examples" / "values" / "docker-in-docker.yaml").read_text())
    assert render(values).one("StatefulSet", component="worker").name == "airdock-worker-builds"


@pytest.mark.parametrize(
    ("limit", "reserve"),
    [(64, 32), (256, 128), (300, 128), (512, 128), (1024, 128), (1600, 200), (4096, 256), (65536, 256)],
)
def test_a_part_of_the_memory_is_the_daemons(limit: int, reserve: int) -> None:
    """In MiB. The kernel kills a task and not the daemon, of which a small one needs no less."""
    script = (CHART / "files" / "dind" / "start.sh").read_text()
    function = re.search(r"^memory_left\(\) \{.*?^\}$", script, re.DOTALL | re.MULTILINE)
    assert function
    command = f"{function[0]}\nmemory_left {limit << 20}"
    done = subprocess.run(["sh", "-euc", command], capture_output=True, text=True, check=True)
    assert int(done.stdout) == limit - reserve << 20
