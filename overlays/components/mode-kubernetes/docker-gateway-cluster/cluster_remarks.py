"""What the gateway says about a pod's container that ended with an error."""

from __future__ import annotations

from .cluster_container import Container
from .quantities import quantity
from .remarks import out_of_memory, size
from .settings import Tasks


def memory(container: Container) -> str:
    """Say that the container was killed for its memory; empty if it was not."""
    ended = container.ended
    if ended is None or not ended.code or not ended.out_of_memory:
        return ""
    limit = size(quantity(container.memory_limit)) if container.memory_limit else ""
    return out_of_memory(limit, container.request.host.memory > 0, "tasks.resources.limits.memory")


def closing(container: Container, tasks: Tasks) -> list[str]:
    """Give the last lines of the log of a container that ended.

    Inside a task, a connection that a NetworkPolicy drops looks like a host that does not answer.
    """
    ended, request = container.ended, container.request
    if ended is None or not ended.code:
        return []
    if killed := memory(container):
        return [killed]
    if not tasks.egress_policy or request.network_disabled or request.host.network_mode == "none":
        return []
    return [
        f"The NetworkPolicy {tasks.egress_policy} of namespace {tasks.namespace} restricts the connections"
        " of this container (tasks.networkPolicy.egress: strict). If a connection failed or timed out, ask"
        " the administrator to add its destination to tasks.networkPolicy.egressRules."
    ]
