"""Layers as tar files: packed from an overlay's upper directory, unpacked to serve as a lower one.

The OCI image specification marks what a layer deletes by ``.wh.<name>`` and a directory that hides
the one below by ``.wh..wh..opq``; overlayfs uses a character device 0/0 and an extended attribute.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from scripts.images.errors import ImageError

#: Modification time (seconds since 1970) of whatever a build wrote, so that builds agree.
EPOCH = 1_767_225_600
_OPAQUE = "trusted.overlay.opaque"
#: The runtime mounts these; what a build has there is the build's.
_NOT_OURS = ("dev", "proc", "sys")


def pack(directory: Path, archive: Path, newer_than: float) -> None:
    """Write ``directory`` as a layer to ``archive``, an uncompressed tar.

    Names are sorted, owners numeric; times after ``newer_than`` (seconds since 1970) become EPOCH.

    Raises:
        ImageError: on what a layer cannot hold here (a device, file capabilities).
    """
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT, dereference=False) as tar:
        for path in _walk(directory):
            name = path.relative_to(directory).as_posix()
            status = path.lstat()
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                tar.addfile(_marker(str(Path(name).with_name(f".wh.{path.name}"))))
                continue
            if stat.S_ISSOCK(status.st_mode):
                continue
            attributes = os.listxattr(path, follow_symlinks=False)
            if (
                stat.S_ISCHR(status.st_mode)
                or stat.S_ISBLK(status.st_mode)
                or "security.capability" in attributes
            ):
                raise ImageError(
                    f"/{name} is a device or has file capabilities, which layers here do not hold."
                )
            member = tar.gettarinfo(path, name)
            member.uname = member.gname = ""
            member.mtime = EPOCH if status.st_mtime > newer_than else int(status.st_mtime)
            if member.isreg():
                with path.open("rb") as content:
                    tar.addfile(member, content)
            else:
                tar.addfile(member)
            if _OPAQUE in attributes:
                tar.addfile(_marker(f"{name}/.wh..wh..opq"))


def _walk(directory: Path) -> Iterator[Path]:
    """Everything under ``directory`` but the runtime's, parents first, sorted."""
    for entry in sorted(directory.iterdir()):
        yield entry
        if entry.is_dir() and not entry.is_symlink() and entry.name not in _NOT_OURS:
            yield from _walk_all(entry)


def _walk_all(directory: Path) -> Iterator[Path]:
    for entry in sorted(directory.iterdir()):
        yield entry
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk_all(entry)


def _marker(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mtime = EPOCH
    return member


def unpack(archive: Path, directory: Path) -> None:
    """Unpack a layer (tar, also compressed) into ``directory``, marking deletions as overlayfs does."""
    directory.mkdir(parents=True)
    subprocess.run(["tar", "--numeric-owner", "-xpf", archive, "-C", directory], check=True)
    for marker in sorted(directory.rglob(".wh.*")):
        marker.unlink()
        if marker.name == ".wh..wh..opq":
            os.setxattr(marker.parent, _OPAQUE, b"y")
        else:
            os.mknod(
                marker.with_name(marker.name.removeprefix(".wh.")), stat.S_IFCHR | 0o600, os.makedev(0, 0)
            )


def digest(file: Path) -> str:
    """``sha256:<hex>`` of a file, as OCI names blobs."""
    with file.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
