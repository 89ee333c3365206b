"""The node's root file system: a directory of its own, so that nothing on it is the host's.

The host's programs are in it read-only; what the node writes stays in it. `lay_out` makes its files,
`scripts.cluster.pid1` (the node's PID 1) mounts the rest.
"""

from __future__ import annotations

import ipaddress
import shutil
import string
import uuid
from pathlib import Path

from scripts.cluster import calico, debian, network, nft, node_images
from scripts.cluster.run import run
from scripts.cluster.settings import (
    DOCKER_GID,
    HOST_ADDRESS,
    KUBERNETES_VERSION,
    NAMESPACE_OPTIONS,
    NODE,
    NODE_ADDRESS,
    NODE_ROOT,
    POD_NETWORK,
    REGISTRY,
    REGISTRY_PORT,
    SERVICE_NETWORK,
)
from scripts.tools import pinned
from scripts.tools.build import CACHE

_CONFIG = Path(__file__).parent / "config"
#: The tools' cache, as the node sees it.
TOOLS = Path("/opt/airdock/tools")
#: The registry's storage on the host: pushed once, there for the next start.
REGISTRY_STORAGE = CACHE.parent / "registry"
_PATH_TOOLS = (
    "kubelet",
    "kubectl",
    "containerd",
    "runc",
    "dockerd",
    "docker",
    "registry",
    "calico-felix",
)
_DIRECTORIES = (
    *("dev", "etc/kubernetes", "home", "mnt", "proc", "root", "run", "srv", "sys", "tmp", "usr"),
    *("opt/airdock/bin", "opt/airdock/proc", "opt/airdock/tools"),
    "run/calico",
    *("var/cache", "var/lib/kubelet", "var/lib/registry", "var/log", "var/tmp"),
)
_FILES = {
    "containerd.toml": "etc/containerd/config.toml",
    "docker.io.hosts.toml": "etc/containerd/certs.d/docker.io/hosts.toml",
    "registry.hosts.toml": f"etc/containerd/certs.d/{REGISTRY}/hosts.toml",
    "daemon.json": "etc/docker/daemon.json",
    "felix.cfg": "etc/calico/felix.cfg",
    "registry.yaml": "etc/registry.yaml",
    "cni.conflist": "etc/cni/net.d/10-airdock.conflist",
    "kubeadm.yaml": "etc/kubernetes/kubeadm.yaml",
    "kube-proxy.yaml": "etc/kubernetes/kube-proxy.yaml",
    "local-path.yaml": "etc/kubernetes/local-path.yaml",
}
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n"


def inside(path: Path) -> Path:
    """Where the node sees a file of the tools' cache."""
    return TOOLS / path.relative_to(CACHE)


def search_path() -> str:
    """PATH of everything on the node: the pinned binaries before the host's."""
    places = [str(inside(pinned(name).parent)) for name in _PATH_TOOLS]
    return ":".join(
        ["/opt/airdock/bin", *places, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    )


def _resolvers() -> str:
    """The host's resolv.conf without what only answers on the host's own loopback."""
    for file in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        lines = file.read_text().splitlines() if file.exists() else []
        kept = [line for line in lines if not _on_loopback(line)]
        if any(line.startswith("nameserver") for line in kept):
            return "\n".join(kept) + "\n"
    return f"nameserver {HOST_ADDRESS}\n"


def _on_loopback(line: str) -> bool:
    words = line.split()
    if len(words) < 2 or words[0] != "nameserver":
        return False
    return ipaddress.ip_address(words[1].partition("%")[0]).is_loopback


def lay_out() -> None:
    """Make the node's root file system, empty of any earlier one."""
    shutil.rmtree(NODE_ROOT, ignore_errors=True)
    for directory in _DIRECTORIES:
        (NODE_ROOT / directory).mkdir(parents=True, exist_ok=True)
    for directory in ("tmp", "var/tmp"):
        (NODE_ROOT / directory).chmod(0o1777)
    (NODE_ROOT / "var/run").symlink_to("/run")
    for name in ("bin", "sbin", "lib", "lib64", "lib32", "libx32"):
        host = Path("/") / name
        if host.is_symlink():
            (NODE_ROOT / name).symlink_to(host.readlink())
        elif host.is_dir():
            (NODE_ROOT / name).mkdir()
    etc = {
        "passwd": "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\ndocker:x:{DOCKER_GID}:\nnogroup:x:65534:\n",
        "hosts": f"127.0.0.1 localhost\n{NODE_ADDRESS} {NODE}\n",
        "hostname": f"{NODE}\n",
        "resolv.conf": _resolvers(),
        "nsswitch.conf": _NSSWITCH,
        "machine-id": f"{uuid.uuid4().hex}\n",
    }
    for name, content in etc.items():
        (NODE_ROOT / "etc" / name).write_text(content)
    for name in ("os-release", "ld.so.cache", "protocols", "services"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), NODE_ROOT / "etc" / name)
    (NODE_ROOT / "etc/mtab").symlink_to("/proc/self/mounts")
    scripts = {"opt/airdock/bin/nft": f'#!/bin/sh\nexec chroot {inside(nft.root())} /usr/sbin/nft "$@"\n'}
    for name, script in calico.programs(str(inside(calico.root()))).items():
        scripts[str(calico.PROGRAMS / name)] = script
    for place, script in scripts.items():
        (NODE_ROOT / place).parent.mkdir(parents=True, exist_ok=True)
        (NODE_ROOT / place).write_text(script)
        (NODE_ROOT / place).chmod(0o755)
    init = inside(debian.binary("tini", "usr/bin/tini-static"))
    (NODE_ROOT / "opt/airdock/bin/docker-init").symlink_to(init)
    REGISTRY_STORAGE.mkdir(parents=True, exist_ok=True)
    _configure()


def _configure() -> None:
    """Write the configuration of every program on the node."""
    values = {
        "CALICO": inside(pinned("calico").parent),
        "CNI_PLUGINS": inside(pinned("cni").parent),
        "COREDNS_TAG": node_images.COREDNS_TAG,
        "DOCKER_GID": DOCKER_GID,
        "ETCD_TAG": node_images.ETCD_TAG,
        "HEALTH_PORT": calico.HEALTH_PORT,
        "HELPER": node_images.HELPER,
        "KUBERNETES_VERSION": KUBERNETES_VERSION,
        "MTU": network.mtu(),
        "NODE": NODE,
        "NODE_ADDRESS": NODE_ADDRESS,
        "POD_NETWORK": POD_NETWORK,
        "PROVISIONER": node_images.PROVISIONER,
        "REGISTRY": REGISTRY,
        "REGISTRY_PORT": REGISTRY_PORT,
        "SANDBOX": node_images.SANDBOX,
        "SERVICE_NETWORK": SERVICE_NETWORK,
    }
    for source, target in _FILES.items():
        place = NODE_ROOT / target
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(string.Template((_CONFIG / source).read_text()).substitute(values))
    shutil.copytree(_CONFIG / "patches", NODE_ROOT / "etc/kubernetes/patches")


def execute(process: int, *command: str | Path, timeout: float = 120) -> str:
    """Run a program on the node, whose PID 1 is ``process`` on the host; return its output."""
    enter = ["nsenter", f"--target={process}", *NAMESPACE_OPTIONS]
    clean = ["env", "-i", f"PATH={search_path()}", "HOME=/root"]
    return run([*enter, "--root", "--wd=/", *clean, *command], timeout=timeout)
