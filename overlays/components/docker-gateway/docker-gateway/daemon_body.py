"""The create body for the node's daemon: a new one, from known fields that the policy lets through."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

from . import daemon_policy, fields
from .backend import Refusal
from .labels import CONTAINER, GROUP, OWNER
from .model import Create, DriverConfig, HostConfig, Mount, VolumeOptions, to_json
from .quantities import quantity
from .settings import Settings


class BodyWriter:
    """Writes bodies with limits, labels and no way to gain privileges.

    `parent` gives the cgroup that containers are put into; `in_pod` says that it is this pod's.
    """

    def __init__(self, settings: Settings, parent: Callable[[], str], in_pod: bool) -> None:
        self._rules, self._parent, self._in_pod = settings.daemon, parent, in_pod
        self._labels = {OWNER: settings.owner}
        if settings.worker_group:
            self._labels[GROUP] = settings.worker_group
        #: The values of the chart that allow things, for refusals.
        self._socket = f"workers.{settings.worker_group or '<name>'}.socket"

    def write(self, request: Create) -> dict[str, Any]:
        """Write the body of a request. Raises Refusal."""
        daemon_policy.check(request)
        self.check_image(request.image)
        self._check(request)
        host, parent = request.host, self._parent()
        # From the fields of the tables alone: a field that is refused does not pass as a zero either.
        passed = {name: getattr(host, name) for name in daemon_policy.HOST_PASSED}
        written = dataclasses.replace(
            HostConfig(**passed),
            mounts=tuple(self._mount(mount) for mount in host.mounts),
            binds=tuple(self._bind(entry) for entry in host.binds),
            security_opt=("no-new-privileges",),
            cgroup_parent=parent,
            # When the memory of the pod is used up, tasks end before anything else in it.
            oom_score_adj=1000 if parent else 0,
            **self._limits(host, bool(parent) and self._in_pod),
        )
        passed = {name: getattr(request, name) for name in daemon_policy.PASSED}
        labels = {**request.labels, **self._labels}
        return to_json(dataclasses.replace(Create(**passed), labels=labels, host=written))

    def check_image(self, image: str) -> None:
        """Refuse an image that the group may not use."""
        allowed = fields.matches(image, self._rules.images)
        fields.check_image(image, allowed, f"{self._socket}.allowed.images")

    def _check(self, request: Create) -> None:
        """Refuse values of fields that are passed on otherwise as they are."""
        host, rules = request.host, self._rules
        for label in request.labels:
            if label.startswith((OWNER, GROUP, CONTAINER)):
                raise Refusal("labels", f"the gateway sets {label[:80]!r}; use another name")
        for target in request.volumes:
            fields.check_target("volumes", target)
        for target, options in host.tmpfs.items():
            fields.check_target("tmpfs", target)
            fields.tmpfs_size(options)
        if host.network_mode not in ("", "default", "bridge", "none", *rules.networks):
            raise self._not_allowed("network_mode", "network", host.network_mode, "networks", rules.networks)
        if host.device_requests and not rules.gpus:
            raise Refusal(
                "device_requests",
                "this worker group may not use GPUs; remove it, or ask the administrator for"
                f" {self._socket}.allowed.gpus",
            )

    def _limits(self, host: HostConfig, in_pod: bool) -> dict[str, Any]:
        """Give the limits that a container gets. `in_pod`: it lives in this pod's cgroup."""
        rules = self._rules
        memory, cpu = int(quantity(rules.memory)), quantity(rules.cpu)
        limits: dict[str, Any] = {}
        for name, shown, ceiling, key in (
            ("memory", "mem_limit", memory, "memory"),
            ("shm_size", "shm_size", memory, "memory"),
            ("memory_reservation", "mem_reservation", memory, "memory"),
            ("pids_limit", "pids_limit", rules.pids, "pids"),
            ("nano_cpus", "nano_cpus", round(cpu * 1e9), "cpu"),
        ):
            asked = getattr(host, name)
            if asked < 0:
                raise Refusal(shown, f"{asked} is negative; set a positive number, or remove it")
            if ceiling and asked > ceiling:
                raise Refusal(shown, f"{asked} is more than {ceiling}, {self._limit(key)}")
        if memory:
            # Docker would add as much swap again.
            limits["memory"] = limits["memory_swap"] = host.memory or memory
        if rules.pids:
            limits["pids_limit"] = host.pids_limit or rules.pids
        if cpu and not host.nano_cpus:
            period = host.cpu_period or 100_000
            if host.cpu_quota > cpu * period:
                raise Refusal("cpu_quota", f"it is more than {cpu:g} cores, {self._limit('cpu')}")
            if in_pod and host.cpu_quota <= 0:
                # The pod's limit holds it, and cgroup v1 refuses a quota that is more than that.
                return limits
            # Not as nano_cpus: of those a daemon refuses more than its node has.
            limits |= {"cpu_period": period, "cpu_quota": max(host.cpu_quota, 0) or round(cpu * period)}
        return limits

    def _limit(self, key: str) -> str:
        return f"the limit of this worker group ({self._socket}.limits.{key}); set a smaller value"

    def _mount(self, mount: Mount) -> Mount:
        target = fields.check_target("mounts", mount.target)
        if mount.type == "tmpfs":
            return Mount(target, "", "tmpfs", mount.read_only, tmpfs=mount.tmpfs)
        if mount.type == "bind":
            if fields.is_temporary(mount):
                # Empty before and thrown away after: an anonymous volume is that too, and cannot be a link
                # that DAG code put in the directory's place.
                return Mount(target, "", "volume", volume=VolumeOptions(no_copy=True))
            if mount.bind.propagation not in ("", "rprivate"):
                raise Refusal("mounts", "mount propagation could give access to the node; remove it")
            return Mount(target, self._allowed_bind(mount.source), "bind", mount.read_only)
        if mount.type in ("", "volume"):
            if mount.volume.driver_config != DriverConfig():
                raise Refusal("mounts", "the administrator chooses volume drivers; remove driver_config")
            options = VolumeOptions(no_copy=mount.volume.no_copy, subpath=fields.check_subpath(mount))
            return Mount(
                target, self._allowed_volume(mount.source), "volume", mount.read_only, volume=options
            )
        raise Refusal("mounts", f"the type {mount.type[:40]!r} is unknown; use volume or tmpfs")

    def _bind(self, entry: str) -> str:
        source, _, rest = entry.partition(":")
        target, _, mode = rest.partition(":")
        if set(mode.split(",")) - {"", "ro", "rw", "nocopy"}:
            raise Refusal("binds", f"the mode {mode[:40]!r} is unknown; use ro or rw")
        target = fields.check_target("binds", target)
        allowed = self._allowed_bind(source) if source.startswith("/") else self._allowed_volume(source)
        return ":".join(filter(None, (allowed, target, mode)))

    def _allowed_bind(self, source: str) -> str:
        # The very path: below it, a container may have put a link to anywhere.
        if source not in self._rules.binds:
            raise self._not_allowed("mounts", "directory", source, "binds", self._rules.binds)
        return source

    def _allowed_volume(self, name: str) -> str:
        if name and name not in self._rules.volumes:
            raise self._not_allowed("mounts", "volume", name, "volumes", self._rules.volumes)
        return name

    def _not_allowed(self, field: str, kind: str, value: str, key: str, allowed: Iterable[str]) -> Refusal:
        names = ", ".join(sorted(allowed)) or "none"
        return Refusal(
            field,
            f"the {kind} {value!r} is not allowed (allowed: {names}); ask the administrator to add it to"
            f" {self._socket}.allowed.{key}",
        )


def check_platform(platform: str) -> str:
    """Refuse what is no platform of Linux."""
    if not re.fullmatch(r"linux(/[a-z0-9]{1,16}){0,2}", platform):
        raise Refusal("platform", f"{platform[:40]!r} is unknown; use linux, or linux/amd64 and the like")
    return platform
