"""Mounts of containers on the node's daemon: those of `mounts` and `binds`, both written as Mounts.

A bind's string is never passed on: what it means to the daemon depends on how it is split.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from . import devices, fields
from .backend import Refusal
from .model import Create, DriverConfig, HostConfig, Mount, VolumeOptions
from .settings import TRUST_DIRECTORY, Daemon


class MountWriter:
    """Writes mounts of what the settings allow. `refuse` makes the refusal of what they do not."""

    def __init__(self, rules: Daemon, refuse: Callable[[str, str, str, str, Iterable[str]], Refusal]) -> None:
        self._directories, self._volumes, self._refuse = rules.directories(), rules.volumes, refuse
        self._trust = rules.trust_directory

    def write(self, host: HostConfig) -> tuple[Mount, ...]:
        """Give the mounts of a request, and that of the CA certificates of `trust`. Raises Refusal."""
        mounts = tuple(map(self._mount, host.mounts)) + tuple(map(self._bind, host.binds))
        taken = {mount.target for mount in mounts} | {check_target("tmpfs", each) for each in host.tmpfs}
        if self._trust and TRUST_DIRECTORY not in taken:
            mounts += (Mount(TRUST_DIRECTORY, self._trust, "bind", read_only=True),)
        return mounts

    def _mount(self, mount: Mount) -> Mount:
        target = check_target("mounts", mount.target)
        if mount.type == "tmpfs":
            if mount.tmpfs.size < 0:
                raise Refusal("mounts", f"the size {mount.tmpfs.size} is negative; set a positive number")
            return Mount(target, "", "tmpfs", mount.read_only, tmpfs=mount.tmpfs)
        if mount.type == "bind":
            if fields.is_temporary(mount):
                # Empty before and thrown away after: an anonymous volume is that too, and cannot be a link
                # that DAG code put in the directory's place.
                return Mount(target, "", "volume", volume=VolumeOptions(no_copy=True))
            if mount.bind.propagation not in ("", "rprivate"):
                raise Refusal("mounts", "mount propagation could give access to the node; remove it")
            return self._directory("mounts", mount.source, target, mount.read_only)
        if mount.type in ("", "volume"):
            if mount.volume.driver_config != DriverConfig():
                raise Refusal("mounts", "the administrator chooses volume drivers; remove driver_config")
            options = VolumeOptions(no_copy=mount.volume.no_copy, subpath=fields.check_subpath(mount))
            return self._volume("mounts", mount.source, target, mount.read_only, options)
        raise Refusal("mounts", f"the type {mount.type[:40]!r} is unknown; use volume or tmpfs")

    def _bind(self, entry: str) -> Mount:
        parts = entry.split(":")
        options = parts[2].split(",") if len(parts) == 3 else []
        if len(parts) not in (2, 3) or not parts[0]:
            raise Refusal("binds", f"{entry[:200]!r} must be a source and a mount point, and ro where it is")
        unknown = set(options) - {"ro", "rw", "nocopy"}
        if unknown or len(set(options)) < len(options) or {"ro", "rw"} <= set(options):
            raise Refusal("binds", f"the mode {parts[2][:40]!r} is unknown; use ro or rw")
        target = check_target("binds", parts[1])
        if parts[0].startswith("/"):
            return self._directory("binds", parts[0], target, "ro" in options)
        volume = VolumeOptions(no_copy="nocopy" in options)
        return self._volume("binds", parts[0], target, "ro" in options, volume)

    def _directory(self, field: str, source: str, target: str, read_only: bool) -> Mount:
        # The very path: below it, a container may have put a link to anywhere.
        parts = [part for part in source.split("/") if part]
        allowed = self._directories.get("/" + "/".join(parts))
        if allowed is None or not source.startswith("/") or {".", ".."} & set(parts):
            raise self._refuse(field, "directory", source, "binds", self._directories)
        return Mount(target, allowed.path, "bind", read_only or allowed.read_only)

    def _volume(self, field: str, name: str, target: str, read_only: bool, options: VolumeOptions) -> Mount:
        if name and name not in self._volumes:
            raise self._refuse(field, "volume", name, "volumes", self._volumes)
        return Mount(target, name, "volume", read_only, volume=options)


def check_target(field: str, target: str) -> str:
    """Give a mount point in its shortest form. Raises Refusal."""
    devices.check_target(field, target)
    return fields.check_target(field, target)


def anonymous_volumes(request: Create, mounts: Iterable[Mount], image: Collection[str]) -> int:
    """Count the anonymous volumes that a container gets; `image` has the mount points of its image."""
    mounted = {mount.target: mount for mount in mounts}
    own = {target for target, mount in mounted.items() if mount.type == "volume" and not mount.source}
    return len(own | ({*request.volumes, *image} - mounted.keys()))
