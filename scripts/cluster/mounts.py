"""What is mounted, and unmounting without ever deleting through a mount."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from scripts.cluster.errors import ClusterError
from scripts.cluster.run import run


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    target: Path
    filesystem: str
    #: Options of the superblock, such as ``rw,cpu,cpuacct``.
    options: tuple[str, ...]


def mounts() -> list[Mount]:
    """All mounts of this process's mount namespace, in mount order."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        target = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), left.split()[4])
        filesystem, _, options = right.split(" ", 2)
        found.append(Mount(Path(target), filesystem, tuple(options.split(","))))
    return found


def below(directory: Path) -> list[Path]:
    """Mount points at or below a directory, deepest first."""
    return [mount.target for mount in reversed(mounts()) if mount.target.is_relative_to(directory)]


def remove_tree(directory: Path) -> None:
    """Unmount what is mounted below a directory, then delete it.

    Raises:
        ClusterError: if something stays mounted there: deleting would then reach through it.
    """
    for target in below(directory):
        run(["umount", "--lazy", target])
    left = below(directory)
    if left:
        raise ClusterError(f"{left[0]} cannot be unmounted, so {directory} is not deleted.")
    if directory.exists():
        # Directories of mode 000 (overlayfs makes them) stop nobody here: this runs as root.
        shutil.rmtree(directory)
    if os.path.lexists(directory):
        raise ClusterError(f"{directory} cannot be deleted.")
