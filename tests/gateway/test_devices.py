"""Devices by field, variable, mount and CDI name: none without leave, and with it GPUs alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from docker_gateway.daemon_images import Image

from tests.support.attacks import AUTHOR

from .test_daemon_body import IMAGE, RULES, refusal, write

GPUS = dataclasses.replace(RULES, gpus=True)
VISIBLE = "NVIDIA_VISIBLE_DEVICES"


def variables(author: list[str], image: list[str], gpus: bool) -> list[str]:
    written = write(rules=GPUS if gpus else RULES, image=Image(IMAGE.id, env=tuple(image)), Env=author)
    return list(written.get("Env", []))


@pytest.mark.parametrize("value", ["all", "0", "", "void", "GPU-1", "vendor.com/net=eth0"])
@pytest.mark.parametrize("by_image", [False, True])
@pytest.mark.attack(actor=AUTHOR, finding=(21,))
def test_without_leave_there_are_none(value: str, by_image: bool) -> None:
    entries = [f"{VISIBLE}={value}"]
    written = variables([] if by_image else entries, entries if by_image else [], False)
    assert written == [f"{VISIBLE}=void"]


def test_the_variable_cannot_be_taken_away() -> None:
    assert variables([VISIBLE, "A=1"], [f"{VISIBLE}=all"], False) == ["A=1", f"{VISIBLE}=void"]
    assert variables([f"{VISIBLE}=void", f"{VISIBLE}=all"], [], False) == [f"{VISIBLE}=void"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("all", "all"), ("0,1", "0,1"), ("0:1", "0:1"), ("GPU-8a-b", "GPU-8a-b"),
        ("MIG-GPU-8/1/0", "MIG-GPU-8/1/0"),
        ("nvidia.com/gpu=0", "nvidia.com/gpu=0"), ("", ""), ("none", "none"),
        ("vendor.com/net=eth0", "void"), ("0,vendor.com/net=eth0", "void"),
        ("nvidia.com/imex-channel=0", "void"),
        ("../../dev/sda", "void"), ("evil.nvidia.com/gpu=0", "void"), ("nvidia.com/gpu=0\n", "void"),
    ],
)  # fmt: skip
def test_with_leave_only_gpus(value: str, written: str) -> None:
    assert variables([f"{VISIBLE}={value}"], [], True) == [f"{VISIBLE}={written}"]
    assert variables([], [f"{VISIBLE}={value}"], True) == [f"{VISIBLE}={written}"]


@pytest.mark.parametrize("gpus", [False, True])
@pytest.mark.parametrize(
    "name", ["HABANA_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES", "NEW_VISIBLE_DEVICES", "DOCKER_RESOURCE_GPU",
             "NVIDIA_MOFED", "NVIDIA_GDS", "NVIDIA_IMEX_CHANNELS"],
)  # fmt: skip
def test_other_hooks(name: str, gpus: bool) -> None:
    rest = [] if gpus else [f"{VISIBLE}=void"]
    # Without "=": the daemon takes an image's variable away.
    assert variables([f"{name}=all"], [], gpus) == [*rest, name]
    assert variables([], [f"{name}=all"], gpus) == [*rest, name]


@pytest.mark.parametrize(
    "name", ["CUDA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "A", "VISIBLE_DEVICES"]
)
def test_what_no_hook_reads_is_passed_on(name: str) -> None:
    assert variables([f"{name}=0"], [f"{name}=1"], True) == [f"{name}=0"]


GPU = [["gpu"]]


@pytest.mark.parametrize(
    "request_",
    [
        {"Driver": "cdi", "DeviceIDs": ["vendor.com/net=eth0"]},
        {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all", "vendor.com/disk=sda"]},
        {"Driver": "cdi"},
        {"Driver": "other", "Capabilities": GPU},
        {"Count": -1},
        {"Count": -1, "Capabilities": [["cdi"]]},
        {"Count": -1, "Capabilities": [["gpu"], ["cdi"]]},
        {"Count": -1, "Capabilities": [["tpu"]]},
        {"Count": -1, "Capabilities": [["nvidia"]]},
        {"DeviceIDs": ["vendor.com/net=eth0"], "Capabilities": GPU},
        {"DeviceIDs": ["0", "../sda"], "Capabilities": GPU},
        {"Count": 1, "Capabilities": GPU, "Options": {"a": "b"}},
    ],
)
@pytest.mark.attack(actor=AUTHOR, finding=(21,))
def test_requests_for_what_is_no_gpu(request_: dict[str, Any]) -> None:
    assert refusal(rules=GPUS, host={"DeviceRequests": [request_]}).startswith("device_requests: ")


@pytest.mark.parametrize(
    "request_",
    [
        {"Count": -1, "Capabilities": GPU},
        {"Driver": "nvidia", "DeviceIDs": ["0", "GPU-8a"], "Capabilities": [["gpu", "compute", "utility"]]},
        {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]},
    ],
)
def test_requests_for_gpus(request_: dict[str, Any]) -> None:
    assert write(rules=GPUS, host={"DeviceRequests": [request_]})["HostConfig"]["DeviceRequests"] == [
        request_
    ]
    assert "allowed.gpus" in refusal(host={"DeviceRequests": [request_]})


@pytest.mark.parametrize("gpus", [False, True])
@pytest.mark.attack(actor=AUTHOR, finding=(21,))
def test_mounts_that_a_hook_reads(gpus: bool) -> None:
    target = "/var/run/nvidia-container-devices/all"
    rules = GPUS if gpus else RULES
    for arguments in (
        {"Volumes": {target: {}}},
        {"host": {"Tmpfs": {target: ""}}},
        {"host": {"Mounts": [{"Type": "tmpfs", "Target": target}]}},
        {"host": {"Binds": [f"data:{target}"]}},
    ):
        assert "device_requests" in refusal(rules=rules, **arguments)
