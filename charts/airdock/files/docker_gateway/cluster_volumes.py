"""Volumes of a pod, and where its containers mount them."""

from __future__ import annotations

import dataclasses
import posixpath
from dataclasses import dataclass
from typing import Any

from . import fields
from .backend import Refusal
from .model import Create, Mount
from .settings import TRUST_DIRECTORY, TRUST_FILE, Tasks, Volume

#: Where a sidecar finds a file that is a volume by itself.
_OUTPUT, _RESULT = "/run/airdock-output", "file"


@dataclass(frozen=True)
class Shared:
    """A file that a sidecar reads: its path there, its mount, and whether it must be created beforehand."""

    path: str
    mount: dict[str, Any]
    create: bool


class Volumes:
    """Collects what a request mounts, and what the gateway adds."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.volumes: list[dict[str, Any]] = []
        self.mounts: dict[str, dict[str, Any]] = {}

    def add_all(self, request: Create) -> None:
        """Add what the request mounts. Raises Refusal."""
        host = request.host
        for mount in host.mounts:
            self._add(mount)
        for entry in host.binds:
            source, _, rest = entry.partition(":")
            target, _, mode = rest.partition(":")
            if set(mode.split(",")) - {"", "ro", "rw", "z", "Z", "rprivate", "private"}:
                raise Refusal("binds", f"the mode {mode[:40]!r} is unknown; use ro or rw")
            kind = "bind" if source.startswith("/") else "volume"
            self._add(Mount(target, source, kind, "ro" in mode.split(",")))
        for target, options in host.tmpfs.items():
            self._memory(fields.check_target("tmpfs", target), fields.tmpfs_size(options))
        if host.shm_size:
            self._memory("/dev/shm", host.shm_size)  # noqa: S108
        trust = self._tasks.trust
        if trust.config_map and TRUST_DIRECTORY not in self.mounts:
            items = [{"key": trust.key, "path": TRUST_FILE}]
            name = self._volume("configMap", {"name": trust.config_map, "items": items})
            self._mount(TRUST_DIRECTORY, name, readOnly=True)

    def _add(self, mount: Mount) -> None:
        target = fields.check_target("mounts", mount.target)
        if mount.type == "tmpfs":
            self._memory(target, mount.tmpfs.size)
        elif fields.is_temporary(mount):
            self.empty_dir(target)
        elif mount.type == "bind":
            self._claim(target, self._mapped(mount), mount)
        elif mount.type in ("", "volume"):
            self._claim(target, self._allowed(mount), mount)
        else:
            raise Refusal("mounts", f"the type {mount.type[:40]!r} is unknown; use volume or tmpfs")

    def _mapped(self, mount: Mount) -> Volume:
        """Give the claim that a directory of a bind mount, or the nearest one above it, is mapped to."""
        source = posixpath.normpath(mount.source).rstrip("/")
        above = [path for path in self._tasks.binds if f"{source}/".startswith(f"{path.rstrip('/')}/")]
        if not above or ".." in mount.source.split("/"):
            raise Refusal(
                "mounts",
                f"no node of the cluster has the directory {mount.source!r}; use a volume, or ask the"
                " administrator to map the directory to a claim in tasks.binds",
            )
        if mount.bind.propagation not in ("", "rprivate", "private"):
            raise Refusal("mounts", "mount propagation is not available; remove it")
        nearest = max(above, key=len)
        mapped = self._tasks.binds[nearest]
        below = source.removeprefix(nearest.rstrip("/")).strip("/")
        return dataclasses.replace(mapped, sub_path="/".join(filter(None, (mapped.sub_path, below))))

    def _allowed(self, mount: Mount) -> Volume:
        """Give the claim behind a volume's name."""
        allowed = self._tasks.claims.get(mount.source)
        if allowed is None:
            what = f"the volume {mount.source[:80]!r} is" if mount.source else "anonymous volumes are"
            names = ", ".join(sorted(self._tasks.claims)) or "none"
            raise Refusal(
                "mounts",
                f"{what} not allowed (tasks.claims has {names}); ask the administrator to add a claim to"
                " tasks.claims",
            )
        if mount.volume.driver_config.name or mount.volume.driver_config.options:
            raise Refusal("mounts", "the administrator chooses volume drivers; remove driver_config")
        return allowed

    def _claim(self, target: str, allowed: Volume, mount: Mount) -> None:
        source = {"claimName": allowed.claim_name}
        name = next((v["name"] for v in self.volumes if v.get("persistentVolumeClaim") == source), "")
        if not name:
            name = self._volume("persistentVolumeClaim", source)
        extra: dict[str, Any] = {}
        sub_path = "/".join(filter(None, (allowed.sub_path, fields.check_subpath(mount))))
        if sub_path:
            extra["subPath"] = sub_path
        if mount.read_only or allowed.read_only:
            extra["readOnly"] = True
        self._mount(target, name, **extra)

    def _memory(self, target: str, size: int) -> None:
        """Mount memory; `size` in bytes, 0 for the container's limit."""
        if size < 0:
            raise Refusal("tmpfs", f"the size {size} is negative; set a positive number, or remove it")
        source = {"medium": "Memory", **({"sizeLimit": str(size)} if size else {})}
        self._mount(target, self._volume("emptyDir", source))

    def empty_dir(self, target: str) -> None:
        """Mount an empty directory of the size that the settings allow."""
        self._mount(target, self._volume("emptyDir", {"sizeLimit": self._tasks.tmp_size_limit}))

    def _volume(self, kind: str, source: dict[str, Any]) -> str:
        name = f"volume-{len(self.volumes)}"
        self.volumes.append({"name": name, kind: source})
        return name

    def _mount(self, target: str, name: str, **extra: Any) -> None:
        if target in self.mounts:
            raise Refusal("mounts", f"two mounts have the same mount point {target}; change one")
        self.mounts[target] = {"name": name, "mountPath": target, **extra}

    def mount_of(self, path: str) -> dict[str, Any]:
        """Give the innermost mount that holds a path."""
        covering = [t for t in self.mounts if path.startswith(t + "/")]
        return self.mounts[max(covering, key=len)] if covering else {}

    def share(self, path: str) -> Shared:
        """Make a file readable for a sidecar: the file itself, or a directory above it, must be a volume."""
        fields.check_target("retrieve_output_path", path)
        if not self.mount_of(path) and path.startswith("/tmp/"):  # noqa: S108
            self.empty_dir("/tmp")  # noqa: S108
        if mount := self.mount_of(path):
            return Shared(path, mount, False)
        # Not the directory, which would hide what the image has there.
        name = self._volume("emptyDir", {"sizeLimit": self._tasks.tmp_size_limit})
        self._mount(path, name, subPath=_RESULT)
        return Shared(f"{_OUTPUT}/{_RESULT}", {"name": name, "mountPath": _OUTPUT}, True)
