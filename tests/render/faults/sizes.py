"""Faults that the contracts of contracts/sizes.py find."""

from __future__ import annotations

from tests.render.faults.model import Fault, put

FAULTS = (
    Fault(
        "object-sizes",
        "code that outgrew its ConfigMap",
        "ConfigMap",
        "airdock-docker-gateway",
        put("data", "one_more.py", value="x" * 150_000),
        "over the 229376 that fit into an annotation",
    ),
)
