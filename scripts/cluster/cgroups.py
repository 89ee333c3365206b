"""The node's cgroup on the host: it holds every process of the node, also when all else is lost.

On cgroup v1 that is one directory ``airdock`` in each hierarchy, on v2 one directory. The node
sees it as the root of its cgroup namespace.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from scripts.cluster.errors import ClusterError
from scripts.cluster.mounts import Mount, mounts
from scripts.cluster.settings import CGROUP, STATE

_UNIFIED = Path("/sys/fs/cgroup")
#: What kubelet and runc ask of v2.
_CONTROLLERS = frozenset({"cpu", "cpuset", "hugetlb", "io", "memory", "pids"})
#: On v2, the controllers that the host's root did not hand down before.
_RECORD = STATE / "controllers"


def unified() -> bool:
    """Whether the host runs cgroup v2 alone."""
    return any(mount.target == _UNIFIED and mount.filesystem == "cgroup2" for mount in mounts())


def hierarchies() -> list[Mount]:
    """The mounts that the node gets: v2 alone, or every v1 hierarchy."""
    kind = "cgroup2" if unified() else "cgroup"
    return [
        mount
        for mount in mounts()
        if mount.filesystem == kind and (mount.target == _UNIFIED or mount.target.parent == _UNIFIED)
    ]


def directories() -> list[Path]:
    """The node's cgroup in each hierarchy, whether it exists or not."""
    return [mount.target / CGROUP for mount in hierarchies()]


def create() -> list[Path]:
    """Create the node's cgroup and return the ``cgroup.procs`` files that put a process into it."""
    for directory in directories():
        directory.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # v1: empty in a new cgroup, and then nobody may enter.
            file = directory / name
            if not unified() and file.exists() and not file.read_text().strip():
                file.write_text((directory.parent / name).read_text())
    return [directory / "cgroup.procs" for directory in directories()]


def delegate(outer: int) -> None:
    """On v2, hand the controllers down to the node; ``outer`` is the process that waits for its PID 1.

    No process may stay in the cgroup itself then, so ``outer`` and PID 1 go into leaves.
    """
    if not unified():
        return
    (directory,) = directories()
    for process in (int(pid) for pid in (directory / "cgroup.procs").read_text().split()):
        leaf = directory / ("outer" if process == outer else "init")
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(process))
    for parent in (directory.parent, directory):
        control = parent / "cgroup.subtree_control"
        there = set((parent / "cgroup.controllers").read_text().split())
        missing = sorted(there & _CONTROLLERS - set(control.read_text().split()))
        if parent != directory:
            _RECORD.write_text(" ".join(missing))
        for controller in missing:
            control.write_text(f"+{controller}")


def _below(directory: Path) -> list[Path]:
    """The cgroup and those in it, deepest first."""
    return [Path(place) for place, _, _ in os.walk(directory, topdown=False)]


def processes() -> set[int]:
    """Process ids, as this process sees them, of everything in the node's cgroup."""
    found: set[int] = set()
    for directory in directories():
        for place in _below(directory):
            try:
                found |= {int(pid) for pid in (place / "cgroup.procs").read_text().split()}
            except OSError:  # It went away meanwhile.
                continue
    return found - {0}


def _thaw() -> None:
    """On v1 a paused container dies only when it is thawed."""
    for directory in directories():
        for place in _below(directory):
            state = place / "freezer.state"
            if state.exists():
                state.write_text("THAWED")


def kill(seconds: float = 30) -> None:
    """Kill everything in the node's cgroup and wait until it is gone."""
    end = time.monotonic() + seconds
    killed: set[int] = set()
    while alive := processes():
        killed |= alive
        _thaw()
        if time.monotonic() > end:
            raise ClusterError(f"Processes {sorted(alive)} of the node do not end.")
        for process in alive:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
    # A dead process has left its cgroup, and is listed until its parent, maybe the host's init, reaps it.
    while any(Path("/proc", str(process)).exists() for process in killed) and time.monotonic() < end:
        time.sleep(0.05)


def remove(seconds: float = 30) -> None:
    """Remove the node's cgroup. The kernel frees one a moment after its last process is gone."""
    end = time.monotonic() + seconds
    for directory in directories():
        while directory.exists():
            try:
                for place in _below(directory):
                    place.rmdir()
            except OSError as error:
                if time.monotonic() > end:
                    raise ClusterError(
                        f"The cgroup {directory} cannot be removed: {error.strerror}."
                    ) from None
                time.sleep(0.1)
    if _RECORD.exists():
        for controller in _RECORD.read_text().split():
            # Refused if another cgroup of the host has come to use it; then it has to stay.
            with contextlib.suppress(OSError):
                (_UNIFIED / "cgroup.subtree_control").write_text(f"-{controller}")
        _RECORD.unlink()
