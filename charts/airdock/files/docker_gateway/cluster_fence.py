"""Whether the API server still rejects what the admission policies (the fence) must reject.

A worker's init container waits for the fence. Afterwards somebody may delete a policy, or its binding, or the
label of the namespace. Each policy rejects one pod by its name, and says so in its message.
"""

from __future__ import annotations

from .cluster_api import ApiStatus, KubernetesApi, Object, pods_path
from .health import Metrics
from .loops import Loop
from .settings import Tasks

#: Seconds between two looks.
_PAUSE = 300.0


class Fence:
    """Asks for forbidden pods, as dry runs."""

    def __init__(self, api: KubernetesApi, tasks: Tasks, metrics: Metrics) -> None:
        self._api, self._tasks = api, tasks
        self._missing: dict[str, int] = {}
        self.loop = Loop("fence", self.look, lambda: _PAUSE)
        metrics.gauge(
            "fence_missing", "1 if the API server admits a pod of a forbidden name.",
            lambda: dict(self._missing), "forbidden",
        )  # fmt: skip

    def start(self) -> None:
        """Begin, if there is a fence."""
        if self._tasks.forbidden_pods:
            self.loop.start()

    def look(self) -> None:
        """Ask for each pod. What only the API server's absence leaves open stays as it was."""
        for name in self._tasks.forbidden_pods:
            try:
                self._api.request(
                    "POST", pods_path(self._tasks.namespace), {"dryRun": "All"}, self._pod(name)
                )
            except ApiStatus as status:
                if status.code in (403, 422):
                    self._missing[name] = int(f"{name}: Airdock release " not in status.message)
            else:
                self._missing[name] = 1

    def _pod(self, name: str) -> Object:
        """Give a pod that Pod Security `restricted` admits."""
        container = {
            "name": "none",
            "image": "none",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        spec = {
            "serviceAccountName": self._tasks.service_account,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
