"""What the native cluster could leave on a host: taken before and after, and compared."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from scripts.cluster import calico, nft
from scripts.cluster.mounts import mounts

#: Where programs of a node would write if it were not kept apart. Caches are meant to stay.
_FILES = (
    *("/etc", "/opt", "/run", "/srv", "/tmp", "/usr/local", "/var/lib", "/var/log", "/var/cache"),
    *("/usr/libexec", "/root"),
)
#: Directories that others work in while the test runs: an apt of a user, another cluster, a test's own files.
_OTHERS = ("/root/", "/tmp/", "/var/lib/airdock/", "/var/lib/apt/", "/var/lib/dpkg/", "/var/cache/apt/")
_DEPTH = 3
_SYSCTLS = ("kernel", "net", "vm", "fs", "user")
#: These count or are random; nobody sets them.
_VOLATILE = (
    *("random/", "fs/dentry-state", "fs/file-nr", "fs/inode-", "fs/aio-nr", "fs/quota/"),
    *("ns_last_pid", "kernel/pty/nr", "net/netfilter/nf_conntrack_count", "perf_event_max_sample_rate"),
)


def _lines(*command: str) -> set[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(done.stdout.splitlines())


def interfaces() -> set[str]:
    """Names of the host's interfaces."""
    return {entry.name for entry in Path("/sys/class/net").iterdir()}


def routes() -> set[str]:
    """IPv4 routes of all tables, addresses' own included."""
    return _lines("ip", "-4", "route", "show", "table", "all")


def rules() -> set[str]:
    """Lines of the nftables ruleset, without counters, and of iptables where it is there."""
    tables = _lines("chroot", str(nft.root()), "/usr/sbin/nft", "--stateless", "list", "ruleset")
    return tables | _lines("sh", "-c", "command -v iptables-save && iptables-save | grep -v '^[#:]'")


def ipsets() -> set[str]:
    """Names of the sets that iptables rules match against."""
    return _lines("chroot", str(calico.root()), "/usr/sbin/ipset", "list", "-name")


def mount_points() -> set[str]:
    """Mount points of this mount namespace."""
    return {f"{mount.filesystem} {mount.target}" for mount in mounts()}


def namespaces(processes: Iterable[str]) -> set[str]:
    """The namespaces of processes, by their ids on the host, that are not this process's own."""
    own = {str(entry.readlink()) for entry in Path("/proc/self/ns").iterdir()}
    found = set()
    for process in processes:
        with contextlib.suppress(OSError):  # It ended meanwhile.
            found |= {str(entry.readlink()) for entry in Path("/proc", process, "ns").iterdir()}
    return found - own


def processes_in(wanted: set[str]) -> set[tuple[str, str]]:
    """The host's processes that are in one of these namespaces, each as its id and start time.

    The kernel gives a freed namespace's number to the next one, so these are to be asked for while the
    node is up; whether a process still lives, `living` tells.
    """
    ids = [entry.name for entry in Path("/proc").glob("[0-9]*")]
    return {(process, _started(process)) for process in ids if namespaces([process]) & wanted}


def living(processes: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the processes that have not ended."""
    return {(process, started) for process, started in processes if _started(process) == started}


def _started(process: str) -> str:
    """Start time of a process in clock ticks, or nothing if it is gone."""
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def cgroups() -> set[str]:
    """Cgroups, without those of the user's own native cluster and those in which this test itself runs."""
    own = {line.rpartition(":")[2].split("/")[1] for line in Path("/proc/self/cgroup").read_text().split()}
    found = set()
    for place, directories, _ in os.walk("/sys/fs/cgroup"):
        directories[:] = [name for name in directories if name not in {"airdock", *own}]
        found.add(place)
    return found


def _populated(cgroup: Path) -> bool:
    return any(file.read_text() for file in cgroup.rglob("cgroup.procs"))


def files() -> set[str]:
    """Files and directories, to a depth of three, where a node would leave them."""
    found = set()
    for top in _FILES:
        for place, directories, names in os.walk(top):
            if place.count("/") - top.count("/") >= _DEPTH:
                directories.clear()
            found |= {f"{place}/{name}" for name in (*directories, *names)}
    return {name for name in found if not name.startswith(_OTHERS)}


def sysctls() -> set[str]:
    """Kernel settings and their values."""
    found = set()
    for top in _SYSCTLS:
        for place, _, names in os.walk(f"/proc/sys/{top}"):
            for name in names:
                file = Path(place, name)
                if not any(part in str(file) for part in _VOLATILE):
                    try:
                        found.add(f"{file} = {file.read_text().strip()}")
                    except (OSError, UnicodeDecodeError):
                        continue
    return found


def snapshot() -> dict[str, set[str]]:
    """All of it, by kind."""
    kinds = (interfaces, routes, rules, ipsets, mount_points, cgroups, files, sysctls)
    return {kind.__name__: kind() for kind in kinds}


def difference(before: dict[str, set[str]], after: dict[str, set[str]]) -> str:
    """What came and what went, as JSON by kind; empty if the host is as it was."""
    changes = {}
    for kind in before:
        came, went = sorted(after[kind] - before[kind]), sorted(before[kind] - after[kind])
        if kind == "cgroups":  # One with processes in it is another program's: the node has none left.
            came, went = [place for place in came if not _populated(Path(place))], []
        if came or went:
            changes[kind] = {"came": came, "went": went}
    return json.dumps(changes, indent=1) if changes else ""
