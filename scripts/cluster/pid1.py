"""PID 1 of the node: mounts its file system, starts its services, restarts them, reaps orphans.

Started by ``unshare`` in namespaces of its own; waits for one line on standard input before it does
anything, because the host has to put the network link into them first. Arguments: one JSON object
with the fields of `Plan`.

Once the root is changed, this program's own files are out of sight: everything is imported before.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from scripts.cluster.mounts import Mount

_LOG_LIMIT = 64 * 1024**2
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse", "loop-control", "net/tun")
#: Kernel settings that are not the node's alone. The kubelet and kubeadm insist on these values; they
#: read them from these files instead, and the host's stay what they are.
_PRETENDED = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


@dataclass(frozen=True)
class Plan:
    """What the host tells the node."""

    root: str
    path: str
    host_name: str
    address: str
    gateway: str
    logs: str
    #: Directory of the host -> place on the node; read-only but for the writable ones.
    binds: dict[str, str]
    writable: list[str]
    #: Mounts of cgroup hierarchies on the host: target, file system, options.
    cgroups: list[tuple[str, str, list[str]]]


def main() -> None:
    """Become the node."""
    plan = Plan(**json.loads(sys.argv[1]))
    if not sys.stdin.readline():
        sys.exit("The host went away before the node could start.")
    root = Path(plan.root)
    services = _services(Path(plan.logs), plan.path)
    _mount_root(root, plan)
    _mount_cgroups(root, [Mount(Path(place), kind, tuple(with_)) for place, kind, with_ in plan.cgroups])
    _pretend(root)
    _change_root(root)
    socket.sethostname(plan.host_name)
    _link_up(plan)
    # The registry would send traces somewhere by default.
    _supervise(services, {"PATH": plan.path, "HOME": "/root", "OTEL_TRACES_EXPORTER": "none"})


def _call(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True)


def _bind(source: Path, target: Path, *, writable: bool = False) -> None:
    """Show a file or directory of the host at a place on the node."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _call("mount", "--rbind", source, target)
    if not writable:
        _call("mount", "-o", "remount,bind,ro", target)


