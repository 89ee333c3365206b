"""How containers leave: removed by a client, or by themselves with auto_remove."""

from __future__ import annotations

from .backend import ApiError
from .cluster_container import Container
from .cluster_pods import Pods
from .containers import Containers


class Removal:
    """Removes containers of one gateway with their pods."""

    def __init__(self, pods: Pods, containers: Containers[Container]) -> None:
        self._pods, self._containers = pods, containers

    def remove(self, container: Container, force: bool) -> None:
        """Let no client find a container, and delete its pod. Raises ApiError 409 if it runs."""
        with container.changed:
            running = container.started and not container.ended
            if running and not force:
                raise ApiError(
                    409,
                    f"cannot remove container {container.id[:12]}: container is running: stop the container"
                    " before removing or force remove",
                )
            first, container.removed = not container.removed, True
            container.changed.notify_all()
        if container.started and not container.gone:
            self._containers.hide(container)
            self._pods.delete(container, "removed", 1 if running else None)
        else:
            self._containers.forget(container)
        if first:
            container.tell("destroy")

    def look_at(self, container: Container) -> None:
        """Remove a container with auto_remove that has ended, once its output has been read."""
        with container.changed:
            busy = container.attached or container.readers or container.removed
            due = container.ended and container.request.host.auto_remove and not busy
        if due:
            self.remove(container, force=True)
