"""Builds one layer: ``python -m scripts.images.stage LAYER SCRATCH LOWER...``.

Runs as root in mount and process namespaces of its own (build.py sees to that): whatever is mounted or
started here is gone when the process is, however it ends. In SCRATCH it finds ``inputs`` (seen in the
chroot as /mnt) and ``sources``, and leaves ``layer.tar``. LOWER: unpacked layers, the topmost first.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.images import catalog, debian, layer
from scripts.images.cache import CACHE
from scripts.images.errors import ImageError

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_CONFIG": "/mnt/apt.conf",
    "PYTHONDONTWRITEBYTECODE": "1",
}
#: What installing leaves and no image needs.
_LEFTOVERS = (
    "usr/sbin/policy-rc.d",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/ldconfig/aux-cache",
    "etc/.pwd.lock",
)


def mount(*arguments: str | Path) -> None:
    """Run mount(8)."""
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise ImageError(f"mount {' '.join(map(str, arguments))} failed: {done.stderr.strip()}")


def assemble(scratch: Path, lowers: list[str]) -> Path:
    """Mount the overlay (upper: ``scratch/upper``) and all that the chroot needs; returns its root."""
    root, upper, work = (scratch / name for name in ("root", "upper", "work"))
    overlay = (
        f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work},redirect_dir=off,metacopy=off,index=off"
    )
    root.mkdir()
    upper.mkdir()
    work.mkdir()
    mount("-t", "overlay", "overlay", "-o", overlay, root)
    mount("-t", "proc", "proc", root / "proc")
    mount("--rbind", "/dev", root / "dev")
    mount("-t", "tmpfs", "tmpfs", root / "tmp")
    mount("--bind", scratch / "inputs", root / "mnt")
    for name in ("resolv.conf", "hosts"):
        mount("--bind", Path("/etc", name).resolve(), root / "etc" / name)
    mount("--bind", scratch / "sources", root / "etc" / "apt" / "sources.list.d" / "debian.sources")
    # All builds share the package lists and packages that they fetched.
    for name in ("lists", "archives"):
        shared = CACHE / "apt" / name
        (shared / "partial").mkdir(parents=True, exist_ok=True)
        mount("--bind", shared, root / "var" / ("lib" if name == "lists" else "cache") / "apt" / name)
    return root


def install(root: Path, part: catalog.Layer) -> None:
    """Install the layer's packages and run its setup.sh, in the chroot."""
    # Debian's own way to say that no service is to be started (policy-rc.d, invoke-rc.d(8)).
    policy = root / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    fetch = f"apt-get install -qq -y --no-install-recommends {' '.join(part.packages)}"
    script = f"umask 022; {fetch} || {{ apt-get update -qq && {fetch}; }}" if part.packages else "umask 022"
    if (part.recipe / "setup.sh").exists():
        script += "\n. /mnt/recipe/setup.sh"
    done = subprocess.run(
        ["chroot", root, "bash", "-euo", "pipefail", "-c", script],
        env=_ENVIRONMENT | debian.proxies(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise ImageError(f"building the layer {part.name} failed (exit code {done.returncode}):\n{tail}")


def clean(root: Path) -> None:
    """Remove what installing left behind."""
    for name in _LEFTOVERS:
        (root / name).unlink(missing_ok=True)
    for file in (root / "var" / "log").rglob("*"):
        if file.is_file():
            file.unlink()
    for file in (root / "var" / "cache" / "debconf").glob("*-old"):
        file.unlink()
    for file in (root / "var" / "lib" / "dpkg").glob("*-old"):
        file.unlink()


def main() -> int:
    """Entry point; returns the exit code."""
    name, scratch, lowers = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    started = time.time()
    part = next(part for image in catalog.IMAGES for part in image.layer.stack() if part.name == name)
    try:
        if part.parent is None:
            # A new base does not go with old lists of what else there is.
            shutil.rmtree(CACHE / "apt" / "lists", ignore_errors=True)
            root = upper = scratch / "root"
            debian.bootstrap(root)
            clean(root)
        else:
            root, upper = assemble(scratch, lowers), scratch / ("alone" if part.alone else "upper")
            if part.alone:
                upper.mkdir()
                mount("--bind", upper, root / "srv")
            install(root, part)
            clean(root)
            subprocess.run(["umount", "--recursive", "--lazy", root], check=True)
        layer.pack(upper, scratch / "layer.tar", newer_than=started)
    except ImageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
