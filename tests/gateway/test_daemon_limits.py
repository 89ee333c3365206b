"""Each maximum of `workers.<name>.socket.limits` is reached, and docs/ceilings.md lists all of them."""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Callable
from typing import Any

import pytest
from docker_gateway import settings
from docker_gateway.daemon_images import Image
from docker_gateway.daemon_limits import _FREE_ULIMITS, ImageHealth
from docker_gateway.settings import Daemon as Rules

from scripts.chart import ceilings
from scripts.chart.values_schema import schema
from tests.support.attacks import AUTHOR

from . import test_daemon_backend as backend
from .test_daemon_body import IMAGE, RULES, refusal, write

S = 1_000_000_000


def host(**fields: Any) -> dict[str, Any]:
    return write(host=fields)["HostConfig"]


def health(image: Image = IMAGE, rules: Rules = RULES, **asked: Any) -> dict[str, Any]:
    return write(image=image, rules=rules, Healthcheck=asked)["Healthcheck"]


def rejected(key: str, **arguments: Any) -> None:
    assert f"workers.g.socket.limits.{key}" in refusal(**arguments)


def memory() -> None:
    for field in ("Memory", "MemoryReservation", "ShmSize"):
        rejected("memory", host={field: (1 << 30) + 1})
        assert host(**{field: 1 << 30})[field] == 1 << 30
    assert host()["Memory"] == host()["MemorySwap"] == 1 << 30


def cpu() -> None:
    rejected("cpu", host={"NanoCpus": 2 * S + 1})
    rejected("cpu", host={"CpuQuota": 200_001})
    assert host()["CpuQuota"] == 200_000
    # The operator's `cpus`, which is a weight and always there, may be larger than the group's.
    assert [host(CpuShares=asked).get("CpuShares") for asked in (0, 512, 2048, 262_144)] == [
        None,
        512,
        2048,
        2048,
    ]
    assert refusal(host={"CpuShares": -1}).startswith("cpu_shares: ")


def pids() -> None:
    rejected("pids", host={"PidsLimit": 101})
    assert host()["PidsLimit"] == host(PidsLimit=100)["PidsLimit"] == 100


def logs() -> None:
    for asked in (
        {},
        {"Type": "local"},
        {"Type": "json-file", "Config": {"max-size": "9g", "max-file": "9"}},
    ):
        log = host(LogConfig=asked)["LogConfig"]
        assert log["Type"] == "json-file"
        assert int(log["Config"]["max-size"]) * int(log["Config"]["max-file"]) == 200 << 20
    unlimited = dataclasses.replace(RULES, logs="0")
    assert write(rules=unlimited)["HostConfig"]["LogConfig"] == {"Type": "json-file"}


def anonymous_volumes() -> None:
    volumes: dict[str, Any] = {f"/{number}": {} for number in range(16)}
    image = dataclasses.replace(IMAGE, volumes=frozenset(volumes))
    tmp = {"Type": "volume", "Target": "/tmp/airflow"}
    assert write(Volumes=volumes)
    assert write(Volumes=volumes, image=image)
    assert write(host={"Mounts": [{**tmp, "Target": "/3"}]}, image=image)
    rejected("anonymousVolumes", Volumes={**volumes, "/16": {}})
    rejected("anonymousVolumes", Volumes={"/16": {}}, image=image)
    rejected("anonymousVolumes", host={"Mounts": [tmp]}, image=image)


def healthcheck_seconds() -> None:
    assert health(Interval=1_000_000)["Interval"] == 10 * S
    assert health(Interval=20 * S)["Interval"] == 20 * S
    assert health()["Interval"] == 30 * S
    image = dataclasses.replace(IMAGE, health=ImageHealth(1_000_000, 5 * S, 7, 10**18, 1_000_000))
    # An image's own: the daemon takes from it whatever is zero.
    assert health(image) == {
        "Interval": 10 * S, "Timeout": 5 * S, "Retries": 7, "StartPeriod": 10**18, "StartInterval": 10 * S,
    }  # fmt: skip
    slow = dataclasses.replace(RULES, healthcheck_seconds=60)
    assert health(rules=slow)["Interval"] == 60 * S
    for field in ("Interval", "Timeout", "Retries", "StartPeriod"):
        assert refusal(Healthcheck={field: -1}).startswith("healthcheck: ")


