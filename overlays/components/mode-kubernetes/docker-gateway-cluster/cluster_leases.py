"""Whose gateway lives: one Lease per gateway in the task namespace, and the pods of dead ones.

A worker's node may be lost with all that would clean up after it, and no owner reference reaches across
namespaces. So each gateway renews a Lease; one that has not changed for `lease_seconds`, by the clock of who
watches it, is dead.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from typing import Any

from .cluster_api import ApiStatus, KubernetesApi, Object, logged, pods_path
from .health import log
from .labels import OWNER
from .settings import Settings

_MANAGED = "app.kubernetes.io/managed-by=airdock"
_NAME = re.compile(r"airdock-gateway-([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\Z")
#: Seconds: a Lease that says more is no reason to leave pods for longer.
_LONGEST = 3600
#: Dead gateways of one sweep.
_MOST = 50


class Leases:
    """Renews the own Lease and deletes what gateways without one have left."""

    def __init__(self, api: KubernetesApi, settings: Settings) -> None:
        self._api, self._owner = api, settings.owner
        self._namespace, self._seconds = settings.tasks.namespace, settings.tasks.lease_seconds
        self._ttl = settings.tasks.ttl_seconds
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases"
        self._name = f"airdock-gateway-{settings.owner}"
        self._renewed = self._tried = self._swept = -1e9
        self._problem = "the gateway's Lease has not been created yet"
        # Holder -> (resourceVersion of the Lease, when it was first seen so).
        self._seen: dict[str, tuple[str, float]] = {}

    def tick(self) -> None:
        """Do what is due. Called every few seconds."""
        now = time.monotonic()
        if now - self._renewed > self._seconds / 4:
            try:
                self._renew()
                self._renewed, self._problem = now, ""
            except Exception as error:
                self._problem = f"the gateway's Lease cannot be renewed: {error}"
                log("lease-failed", error=str(error))
        if now - self._tried > self._seconds / 4:
            self._tried = now
            with logged("sweep"):
                self._sweep(now)

    def ready(self) -> str:
        """Empty while other gateways see that this one lives: they would clean up after it."""
        return self._problem if time.monotonic() - self._renewed > self._seconds else ""

    def release(self) -> None:
        """Delete the own Lease, unless a pod is left to which another gateway must see."""
        with logged("release"):
            query = {"labelSelector": f"{OWNER}={self._owner}"}
            pods = self._api.request("GET", pods_path(self._namespace), query).get("items") or []
            if all("deletionTimestamp" in pod["metadata"] for pod in pods):
                self._gone(f"{self._path}/{self._name}")

    def _renew(self) -> None:
        stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self._owner, "leaseDurationSeconds": self._seconds, "renewTime": stamp}
        try:
            self._api.request("PATCH", f"{self._path}/{self._name}", None, {"spec": spec})
        except ApiStatus as status:
            if status.code != 404:
                raise
            labels = {"app.kubernetes.io/managed-by": "airdock", OWNER: self._owner}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
            self._api.request(
                "POST", self._path, None, lease | {"metadata": {"name": self._name, "labels": labels}}
            )

    def _sweep(self, now: float) -> None:
        leases = self._api.request("GET", self._path, {"labelSelector": _MANAGED}).get("items") or []
        if now - self._swept > self._seconds:
            # Nobody could renew while the API server was away: all begin anew.
            self._seen.clear()
        self._swept = now
        dead: list[tuple[str, float]] = []
        seen = {}
        for lease in leases:
            # Its name alone says whose it is: there is one of a name, and a living gateway renews its own.
            match = _NAME.match(lease["metadata"]["name"])
            if not match or match[1] == self._owner:
                continue
            # The API server's count of writes: whoever else writes to it cannot make it look silent.
            owner, stamp = match[1], lease["metadata"]["resourceVersion"]
            known = self._seen.get(owner)
            seen[owner] = known if known and known[0] == stamp else (stamp, now)
            silent = now - seen[owner][1]
            # Gateways need not agree on the time: the longer one counts.
            if silent > max(_duration(lease.get("spec")), self._seconds):
                dead.append((owner, silent))
        self._seen = seen
        for owner, silent in sorted(dead, key=lambda each: -each[1])[:_MOST]:
            with logged("sweep"):
                self._collect(owner, silent)

    def _collect(self, owner: str, silent: float) -> None:
        """Delete what runs of a dead gateway at once, what has ended as late as a living one would."""
        query = {"labelSelector": f"{OWNER}={owner}"}
        pods: list[Object] = self._api.request("GET", pods_path(self._namespace), query).get("items") or []
        ended = ("Succeeded", "Failed")
        due = [p for p in pods if silent > self._ttl or (p.get("status") or {}).get("phase") not in ended]
        for pod in due:
            with logged("sweep"):
                self._gone(pods_path(self._namespace, pod["metadata"]["name"]))
        if due:
            log("sweep", gateway=owner, pods=len(due))
        if not pods:
            self._gone(f"{self._path}/airdock-gateway-{owner}")

    def _gone(self, path: str) -> None:
        try:
            self._api.request("DELETE", path)
        except ApiStatus as status:
            if status.code != 404:
                raise


def _duration(spec: Any) -> int:
    """Read leaseDurationSeconds; what cannot be it is as if it were not there."""
    seconds = spec.get("leaseDurationSeconds") if isinstance(spec, dict) else None
    return min(seconds, _LONGEST) if isinstance(seconds, int) else 0
