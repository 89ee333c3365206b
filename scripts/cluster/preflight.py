"""What must hold before anything on the host is changed; one sentence for each thing that does not."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from scripts.cluster import cgroups, mounts, network
from scripts.cluster.errors import ClusterError
from scripts.cluster.run import works
from scripts.cluster.settings import NAMESPACE_OPTIONS, NETWORK, STATE
from scripts.tools.build import CACHE, built, check_go, lookup

#: Binaries of the node; always the pinned ones.
BINARIES = (
    "kubectl",
    "containerd",
    "runc",
    "cni",
    "calico",
    "etcd",
    "dockerd",
    "docker",
    "registry",
    "coredns",
    "local-path-provisioner",
    "kubernetes",
)
_NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
_PROGRAMS = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "pivot_root": "util-linux",
}
_GIB = 1024**3
_DISK_GIB = 8
_BUILD_DISK_GIB = 15  # Go's module and build caches, mostly.
_MEMORY_GIB = 2.5


def system() -> None:
    """Raise ClusterError unless this is Linux and the user is root."""
    if platform.system() != "Linux":
        raise ClusterError(
            f"The native cluster needs Linux, and this is {platform.system()}: use any Kubernetes cluster's "
            "context instead (kind, k3d, Docker Desktop) with CLUSTER=current."
        )
    if os.geteuid() != 0:
        raise ClusterError(
            "The native cluster needs root, for namespaces and mounts: run this with sudo, or use a cluster "
            "that you have with CLUSTER=current."
        )


def host() -> None:
    """Raise ClusterError for the first thing in the way of a start."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise ClusterError(f"{program} is needed and is not on PATH: install {package}.")
    missing = [name for name in _NAMESPACES if not Path(f"/proc/self/ns/{name}").exists()]
    if missing:
        raise ClusterError(
            f"This kernel has no {missing[0]} namespaces, which keep the cluster apart from the host."
        )
    apart = ["unshare", *NAMESPACE_OPTIONS, "--fork"]
    if not works([*apart, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]):
        raise ClusterError(
            "This root may not make namespaces and mount in them (a container without --privileged?): run it "
            "on the machine itself, or use a cluster that you have with CLUSTER=current."
        )
    if not cgroups.hierarchies():
        raise ClusterError("No cgroup file system is mounted at /sys/fs/cgroup, and the kubelet needs one.")
    if not os.access(cgroups.hierarchies()[0].target, os.W_OK) or _read_only_cgroups():
        raise ClusterError(
            "/sys/fs/cgroup is mounted read-only: run this on the machine itself, not in a container."
        )
    if "overlay" not in Path("/proc/filesystems").read_text() and not works(["modprobe", "overlay"]):
        raise ClusterError("This kernel has no overlayfs, and containerd needs it.")
    if _filesystem(STATE.parent) in ("overlay", "tmpfs", "nfs", "nfs4"):
        raise ClusterError(
            f"{STATE.parent} is on {_filesystem(STATE.parent)}, where containers cannot have their layers: "
            "run this on the machine itself, or mount a local disk there."
        )
    taken = network.taken()
    if taken:
        raise ClusterError(
            f"The cluster wants the addresses {NETWORK}, and {taken} is in the way: remove it, or set "
            "AIRDOCK_NETWORK to a free /18 such as 10.203.0.0/18 for every command."
        )
    _resources()


def _read_only_cgroups() -> bool:
    return bool(os.statvfs(cgroups.hierarchies()[0].target).f_flag & os.ST_RDONLY)


def _filesystem(place: Path) -> str:
    """The type of the file system that a directory is on."""
    above = [mount for mount in mounts.mounts() if place.is_relative_to(mount.target)]
    return max(above, key=lambda mount: len(mount.target.parts)).filesystem


def _resources() -> None:
    """Disk for state and cache, memory, and Go if something is not built."""
    to_build = [name for name in BINARIES if not built(lookup(name))]
    _disk(STATE.parent, _DISK_GIB, "the cluster")
    if to_build:
        check_go()
        _disk(CACHE, _BUILD_DISK_GIB, "building the cluster's binaries")
    available = next(
        int(line.split()[1]) / 1024**2
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable")
    )
    if available < _MEMORY_GIB:
        raise ClusterError(
            f"{available:.1f} GiB of memory are available and the cluster needs {_MEMORY_GIB}."
        )


def _disk(place: Path, needed: int, what: str) -> None:
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / _GIB
    if free < needed:
        raise ClusterError(f"{free:.1f} GiB are free at {place} and {what} needs {needed}: make room first.")
