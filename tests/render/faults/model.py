"""A fault, and ways to put one into a manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """A change of one object of a scenario, and words that the contract's sentence must have."""

    contract: str
    what: str
    kind: str
    name: str
    change: Callable[[Any], object]
    says: str
    scenario: str = "modes"


def pod(raw: Any) -> Any:
    return raw["spec"]["template"]["spec"]


def container(raw: Any, name: str) -> Any:
    spec = pod(raw)
    return next(c for c in (*spec.get("initContainers", ()), *spec["containers"]) if c["name"] == name)


def variable(raw: Any, name: str, variable_name: str) -> Any:
    return next(v for v in container(raw, name)["env"] if v["name"] == variable_name)


def add_variable(name: str, **value: Any) -> Callable[[Any], object]:
    return lambda raw: pod(raw)["containers"][0]["env"].append({"name": name, **value})


def put(*path: str, value: Any) -> Callable[[Any], object]:
    """Sets a field by its path."""

    def change(raw: Any) -> None:
        for step in path[:-1]:
            raw = raw.setdefault(step, {})
        raw[path[-1]] = value

    return change


SCHEDULER, WORKER, API = "airdock-scheduler", "airdock-worker-dind", "airdock-api-server"
DEPLOYMENT, SERVICE, POLICY = "Deployment", "Service", "NetworkPolicy"
COMPONENT = "app.kubernetes.io/component"
