"""A container's pod, built for the best user that the API server admits."""

from __future__ import annotations

from collections.abc import Collection

from . import cluster_manifest
from .backend import ApiError
from .cluster_manifest import Built
from .cluster_pods import Delayed, Pods
from .cluster_users import Users, Way
from .model import Create
from .settings import Settings


class Admission:
    """Lets the API server judge pods without creating them."""

    def __init__(self, pods: Pods, users: Users, settings: Settings) -> None:
        self._pods, self._users, self._settings = pods, users, settings

    def prepare(
        self, request: Create, container_id: str, fresh: bool, tried: Collection[Way] = ()
    ) -> tuple[Way, Built]:
        """Build a pod that the API server admits; gives what decides its user. Raises ApiError.

        The first way is the best one. Where the last one is refused too, the reason is not the user.
        """
        ways = self._users.ways(request, tried)
        denied: dict[Way, str] = {}
        for way in ways:
            built = cluster_manifest.build(request, container_id, self._settings, always_pull=fresh, way=way)
            try:
                self._pods.post(built.manifest, request, dry_run=True)
            except Delayed as delayed:
                # What the quota admits is known at the start.
                if not delayed.resources:
                    raise
            except ApiError as error:
                if way is ways[-1] or error.reason == "quota":
                    raise
                denied[way] = error.message
                continue
            if way is not Way.NAMESPACE and (why := denied.get(Way.NAMESPACE)):
                self._users.learn_namespace(request, why)
            if note := self._users.note(request, way, denied.get(Way.IMAGE, "")):
                built.notes.append(note)
            return way, built
        raise AssertionError("there is always a way")
