"""The Pod Security Standards, exactly as the API server's admission plugin checks them.

Source: k8s.io/pod-security-admission (package policy), whose check names, versions, reasons and
details are kept word for word, so that a verdict here reads like the API server's refusal.
tests/policies proves it against every fixture of that module and against the module itself.
"""

from __future__ import annotations

from scripts.lint.pod_security import node, security_context
from scripts.lint.pod_security.model import (
    NEWEST_MINOR,
    Check,
    Json,
    Level,
    Place,
    Pod,
    Violation,
    minor_of,
    with_defaults,
)

#: Upstream's order: baseline checks by id, then restricted ones by id.
CHECKS: tuple[Check, ...] = tuple(
    sorted((*node.CHECKS, *security_context.CHECKS), key=lambda check: (check.level, check.id))
)


def verdict(metadata: Json, spec: Json, level: Level, version: str = "latest") -> list[Violation]:
    """What the API server would refuse about a pod, in its order; empty when it is admitted.

    Args:
        metadata: the pod's metadata (annotations are read).
        spec: the pod's spec, as written: the API server's defaults are filled in here.
        level: the level that the namespace enforces.
        version: the version of the standards that it enforces.
    """
    if level == "privileged":
        return []
    minor = minor_of(version)
    pod = Pod(metadata, with_defaults(spec), minor)
    active = [check for check in CHECKS if check.since <= minor and level in ("restricted", check.level)]
    replaced = {check.replaces for check in active}
    return [found for check in active if check.id not in replaced and (found := check.run(pod))]


__all__ = [
    "CHECKS",
    "NEWEST_MINOR",
    "Level",
    "Place",
    "Pod",
    "Violation",
    "minor_of",
    "verdict",
    "with_defaults",
]
