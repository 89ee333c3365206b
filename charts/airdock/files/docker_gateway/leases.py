"""Whose gateway lives: one Lease per gateway in the task namespace, and the pods of dead ones.

A worker's node may be lost with all that would clean up after it, and no owner reference reaches across
namespaces. So each gateway renews a Lease; one that has not changed for `lease_seconds`, by the clock of who
watches it, is dead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from .health import log
from .kubernetes_api import ApiStatus, KubernetesApi, Object, pods_path
from .pods import OWNER
from .settings import Settings

_MANAGED = "app.kubernetes.io/managed-by=airdock"


class Leases:
    """Renews the own Lease and deletes what gateways without one have left."""

    def __init__(self, api: KubernetesApi, settings: Settings) -> None:
        self._api, self._owner = api, settings.owner
        self._namespace, self._seconds = settings.tasks.namespace, settings.tasks.lease_seconds
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases"
        self._name = f"airdock-gateway-{settings.owner}"
        self._renewed = self._swept = 0.0
        self._exists = False
        # Holder -> (renewTime as it stands in the Lease, when it was first seen so).
        self._seen: dict[str, tuple[str, float]] = {}

    def tick(self) -> None:
        """Do what is due. Called every few seconds."""
        now = time.monotonic()
        if self._seconds <= 0:
            return
        if now - self._renewed > self._seconds / 4:
            self._renewed = now
            with _logged("lease"):
                self._renew()
        if now - self._swept > self._seconds / 2:
            self._swept = now
            with _logged("sweep"):
                self._sweep(now)

    def release(self) -> None:
        """Delete the own Lease: what is left is anybody's to collect."""
        if self._exists:
            with _logged("lease"):
                self._api.request("DELETE", f"{self._path}/{self._name}")

    def _renew(self) -> None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self._name,
                "labels": {"app.kubernetes.io/managed-by": "airdock", OWNER: self._owner},
            },
            "spec": {
                "holderIdentity": self._owner,
                "leaseDurationSeconds": self._seconds,
                "renewTime": stamp,
            },
        }
        if self._exists:
            try:
                self._api.request("PUT", f"{self._path}/{self._name}", None, lease)
                return
            except ApiStatus as status:
                if status.code != 404:
                    raise
        try:
            self._api.request("POST", self._path, None, lease)
        except ApiStatus as status:
            if status.code != 409:
                raise
            self._api.request("PUT", f"{self._path}/{self._name}", None, lease)
        self._exists = True

    def _sweep(self, now: float) -> None:
        leases = self._api.request("GET", self._path, {"labelSelector": _MANAGED}).get("items") or []
        pods = (
            self._api.request(
                "GET", pods_path(self._namespace), {"labelSelector": f"{_MANAGED},{OWNER}"}
            ).get("items")
            or []
        )
        stamps = {each["spec"]["holderIdentity"]: each["spec"].get("renewTime", "") for each in leases}
        owners = {pod["metadata"]["labels"][OWNER] for pod in pods} | set(stamps)
        owners.discard(self._owner)
        self._seen = {owner: seen for owner, seen in self._seen.items() if owner in owners}
        for owner in owners:
            stamp = stamps.get(owner, "")
            if self._seen.get(owner, ("", 0.0))[0] != stamp or owner not in self._seen:
                self._seen[owner] = stamp, now
                continue
            if now - self._seen[owner][1] < self._seconds:
                continue
            left: list[Object] = [p for p in pods if p["metadata"]["labels"][OWNER] == owner]
            log("sweep", gateway=owner, pods=len(left))
            for pod in left:
                self._gone(pods_path(self._namespace, pod["metadata"]["name"]))
            if owner in stamps:
                self._gone(f"{self._path}/airdock-gateway-{owner}")

    def _gone(self, path: str) -> None:
        try:
            self._api.request("DELETE", path)
        except ApiStatus as status:
            if status.code != 404:
                raise


@contextmanager
def _logged(what: str) -> Iterator[None]:
    try:
        yield
    except ApiStatus as status:
        log(f"{what}-failed", error=status.message)
