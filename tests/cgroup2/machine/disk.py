"""The machine's kernel and disk, in the cache: Debian packages, pinned binaries, images unpacked."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts import images
from scripts.cluster.node_images import sandbox_archive
from scripts.images import debian, oci
from scripts.images.catalog import SUITE
from scripts.tools import pinned
from scripts.tools.build import CACHE as TOOLS
from tests.cgroup2.machine import preflight
from tests.cgroup2.machine.errors import MachineError

CACHE = TOOLS.parent / "machine"
#: On the machine, as an archive for `docker load`: what tasks run.
TASK_IMAGE = "busybox:1.37"
TASK_ARCHIVE = Path("/opt/airdock/busybox.tar")
_ROOT = Path(__file__).with_name("root")
_PACKAGES = ("iproute2", "kmod", "linux-image-cloud-amd64", "procps", "qemu-guest-agent", "systemd-sysv")
_NOT_NEEDED = ("doc", "info", "locale", "man")
_BINARIES = ("containerd", "containerd-shim-runc-v2", "ctr", "docker", "kubelet", "runc")
_PLUGINS = ("host-local", "loopback", "ptp")
#: No device comes or goes.
_NOT_STARTED = (
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-udev-load-credentials.service",
)
#: What the chart's daemons run from.
_IMAGES = ("docker", "docker-rootless")
#: For what runs on it. The file is sparse.
_DISK = "8G"
#: With the tree's own containerd, so that the disk is as a node's that has pulled these images.
_IMPORT = """
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/run"
mount --bind "$2" "$1/mnt"
exec chroot "$1" sh -euc '
  containerd --config /mnt/containerd.toml > /run/log 2>&1 &
  until ctr version > /run/ctr 2>&1; do
    kill -0 $! || { cat /run/log >&2; exit 1; }
    sleep 0.1
  done
  for archive in /mnt/*.tar; do ctr --namespace k8s.io images import "$archive"; done
  kill $!
  wait $! || :'
"""
_CONTAINERD = """\
version = 3
disabled_plugins = ['io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri']
"""


@dataclass(frozen=True)
class Disk:
    """What QEMU boots: a kernel that needs no initial RAM disk, and a root file system."""

    directory: Path

    @property
    def kernel(self) -> Path:
        """The kernel."""
        return self.directory / "vmlinuz"

    @property
    def root(self) -> Path:
        """The ext4 image of the root file system."""
        return self.directory / "root.ext4"


def _catalog(name: str) -> images.Image:
    return next(image for image in images.IMAGES if image.name == name)


def build() -> Disk:
    """Provide the disk; what the cache has is not made again.

    Raises:
        MachineError, ImageError, ToolError, ClusterError: if something that it is made of cannot be had.
    """
    preflight.install()
    layouts = images.build(tuple(map(_catalog, (*_IMAGES, "busybox"))))
    binaries = [pinned(name) for name in _BINARIES]
    plugins = [pinned("cni").parent / name for name in _PLUGINS]
    made_of = [repr((_PACKAGES, SUITE, _DISK)), *(str(path) for path in (*binaries, *plugins))]
    made_of += [path.name for path in layouts.values()]
    made_of += [sandbox_archive().name]
    made_of += [file.read_text() for file in sorted(_ROOT.rglob("*")) if file.is_file()]
    made_of += [Path(__file__).read_text()]
    return Disk(_cached("disk", made_of, partial(_disk, layouts, binaries, plugins)))


def _cached(name: str, made_of: Sequence[str], make: Callable[[Path], None]) -> Path:
    """The cache's entry for these inputs; ``make`` fills a new one, which appears by one rename."""
    target = CACHE / f"{name}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}"
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():  # Another process made it while we waited.
            return target
        for stale in CACHE.glob(f".tmp-{name}-*"):  # We hold the lock, so their maker was killed.
            shutil.rmtree(stale)
        started = time.monotonic()
        print(f"building the emulated machine's {name}", file=sys.stderr, flush=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".tmp-{name}-", dir=CACHE))
        try:
            make(scratch)
            for old in CACHE.glob(f"{name}-*"):
                shutil.rmtree(old)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    print(f"built the {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return target


def _run(command: Sequence[str | Path], text: str | None = None) -> None:
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise MachineError(f"{command[0]} failed while building the machine:\n{tail}")


def _debian(scratch: Path) -> None:
    """Debian with a kernel, as debian.tar."""
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(_PACKAGES)}",
        "--quiet",
    ]
    command += [f"--dpkgopt=path-exclude=/usr/share/{where}/*" for where in _NOT_NEEDED]
    command += [f"--aptopt={line}" for line in debian.apt_settings().splitlines() if "CAInfo" not in line]
    _run([*command, SUITE, str(scratch / "debian.tar"), "-"], debian.sources(of_host=True))


def _disk(
    layouts: dict[images.Image, Path], binaries: list[Path], plugins: list[Path], scratch: Path
) -> None:
    base = _cached("debian", [repr((_PACKAGES, _NOT_NEEDED, SUITE))], _debian)
    tree, inputs = scratch / "tree", scratch / "inputs"
    tree.mkdir(mode=0o755)
    inputs.mkdir()
    _run(
        ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", base / "debian.tar", "-C", tree]
    )
    for files, place in ((binaries, "usr/local/bin"), (plugins, "opt/cni/bin")):
        (tree / place).mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, tree / place)
    _configure(tree)
    for image, path in layouts.items():
        if image.name == "busybox":
            (tree / TASK_ARCHIVE.parent.relative_to("/")).mkdir(parents=True)
            _archive(oci.Layout(path), image, tree / TASK_ARCHIVE.relative_to("/"))
        else:
            _archive(oci.Layout(path), image, inputs / f"{image.name}.tar")
    shutil.copy(sandbox_archive(), inputs / "sandbox.tar")
    (inputs / "containerd.toml").write_text(_CONTAINERD)
    # unshare ignores SIGTERM: it is to die with this process, and what it runs with it.
    apart = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--propagation=private"]
    apart += ["--pid", "--fork", "--kill-child"]
    _run([*apart, "sh", "-euc", _IMPORT, "import", tree, inputs])
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    shutil.copy(kernel, scratch / "vmlinuz")
    shutil.rmtree(tree / "boot")
    # No journal: what is written is thrown away with the machine.
    make = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=0,root_owner=0:0"]
    _run([*make, "-N", "200000", "-m", "0", "-d", tree, scratch / "root.ext4", _DISK])
    shutil.rmtree(tree)
    shutil.rmtree(inputs)


def _configure(tree: Path) -> None:
    """Put our files in; start our units and nothing else of the packages'."""
    shutil.copytree(_ROOT, tree, dirs_exist_ok=True)
    units = tree / "etc/systemd/system"
    (units / "default.target").symlink_to("node.target")
    (tree / "etc/kubernetes/manifests").mkdir()
    (tree / "etc/machine-id").write_text("a" * 32 + "\n")
    (tree / "etc/hostname").write_text("machine\n")
    (tree / "etc/fstab").write_text("")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost machine\n")
    (tree / "etc/resolv.conf").write_text("")  # Containers get a copy.
    for name in _NOT_STARTED:
        (units / name).symlink_to("/dev/null")
    for place in ("etc", "var"):  # Nothing is to be brought up to date at boot, see systemd-update-done(8).
        (tree / place / ".updated").touch()


def _archive(layout: oci.Layout, image: images.Image, target: Path) -> None:
    """Write one image of a layout as an OCI archive that containerd and Docker import under its name."""
    name = f"docker.io/{image.reference}"
    index = {
        "schemaVersion": 2,
        "manifests": [layout.descriptor | {"annotations": {"io.containerd.image.name": name}}],
    }
    digests = [layout.descriptor["digest"], layout.manifest["config"]["digest"], *layout.layers]
    with tarfile.open(target, "w") as tar:
        for digest in dict.fromkeys(digests):
            tar.add(layout.blob(digest), f"blobs/{digest.replace(':', '/')}")
        for file, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index)):
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
