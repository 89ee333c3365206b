"""Whether root is allowed in task pods: in a user namespace, where cluster and node can."""

from __future__ import annotations

import time

from . import cluster_manifest
from .backend import Refusal
from .cluster_api import ApiStatus, KubernetesApi, pods_path
from .model import Create
from .settings import Settings

#: Seconds for which an answer of the cluster is believed.
_AGE = 600


class UserNamespaces:
    """Reads the setting `tasks.userNamespaces`; `auto` asks the cluster."""

    def __init__(self, api: KubernetesApi, settings: Settings) -> None:
        self._api, self._settings = api, settings
        self._found: tuple[float, bool] | None = None

    def __call__(self) -> bool:
        """Tell whether a pod gets a user namespace."""
        mode = self._settings.tasks.user_namespaces
        if mode != "auto":
            return mode == "on"
        now = time.monotonic()
        if self._found is None or now - self._found[0] > _AGE:
            self._found = now, self._everywhere()
        return self._found[1]

    def _everywhere(self) -> bool:
        """Tell whether every node says that it can, and admission lets root pass in a user namespace."""
        try:
            nodes = self._api.request("GET", "/api/v1/nodes").get("items") or []
            able = [
                any(
                    (h.get("features") or {}).get("userNamespaces")
                    for h in n["status"].get("runtimeHandlers") or []
                )
                for n in nodes
            ]
            if not nodes or not all(able):
                return False
            probe = cluster_manifest.build(
                Create(image="probe"), "0" * 64, self._settings, always_pull=False, userns=True
            ).manifest
            path = pods_path(self._settings.tasks.namespace)
            answer = self._api.request("POST", path, {"dryRun": "All"}, probe)
            return answer["spec"].get("hostUsers") is False
        except (ApiStatus, KeyError, Refusal):
            return False
