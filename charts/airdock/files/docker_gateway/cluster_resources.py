"""Requests and limits of a pod's container, from the request and the group's defaults."""

from __future__ import annotations

import math
from typing import Any

from .backend import Refusal
from .model import Create
from .quantities import quantity
from .settings import Tasks

_NUMBERS = ("memory", "memory_reservation", "shm_size", "cpu_shares", "nano_cpus", "cpu_quota", "cpu_period")


def resources(request: Create, tasks: Tasks) -> dict[str, Any]:
    """Give the container's resources. Raises Refusal."""
    host = request.host
    requests = dict(tasks.resources.get("requests") or {})
    limits = dict(tasks.resources.get("limits") or {})
    for name in _NUMBERS:
        if getattr(host, name) < 0 and not (name == "cpu_quota" and host.cpu_quota == -1):
            shown = {"memory": "mem_limit", "cpu_shares": "cpus"}.get(name, name)
            raise Refusal(shown, "it is negative; set a positive number, or remove it")
    if host.memory:
        limits["memory"] = str(host.memory)
        if quantity(requests.get("memory", "0")) > host.memory:
            requests["memory"] = str(host.memory)
    if host.memory_reservation:
        requests["memory"] = str(host.memory_reservation)
    # 1024 is DockerOperator's default and says nothing about the task.
    if host.cpu_shares not in (0, 1024):
        cpus = host.cpu_shares / 1024
        requests["cpu"] = f"{max(1, round(cpus * 1000))}m"
        if "cpu" in limits and quantity(limits["cpu"]) < cpus:
            limits["cpu"] = requests["cpu"]
    ceiling = host.nano_cpus / 1e9 or (
        host.cpu_quota / (host.cpu_period or 100_000) if host.cpu_quota > 0 else 0
    )
    if ceiling:
        limits["cpu"] = f"{max(1, math.ceil(ceiling * 1000))}m"
        if quantity(requests.get("cpu", "0")) > ceiling:
            requests["cpu"] = limits["cpu"]
    if gpus := requested_gpus(request, tasks.gpus_per_container):
        limits[tasks.gpu_resource] = str(gpus)
    return {"requests": requests, "limits": limits}


def requested_gpus(request: Create, of_all: int) -> int:
    """Give the number of GPUs that a container requests; `of_all`: of one that requests all.

    Raises:
        Refusal: for other devices, for GPUs by their number, and for all if `of_all` is 0.
    """
    count = 0
    for each in request.host.device_requests:
        kinds = {kind for group in each.capabilities for kind in group}
        if (
            each.driver not in ("", "nvidia")
            or not kinds <= {"gpu", "nvidia", "compute", "utility"}
            or each.options
        ):
            raise Refusal(
                "device_requests", "only GPUs are available: use driver 'nvidia' and capabilities [['gpu']]"
            )
        if each.device_ids:
            raise Refusal(
                "device_requests",
                "device_ids are GPUs of one node, and the cluster chooses the node and its GPUs; set `count`"
                " instead",
            )
        if each.count < 0 and not of_all:
            raise Refusal(
                "device_requests",
                "a container may not request all GPUs; set `count` to 1 or more, or ask the administrator to"
                " set tasks.gpusPerContainer",
            )
        # dockerd takes any negative number for all.
        count += of_all if each.count < 0 else each.count
    return count
