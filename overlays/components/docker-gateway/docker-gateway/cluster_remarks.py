"""What the gateway itself says at the end of a container's log."""

from __future__ import annotations

from .cluster_judgement import Ended
from .model import Create
from .settings import Tasks


def closing(ended: Ended | None, request: Create, tasks: Tasks) -> list[str]:
    """Give the lines for a container that ended.

    Inside a task, a connection that a NetworkPolicy drops looks like a host that does not answer.
    """
    alone = request.network_disabled or request.host.network_mode == "none"
    if ended is None or ended.code in (0, None) or alone or not tasks.egress_policy:
        return []
    return [
        f"The NetworkPolicy {tasks.egress_policy} of namespace {tasks.namespace} restricts the connections"
        " of this container (tasks.networkPolicy.egress: strict). If a connection failed or timed out, ask"
        " the administrator to add its destination to tasks.networkPolicy.egressRules."
    ]
