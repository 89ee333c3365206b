"""Start and find the node's PID 1 (`scripts.cluster.pid1`) from the host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from scripts.cluster import cgroups, network, node
from scripts.cluster.errors import ClusterError
from scripts.cluster.pid1 import Plan
from scripts.cluster.run import tail
from scripts.cluster.settings import (
    HOST_ADDRESS,
    LINK_PREFIX,
    LOG,
    NAMESPACE_OPTIONS,
    NODE,
    NODE_ADDRESS,
    NODE_ROOT,
    STATE,
)
from scripts.tools.build import CACHE, ROOT

_RECORD = STATE / "supervisor.json"
#: Read-only on the node, at the same place, where the host has them.
_SHARED = (
    "/usr",
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/pki",
    "/etc/alternatives",
    *("/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"),
)


def _plan() -> Plan:
    shared = [Path(place) for place in _SHARED if Path(place).is_dir() and not Path(place).is_symlink()]
    python = Path(sys.base_prefix)
    if not python.is_relative_to("/usr"):
        shared.append(python)
    return Plan(
        root=str(NODE_ROOT),
        path=node.search_path(),
        host_name=NODE,
        address=f"{NODE_ADDRESS}/{LINK_PREFIX}",
        gateway=HOST_ADDRESS,
        logs=str(LOG),
        binds={
            **{str(place): str(place) for place in shared},
            str(CACHE): str(node.TOOLS),
            str(node.REGISTRY_STORAGE): "/var/lib/registry",
        },
        writable=[str(node.REGISTRY_STORAGE)],
        cgroups=[(str(h.target), h.filesystem, list(h.options)) for h in cgroups.hierarchies()],
    )


def start() -> int:
    """Start the node in namespaces of its own and return the process id of its PID 1.

    It leads a session of its own, so that it outlives the shell that started it.
    """
    LOG.mkdir(parents=True, exist_ok=True)
    entrances = cgroups.create()

    def enter() -> None:  # Before the cgroup namespace is made: its root is where the process is then.
        for entrance in entrances:
            entrance.write_text(str(os.getpid()))

    command = ["unshare", *NAMESPACE_OPTIONS, "--propagation=private", "--fork", "--kill-child=SIGKILL"]
    command += [sys.executable, "-m", "scripts.cluster.pid1", json.dumps(asdict(_plan()))]
    with (LOG / "node.log").open("wb") as log:
        outer = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=enter,
        )
    process = _wait_for_child(outer)
    _RECORD.write_text(json.dumps({"process": process, "started": _started(process)}))
    cgroups.delegate(outer.pid)
    network.attach(process)
    assert outer.stdin is not None
    outer.stdin.write(b"go\n")
    outer.stdin.close()
    return process


def _wait_for_child(outer: subprocess.Popen[bytes]) -> int:
    """The node's PID 1: the other process in the cgroup, once ``unshare`` has forked it."""
    end = time.monotonic() + 10
    while time.monotonic() < end and outer.poll() is None:
        others = cgroups.processes() - {outer.pid}
        if others:
            return others.pop()
        time.sleep(0.01)
    raise ClusterError(f"The node's namespaces could not be made:\n{log_tail('node')}")


def _started(process: int) -> str:
    """Start time of a process in clock ticks; with its id, this names it for as long as the host is up."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]


def running() -> int | None:
    """The process id of the node's PID 1, or None if there is no node."""
    try:
        record = json.loads(_RECORD.read_text())
        process = int(record["process"])
        alive = _started(process) == record["started"] and process in cgroups.processes()
    except (OSError, ValueError, KeyError):
        return None
    return process if alive else None


def log_tail(name: str) -> str:
    """The end of a service's log."""
    file = LOG / f"{name}.log"
    return tail(file.read_text(errors="replace")) if file.exists() else ""
