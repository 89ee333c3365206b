"""Pods of the task namespace: created, judged and deleted by the API server."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from . import cluster_quota
from .backend import ApiError
from .cluster_api import ApiStatus, KubernetesApi, Object, pods_path
from .cluster_container import Container
from .cluster_judgement import Trouble
from .fields import without_temporary
from .loops import Endings
from .model import Create

#: Seconds that the API server may be unavailable; `create` must answer before docker-py's 60 s.
_PATIENCE = 45.0
#: Seconds that a deletion may take, beyond the pod's grace, before it is sent again.
_AGAIN = 60.0
#: Pods in one answer of the API server, where there may be many.
_PAGE = 100


class Delayed(ApiError):
    """A pod cannot be created yet. `resources`: those of which a quota is full, if that is why."""

    def __init__(self, message: str, resources: Iterable[str] = ()) -> None:
        super().__init__(503, message, "cluster")
        self.trouble, self.resources = Trouble(message, "createSeconds"), frozenset(resources)


class Pods:
    """The requests about pods of one namespace."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self.deletions = Endings()

    def post(
        self, manifest: Object, request: Create, patience: float = _PATIENCE, dry_run: bool = False
    ) -> Object:
        """Create a pod, or let the API server judge it only.

        Raises ApiError; Delayed if it may be created later.
        """
        query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        try:
            pod = self._api.request("POST", pods_path(self._namespace), query, manifest, patience)
        except ApiStatus as status:
            if status.code == 409 and status.reason == "AlreadyExists":
                # Sent twice, as the first answer was lost; the name holds 48 random bits.
                try:
                    return self.get(manifest["metadata"]["name"], patience)
                except ApiStatus as lost:
                    raise Delayed(f"the cluster cannot create the pod: {lost.message}") from None
            message = without_temporary(status.message, request)
            if full := cluster_quota.parse(message):
                quota = f"the quota {full.name} of namespace {self._namespace}"
                if full.never:
                    raise ApiError(
                        403, f"{quota} can never admit the pod: {full}. Request less, or ask the"
                        " administrator to raise tasks.quota.hard", "quota",
                    ) from None  # fmt: skip
                raise Delayed(f"{quota} (tasks.quota.hard) is full: {full}", full.requested.keys()) from None
            if status.code in (400, 403, 422):
                code = 400 if status.code == 422 else status.code
                raise ApiError(code, f"the cluster rejects the pod: {message}", "cluster") from None
            raise Delayed(f"the cluster cannot create the pod: {message}") from None
        # Without the field, root in the container would be root on the node.
        if manifest["spec"].get("hostUsers") is False and pod["spec"].get("hostUsers") is not False:
            raise ApiError(
                403, "the Kubernetes API server ignores hostUsers: false (user namespaces)", "cluster"
            )
        return pod

    def get(self, name: str, patience: float = 0.0) -> Object:
        """Read a pod. Raises ApiStatus."""
        return self._api.request("GET", pods_path(self._namespace, name), patience=patience)

    def ended(self) -> Iterator[Object]:
        """Give the namespace's pods that have ended, whoever created them. Raises ApiStatus."""
        for phase in ("Succeeded", "Failed"):
            query = {"fieldSelector": f"status.phase={phase}", "limit": str(_PAGE)}
            while True:
                page = self._api.request("GET", pods_path(self._namespace), query)
                yield from page.get("items") or ()
                if not (following := page["metadata"].get("continue")):
                    break
                query["continue"] = following

    def delete(self, container: Container, why: str, grace: int | None) -> None:
        """Delete a container's pod in the background; `grace` None leaves the pod's own."""
        with container.changed:
            container.fate = container.fate or why
            if not container.started:
                container.never_ran(f"the container never ran: {why}")
                return
        seconds = (container.grace if grace is None else grace) + _AGAIN
        self.deletions.end(container, seconds, lambda: self._delete(container, grace))

    def delete_replaced(self, container: Container) -> None:
        """Delete the pod that another one replaces, if it is still there. Raises ApiStatus."""
        self.request_deletion(container.pod_name, container.replaced[-1], 1)

    def request_deletion(self, name: str, uid: str, grace: int | None) -> bool:
        """Tell whether there is such a pod. Raises ApiStatus."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self._api.request("DELETE", pods_path(self._namespace, name), None, options, 5.0)
        except ApiStatus as status:
            # A conflict: the pod of this name is another one.
            if status.code not in (404, 409):
                raise
            return False
        return True

    def _delete(self, container: Container, grace: int | None) -> bool:
        """Ask for the deletion, which the pod's end follows in time: False."""
        uid = container.uid
        # Whatever its uid: a request that was sent twice may have created a second pod of this name.
        if not self.request_deletion(container.pod_name, "", grace):
            with container.changed:
                # The pod of a `start` that is under way may come yet: then it is deleted at once.
                container.end_due = time.monotonic()
                if container.uid == uid:
                    container.gone = True
                    container.never_ran(f"the pod was deleted: {container.fate}")
        return False
