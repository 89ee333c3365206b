"""What containers write to the node's disk: layers and anonymous volumes, on a daemon without quotas."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from .backend import ApiError
from .containers import Containers
from .daemon_api import DaemonApi
from .daemon_container import Container
from .health import log
from .labels import OWNER
from .loops import Loop
from .quantities import quantity
from .settings import Settings

#: Seconds between two looks. The daemon walks directories for one: if it takes long, the next one is later.
PERIOD = 60.0
_SHARE = 20
#: The name of an anonymous volume.
_ANONYMOUS = re.compile(r"[0-9a-f]{64}\Z")


class Storage:
    """Ends containers that have written more than the ceiling."""

    def __init__(self, api: DaemonApi, settings: Settings, containers: Containers[Container]) -> None:
        self._api, self._containers = api, containers
        self._filters = json.dumps({"label": [f"{OWNER}={settings.owner}"], "status": ["running"]})
        self._ceiling = round(quantity(settings.daemon.storage))
        self._value = f"workers.{settings.worker_group or '<name>'}.socket.limits.storage"
        self._pause = PERIOD
        self.loop = Loop("storage", self._step, lambda: self._pause, silence=3600.0)

    def _step(self) -> None:
        begun = time.monotonic()
        try:
            if self._ceiling and any(each.begun and not each.ended_at for each in self._containers.all()):
                self.look()
        except ApiError as error:
            # daemon_cleanup.py tries again and again, and tells of a daemon that does not answer.
            log("storage-failed", error=error.message)
        self._pause = max(PERIOD, _SHARE * (time.monotonic() - begun))

    def look(self) -> None:
        """Measure the containers that run, and end those above the ceiling."""
        query = {"size": "1", "filters": self._filters}
        found = self._api.call("GET", "/containers/json", query, timeout=600.0)
        volumes = {each["Id"]: _anonymous(each) for each in found}
        sizes = self._volume_sizes() if any(volumes.values()) else {}
        for each in found:
            container = self._containers.get(each["Id"])
            size = int(each.get("SizeRw") or 0) + sum(sizes.get(name, 0) for name in volumes[each["Id"]])
            if container is None or size <= self._ceiling:
                continue
            why = (
                f"the container wrote {size} bytes to the node's disk, more than {self._ceiling}, the limit"
                f" of this worker group ({self._value})"
            )
            log("storage", bytes=size, **container.names())
            container.lost = container.lost or why
            container.end(self._api, 0, why)

    def _volume_sizes(self) -> dict[str, int]:
        try:
            found = self._api.call("GET", "/system/df", {"type": "volume"}, timeout=600.0)
        except ApiError as error:
            log("volume-sizes-failed", error=error.message)
            return {}
        return {
            each["Name"]: max(int((each.get("UsageData") or {}).get("Size") or 0), 0)
            for each in found.get("Volumes") or []
        }


def _anonymous(found: Mapping[str, Any]) -> list[str]:
    names = [each.get("Name") or "" for each in found.get("Mounts") or [] if each.get("Type") == "volume"]
    return [name for name in names if _ANONYMOUS.match(name)]
