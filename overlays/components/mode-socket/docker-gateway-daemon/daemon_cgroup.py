"""The cgroup that containers of the node's daemon are put into."""

from __future__ import annotations

import re
from pathlib import Path

from .daemon_api import DaemonApi
from .health import log


class CgroupParent:
    """Reads the setting `daemon.cgroupParent`; `auto` asks the daemon and /proc once."""

    def __init__(self, api: DaemonApi, setting: str) -> None:
        self._api = api
        self.auto = setting == "auto"
        self._parent = None if self.auto else "" if setting == "none" else setting

    def __call__(self) -> str:
        """Give the cgroup; empty for the daemon's default."""
        if self._parent is None:
            driver = self._api.call("GET", "/info").get("CgroupDriver", "")
            cgroups = Path("/proc/self/cgroup").read_text()
            self._parent = pod_cgroup(cgroups, driver)
            if self._parent:
                log("cgroup-parent", parent=self._parent, driver=driver)
            else:
                log("cgroup-parent", parent="the daemon's default", driver=driver, reason=_no_cgroup(cgroups))
        return self._parent


def pod_cgroup(cgroups: str, driver: str) -> str:
    """Give the cgroup that holds this pod, as the daemon's cgroup driver names it; empty if there is none.

    `cgroups` is /proc/self/cgroup. Where this container has a cgroup namespace of its own, as with cgroup v2,
    it shows nothing but `/`.
    """
    # 4:memory:/kubepods/burstable/pod<uid>/<container>, or with cgroup v2 0::/kubepods/...
    fields = [line.split(":", 2) for line in cgroups.splitlines()]
    paths = {controllers: path for _, controllers, path in fields}
    path = paths.get("memory") or paths.get("", "")
    match = re.fullmatch(r"(/[A-Za-z0-9._/-]*pod[0-9a-f]{8}[0-9a-f_-]{20,28}(?:\.slice)?)/[^/]+", path)
    if not match:
        return ""
    if driver == "systemd":
        slice_name = match[1].rpartition("/")[2]
        return slice_name if slice_name.endswith(".slice") else ""
    return match[1]


def _no_cgroup(cgroups: str) -> str:
    """Say why pod_cgroup found nothing in `cgroups`, and what follows."""
    if cgroups.strip() == "0::/":
        why = "with cgroup v2 a container cannot see the cgroup of its pod"
    else:
        why = "/proc/self/cgroup names no pod's cgroup that this cgroup driver could use"
    return f"{why}: containers are limited one by one, not by this pod's limits"