def stop_seconds() -> None:
    assert [write(StopTimeout=asked)["StopTimeout"] for asked in (1, 300, 301, -1, 1 << 62)] == [
        1,
        300,
        300,
        300,
        300,
    ]
    assert "StopTimeout" not in write()


def ulimits() -> None:
    def written(name: str, soft: int, hard: int) -> Any:
        found = host(Ulimits=[{"Name": name, "Soft": soft, "Hard": hard}])["Ulimits"]
        return [(each.get("Soft", 0), each.get("Hard", 0)) for each in found if each["Name"] == name]

    for name, most in settings.ULIMITS.items():
        if most < 0:
            assert written(name, -1, -1) == [(-1, -1)]
            continue
        assert written(name, most, most) == [(most, most)]
        for soft, hard in ((0, most + 1), (most + 1, most + 1), (-2, 0)):
            rejected(f"ulimits.{name}", host={"Ulimits": [{"Name": name, "Soft": soft, "Hard": hard}]})
        if most:
            assert written(name, -1, -1) == [(most, most)]
        else:
            rejected(f"ulimits.{name}", host={"Ulimits": [{"Name": name, "Soft": -1, "Hard": -1}]})
    # What setrlimit(2) has and nobody decided about, and other spellings, which the daemon reads as the same.
    for name in ("new", "RTPRIO", "rtprio ", "Memlock"):
        rejected("ulimits", host={"Ulimits": [{"Name": name, "Soft": 1, "Hard": 1}]})
    assert written("stack", 67_108_864, 67_108_864) == [(67_108_864, 67_108_864)]
    assert host()["Ulimits"] == [{"Name": "core"}]


#: By key of the values: what reaches the maximum.
REACHED: dict[str, Callable[..., None]] = {
    "memory": memory,
    "cpu": cpu,
    "pids": pids,
    "storage": backend.test_what_a_container_writes_has_a_ceiling,
    "logs": logs,
    "anonymousVolumes": anonymous_volumes,
    "containers": backend.test_containers_have_a_ceiling,
    "healthcheckSeconds": healthcheck_seconds,
    "stopSeconds": stop_seconds,
    "ulimits": ulimits,
}
LIMITS = schema()["$defs"]["workerGroup"]["properties"]["socket"]["properties"]["limits"]["properties"]


@pytest.mark.parametrize("key", [key for key, test in REACHED.items() if test.__module__ == __name__])
@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_the_maximum_is_reached(key: str) -> None:
    REACHED[key]()


def test_every_maximum_is_reached_and_documented() -> None:
    assert list(REACHED) == list(LIMITS)
    tests = {}
    for row in ceilings.rows():
        for name in row.names:
            tests[name.partition(":")[0]] = row.test.partition("::")[2]
    defaults = {settings.camel(f.name): getattr(Rules(), f.name) for f in dataclasses.fields(Rules)}
    for key, test in REACHED.items():
        # Those of this module are parameters of one test.
        name = test.__name__ if test.__module__ != __name__ else "test_the_maximum_is_reached"
        assert tests[f"workers.<name>.socket.limits.{key}"] == name
        assert ceilings.value(f"workers.<name>.socket.limits.{key}") == defaults[key], key


def test_every_ulimit_of_the_kernel_is_decided() -> None:
    names = {name.removeprefix("RLIMIT_").lower() for name in dir(resource) if name.startswith("RLIMIT_")}
    decided = set(settings.ULIMITS) | _FREE_ULIMITS
    # BSD's name of nofile.
    assert names - {"ofile"} <= decided, sorted(names - decided)
