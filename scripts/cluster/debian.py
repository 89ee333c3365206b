"""Files of Debian packages, without installing them."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from scripts.cluster.errors import ClusterError
from scripts.cluster.run import run
from scripts.tools.build import CACHE


def tree(name: str, made_of: str, fill: Callable[[Path, Path], None]) -> Path:
    """A directory to chroot into, in the cache under its name, the system's release and what it is made of.

    ``fill`` gets a scratch directory and the empty tree; what it leaves in the tree appears by one rename.
    """
    system = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    target = CACHE / f"{name}-{hashlib.sha256((system + made_of).encode()).hexdigest()[:16]}"
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".tmp-{name}-", dir=CACHE))
    try:
        root = scratch / "root"
        root.mkdir()
        fill(scratch, root)
        root.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def unpack(packages: list[str], scratch: Path, tree: Path) -> None:
    """Download Debian packages into ``scratch`` and unpack them, without installing, into ``tree``."""
    fetch = f"cd {scratch} && apt-get -qq -o APT::Sandbox::User=root download {' '.join(packages)}"
    try:
        run(["sh", "-c", fetch], timeout=300)
    except ClusterError:  # A fresh machine has no package lists, an old one stale ones.
        run(["apt-get", "-qq", "update"], timeout=300)
        run(["sh", "-c", fetch], timeout=300)
    for directory in ("bin", "sbin", "lib", "lib64"):  # As base-files has them since Debian 13.
        (tree / "usr" / directory).mkdir(parents=True, exist_ok=True)
        (tree / directory).symlink_to(f"usr/{directory}")
    for package in sorted(scratch.glob("*.deb")):
        # Through tar and --keep-directory-symlink: older packages still have /lib as a directory.
        run(["sh", "-c", f"dpkg-deb --fsys-tarfile {package} | tar -x --keep-directory-symlink -C {tree}"])
    shutil.rmtree(tree / "usr/share", ignore_errors=True)


def with_dependencies(*packages: str) -> list[str]:
    """Packages and everything that they depend on."""
    options = ["--recurse", "--no-recommends", "--no-suggests", "--no-enhances"]
    options += ["--no-conflicts", "--no-breaks", "--no-replaces"]
    lines = run(["apt-cache", "depends", *options, *packages]).splitlines()
    return sorted({line for line in lines if line and not line.startswith((" ", "<", "|"))})


def binary(package: str, path: str) -> Path:
    """A static binary of a Debian package, in the cache under the package's name.

    Args:
        package: Debian's name, such as ``busybox-static``.
        path: where the binary is in it.
    """
    target = CACHE / package
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".tmp-{package}-") as scratch:
            tree = Path(scratch) / "root"
            tree.mkdir()
            unpack([package], Path(scratch), tree)
            (tree / path).rename(target)
    return target
