"""Which gateways of a node live: one volume per gateway, and the containers of dead ones.

The node's daemon is all that gateways of a node share, so each one creates a volume there again and again.
One whose volume has not changed for its own lease's seconds, by the clock of who watches it, is dead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .daemon_api import DaemonApi, quietly
from .health import log
from .labels import OWNER

_VOLUME = "airdock-gateway-"
#: Label of a volume: how long its gateway may be silent. Groups of one node may have different leases.
_SECONDS = "airdock.dev/lease-seconds"


class Leases:
    """Renews the own volume and removes what dead gateways have left."""

    def __init__(self, api: DaemonApi, owner: str, seconds: int) -> None:
        self._api, self._owner, self._seconds = api, owner, seconds
        self._renewed = -1e9
        # Owner -> (creation time of its volume, when it was first seen so).
        self._seen: dict[str, tuple[str, float]] = {}

    def tick(self, now: float) -> None:
        """Do what is due. Called every few seconds."""
        if now - self._renewed > self._seconds / 4:
            self._renewed = now
            self._renew()
            self._sweep(now)

    def release(self) -> None:
        """Remove the own volume."""
        self._drop(self._owner)

    def _drop(self, owner: str) -> None:
        quietly(self._api.call, "DELETE", f"/volumes/{_VOLUME}{owner}")

    def _renew(self) -> None:
        self._drop(self._owner)
        body = {"Name": _VOLUME + self._owner, "Labels": {OWNER: self._owner, _SECONDS: str(self._seconds)}}
        self._api.call("POST", "/volumes/create", body=body)

    def _patience(self, volume: Mapping[str, Any]) -> int:
        theirs = str((volume.get("Labels") or {}).get(_SECONDS, ""))
        return max(self._seconds, int(theirs)) if theirs.isascii() and theirs.isdigit() else self._seconds

    def _sweep(self, now: float) -> None:
        filters = json.dumps({"label": [OWNER]})
        found = self._api.call("GET", "/volumes", {"filters": filters}).get("Volumes") or []
        named = {str(volume.get("Name")): volume for volume in found}
        volumes = {n.removeprefix(_VOLUME): volume for n, volume in named.items() if n.startswith(_VOLUME)}
        containers = self._api.call("GET", "/containers/json", {"all": "1", "filters": filters})
        labels = {c["Id"]: (c.get("Labels") or {}).get(OWNER, "") for c in containers}
        owners = (set(labels.values()) | set(volumes)) - {self._owner, ""}
        self._seen = {owner: seen for owner, seen in self._seen.items() if owner in owners}
        for owner in owners:
            volume = volumes.get(owner, {})
            stamp = str(volume.get("CreatedAt", ""))
            if owner not in self._seen or self._seen[owner][0] != stamp:
                self._seen[owner] = stamp, now
            elif now - self._seen[owner][1] > self._patience(volume):
                left = [each for each, its in labels.items() if its == owner]
                log("sweep", gateway=owner, containers=len(left))
                for each in left:
                    quietly(self._api.destroy, each)
                self._drop(owner)
