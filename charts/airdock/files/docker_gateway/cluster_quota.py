"""What the API server says about a full quota. Pure functions.

The words are those of Kubernetes' admission plugin ResourceQuota (resourcequota/controller.go, checkRequest).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .quantities import quantity

_FULL = re.compile(r"exceeded quota: ([^,\s]+), requested: (\S+), used: \S+, limited: (\S+)")
#: What every container has, be it by the default of a LimitRange.
_USUAL = ("cpu", "memory", "ephemeral-storage")


@dataclass(frozen=True)
class Full:
    """A quota that does not admit a pod: amounts by resource, only of resources that are exceeded."""

    name: str
    requested: dict[str, str]
    limited: dict[str, str]

    @property
    def never(self) -> bool:
        """Tell whether the pod alone is more than the quota."""
        return any(
            quantity(amount) > quantity(self.limited.get(name, amount))
            for name, amount in self.requested.items()
        )

    def __str__(self) -> str:
        most = f"the maximum of all pods together is {_text(self.limited)}"
        return f"the pod requests {_text(self.requested)}, and {most}"


def parse(message: str) -> Full | None:
    """Read a refusal; None if it is no full quota's."""
    match = _FULL.search(message)
    if match is None:
        return None
    return Full(match[1], _amounts(match[2]), _amounts(match[3]))


def counts(pod: dict[str, Any], resources: Iterable[str]) -> bool:
    """Tell whether a pod counts towards one of the resources of quotas."""
    spec = pod.get("spec") or {}
    named = set()
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        for kind in ("requests", "limits"):
            named |= set((container.get("resources") or {}).get(kind) or ())
    for each in resources:
        name = each.removeprefix("requests.").removeprefix("limits.")
        if name in (*_USUAL, "pods", "count/pods") or name in named:
            return True
    return False


def _amounts(text: str) -> dict[str, str]:
    pairs = (each.partition("=") for each in text.split(","))
    return {name: amount for name, _, amount in pairs}


def _text(amounts: dict[str, str]) -> str:
    return ", ".join(f"{name}={amount}" for name, amount in amounts.items())