def _mount_root(root: Path, plan: Plan) -> None:
    _call("mount", "--bind", root, root)
    for source, place in plan.binds.items():
        _bind(Path(source), root / place.lstrip("/"), writable=source in plan.writable)
    _call("mount", "-t", "proc", "proc", root / "proc")
    # A second one with nothing mounted over it: without, no user namespace may mount a proc of its own.
    _call("mount", "-t", "proc", "proc", root / "opt/airdock/proc")
    _call("mount", "-t", "sysfs", "sysfs", root / "sys")
    dev = root / "dev"
    _call("mount", "-t", "tmpfs", "-o", "mode=755,nosuid", "dev", dev)
    for name in _DEVICES:
        host = Path("/dev") / name
        if host.exists():
            (dev / name).parent.mkdir(exist_ok=True)
            os.mknod(dev / name, stat.S_IFCHR | 0o666, host.stat().st_rdev)
            (dev / name).chmod(stat.S_IMODE(host.stat().st_mode))
    for name, options in (("pts", "newinstance,ptmxmode=0666,mode=0620,gid=5"), ("shm", "mode=1777")):
        (dev / name).mkdir()
        _call("mount", "-t", "devpts" if name == "pts" else "tmpfs", "-o", options, name, dev / name)
    (dev / "mqueue").mkdir()
    _call("mount", "-t", "mqueue", "mqueue", dev / "mqueue")
    (dev / "ptmx").symlink_to("pts/ptmx")
    (dev / "fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (dev / name).symlink_to(f"/proc/self/fd/{number}")


def _mount_cgroups(root: Path, hierarchies: list[Mount]) -> None:
    """Mount what the host mounts; in the cgroup namespace each starts at the node's own cgroup."""
    top = root / "sys/fs/cgroup"
    if hierarchies[0].filesystem == "cgroup2":
        _call("mount", "-t", "cgroup2", "cgroup2", top)
        return
    _call("mount", "-t", "tmpfs", "-o", "mode=755", "cgroup", top)
    controllers = {line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines()}
    for hierarchy in hierarchies:
        # The other options (rw, xattr, a release agent) are the host's, not the hierarchy's name.
        names = [name for name in hierarchy.options if name in controllers or name.startswith("name=")]
        if any(name.startswith("name=") for name in names):
            names.insert(0, "none")
        place = top / hierarchy.target.name
        place.mkdir()
        _call("mount", "-t", "cgroup", "-o", ",".join(names), "cgroup", place)
        for name in names:  # `cpu` -> `cpu,cpuacct`, where the host has them together.
            if name not in ("none", place.name) and not name.startswith("name="):
                (top / name).symlink_to(place.name)


def _pretend(root: Path) -> None:
    files = root / "opt/airdock/sysctl"
    for name, value in _PRETENDED.items():
        setting = root / "proc/sys" / name
        if setting.exists():
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            (files / name).write_text(f"{value}\n")
            _call("mount", "--bind", files / name, setting)


def _change_root(root: Path) -> None:
    old = root / "mnt"
    os.chdir(root)
    _call("pivot_root", ".", old)
    os.chdir("/")
    _call("umount", "--lazy", "/mnt")
    # Kubelet and Docker hand mounts to containers by propagation.
    _call("mount", "--make-rshared", "/")


def _link_up(plan: Plan) -> None:
    _call("ip", "link", "set", "lo", "up")
    _call("ip", "address", "add", plan.address, "dev", "eth0")
    _call("ip", "link", "set", "eth0", "up")
    _call("ip", "route", "add", "default", "via", plan.gateway)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


@dataclass
class Service:
    """A program that runs as long as the node does."""

    name: str
    command: list[str]
    log: IO[bytes]
    #: It starts when these exist.
    needs: tuple[str, ...] = ()
    #: Left by a killed run, and in the way of the next.
    stale: tuple[str, ...] = ()
    #: A file ``NAME="arguments"`` with more arguments.
    arguments_file: str = ""
    process: int = 0
    not_before: float = field(default=0.0)

    def start(self, environment: dict[str, str]) -> None:
        """Start it, if what it needs is there and its pause is over."""
        if self.process or time.monotonic() < self.not_before or not all(map(os.path.exists, self.needs)):
            return
        for name in self.stale:
            Path(name).unlink(missing_ok=True)
        more = ""
        if self.arguments_file:
            more = Path(self.arguments_file).read_text().partition("=")[2].strip().strip('"')
        started = subprocess.Popen(
            [*self.command, *shlex.split(more)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self.process = started.pid
        self.not_before = time.monotonic() + 1


def _services(logs: Path, path: str) -> list[Service]:
    """The node's services. Their logs are opened here, while the host's files are still in sight."""
    flags = "/var/lib/kubelet/kubeadm-flags.env"
    kubelet = [
        "kubelet",
        "--config=/var/lib/kubelet/config.yaml",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
    ]
    felix = ["KUBECONFIG=/etc/kubernetes/admin.conf", f"PATH=/opt/airdock/calico:{path}"]

    def log(name: str) -> IO[bytes]:
        return (logs / f"{name}.log").open("ab", buffering=0)

    return [
        Service("containerd", ["containerd", "--config=/etc/containerd/config.toml"], log("containerd")),
        Service("registry", ["registry", "serve", "/etc/registry.yaml"], log("registry")),
        Service(
            "dockerd",
            ["dockerd", "--config-file=/etc/docker/daemon.json"],
            log("dockerd"),
            needs=("/run/containerd/containerd.sock",),
            stale=("/run/docker.pid",),
        ),
        Service(
            "kubelet",
            kubelet,
            log("kubelet"),
            needs=("/var/lib/kubelet/config.yaml", flags),
            arguments_file=flags,
        ),
        Service(
            "kube-proxy",
            ["kube-proxy", "--config=/etc/kubernetes/kube-proxy.yaml"],
            log("kube-proxy"),
            needs=("/etc/kubernetes/kube-proxy.conf",),
        ),
        Service(
            "felix",
            ["env", *felix, "calico-felix", "--config-file=/etc/calico/felix.cfg"],
            log("felix"),
            needs=("/etc/calico/ready.json",),
        ),
    ]


def _supervise(services: list[Service], environment: dict[str, str]) -> None:
    """Start what may start, reap what ended, forever. Killing this process ends the node."""
    os.environ["PATH"] = environment["PATH"]  # Popen looks programs up in this process's own PATH.
    while True:
        for service in services:
            service.start(environment)
            if service.log.tell() > _LOG_LIMIT:
                service.log.truncate(0)
        while (ended := _reap()) is not None:
            process, status = ended
            for service in services:
                if service.process == process:
                    service.process = 0
                    print(f"{service.name} ended ({status}), starting it again", flush=True)
        time.sleep(0.2)


def _reap() -> tuple[int, int] | None:
    """Process id and exit code of a child that ended, or None."""
    try:
        process, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (process, os.waitstatus_to_exitcode(status)) if process else None


if __name__ == "__main__":
    main()
