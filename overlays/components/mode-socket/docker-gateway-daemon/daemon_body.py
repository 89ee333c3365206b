"""The create body for the node's daemon: a new one, from known fields that the policy lets through."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any, NewType

from . import daemon_mounts, daemon_policy, devices, fields
from .backend import ApiError, Refusal
from .daemon_images import Image
from .daemon_limits import Limits
from .daemon_names import write_labels
from .labels import GROUP, IMAGE, OWNER
from .model import Create, HostConfig, to_json
from .settings import Settings

#: A request that `BodyWriter.check` has let through.
Checked = NewType("Checked", Create)


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
        self.values = f"workers.{settings.worker_group or '<name>'}.socket"
        self.limits = Limits(settings.daemon, self.values)
        self._mounts = daemon_mounts.MountWriter(settings.daemon, self._not_allowed)

    def check(self, request: Create) -> Checked:
        """Refuse what needs no look at the image. Raises Refusal."""
        daemon_policy.check(request)
        host, rules = request.host, self._rules
        for target in request.volumes:
            daemon_mounts.check_target("volumes", target)
        for target, options in host.tmpfs.items():
            daemon_mounts.check_target("tmpfs", target)
            fields.tmpfs_size(options)
        if host.network_mode not in ("", "default", "bridge", "none", *rules.networks):
            raise self._not_allowed("network_mode", "network", host.network_mode, "networks", rules.networks)
        if host.device_requests and not rules.gpus:
            raise Refusal(
                "device_requests",
                "this worker group may not use GPUs; remove it, or ask the administrator for"
                f" {self.values}.allowed.gpus",
            )
        devices.check(host.device_requests)
        return Checked(request)

    def write(self, request: Checked, image: Image) -> dict[str, Any]:
        """Write the body of a request. Raises Refusal."""
        check_platform(request.platform, image)
        host, parent, limits = request.host, self._parent(), self.limits
        mounts = self._mounts.write(host)
        limits.check_volumes(request, mounts, image.volumes)
        # From the fields of the tables alone: a field that is refused does not pass as a zero either.
        passed = {name: getattr(host, name) for name in daemon_policy.HOST_PASSED}
        written = dataclasses.replace(
            HostConfig(**passed),
            mounts=mounts,
            binds=(),
            security_opt=("no-new-privileges",),
            ulimits=limits.ulimits(host.ulimits),
            log_config=limits.log_config(),
            cgroup_parent=parent,
            # When the memory of the pod is used up, tasks end before anything else in it.
            oom_score_adj=1000 if parent else 0,
            **limits.resources(host, bool(parent) and self._in_pod),
        )
        passed = {name: getattr(request, name) for name in daemon_policy.PASSED}
        own = {**self._labels, IMAGE: request.image}
        whole = dataclasses.replace(
            Create(**passed),
            # What was looked at, and not what the name means by the time that the daemon reads it.
            image=image.id,
            labels=write_labels(request.labels, image.labels, own),
            env=devices.environment(self._environment(request), image.env, self._rules.gpus),
            stop_timeout=limits.stop_seconds(request.stop_timeout),
            host=written,
        )
        return {**to_json(whole), "Healthcheck": limits.health(request.healthcheck, image.health)}

    def explained(self, error: ApiError) -> ApiError:
        """Give the daemon's error about a body, which does not know whose the directory of `trust` is."""
        directory = self._rules.trust_directory
        if not directory or directory not in error.message:
            return error
        return ApiError(
            error.status,
            f"the CA certificates of trust.containers: {error.message}; ask the administrator to set"
            f" {self.values}.kubeletRootDir to the kubelet's --root-dir on this node",
            error.reason,
        )

    def _environment(self, request: Create) -> tuple[str, ...]:
        """Give the administrator's variables, and the author's, which win."""
        names = {entry.partition("=")[0] for entry in request.env}
        own = (f"{name}={value}" for name, value in self._rules.env.items() if name not in names)
        return (*own, *request.env)

    def _not_allowed(self, field: str, kind: str, value: str, key: str, allowed: Iterable[str]) -> Refusal:
        names = ", ".join(sorted(allowed)) or "none"
        return Refusal(
            field,
            f"the {kind} {value!r} is not allowed (allowed: {names}); ask the administrator to add it to"
            f" {self.values}.allowed.{key}",
        )


def check_platform(platform: str, image: Image) -> None:
    """Refuse a platform of which the image here is not: another one would be of other labels."""
    if not platform:
        return
    if not re.fullmatch(r"linux(/[a-z0-9]{1,16}){0,2}", platform):
        raise Refusal("platform", f"{platform[:40]!r} is unknown; use linux, or linux/amd64 and the like")
    asked = tuple(platform.split("/"))
    if asked != image.platform[: len(asked)]:
        raise Refusal(
            "platform",
            f"the image on this node is for {'/'.join(filter(None, image.platform))}, not for {platform};"
            " remove it",
        )
