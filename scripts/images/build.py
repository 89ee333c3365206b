"""Provide the images as OCI layouts in the cache: pulled where that is possible, else built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

from scripts import tools
from scripts.images import debian, layer, oci, official
from scripts.images.cache import (
    CACHE,
    LAYERS,
    UNPACKED,
    image_path,
    layer_key,
    locked,
    new_entry,
    prune,
    prune_unpacked,
)
from scripts.images.catalog import DEFAULTS, Image, Layer
from scripts.images.errors import ImageError

_ROOT = Path(__file__).parents[2]


def build(images: tuple[Image, ...] = DEFAULTS) -> dict[Image, Path]:
    """Provide images; returns their OCI layouts. What the cache has is not made again.

    Raises:
        ImageError: if one cannot be had.
    """
    use_official = choose_official()
    wanted = {image: image_path(image, use_official) for image in images}
    if all(path.is_dir() for path in wanted.values()):
        return wanted
    if not use_official:
        _check_host()
    with locked():
        for image, path in wanted.items():
            if not path.is_dir():
                with new_entry(path) as scratch:
                    if use_official:
                        official.pull(image, scratch)
                    else:
                        oci.write(scratch, image, [_built(part) for part in image.layer.stack()])
                prune(CACHE, image.name)
        prune_unpacked()
    return wanted


@cache
def choose_official() -> bool:
    """Whether the official images are used: AIRDOCK_IMAGES=official|stand-in, or what docker.io answers."""
    chosen = os.environ.get("AIRDOCK_IMAGES", "")
    if chosen not in ("", "official", "stand-in"):
        raise ImageError(f"AIRDOCK_IMAGES is {chosen!r}: make it official or stand-in, or leave it out.")
    return chosen == "official" or (not chosen and official.reachable())


def _check_host() -> None:
    """Raise ImageError unless this machine can build stand-ins."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ImageError(
            "docker.io cannot be reached, and building stand-in images needs root on Linux: "
            "run as root, or where docker.io can be reached."
        )
    if missing := [
        name for name in ("unshare", "setpriv", "mount", "chroot", "tar") if shutil.which(name) is None
    ]:
        raise ImageError(
            f"Building stand-in images needs {', '.join(missing)} (util-linux, coreutils, tar) on PATH."
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(CACHE).free) < 6e9:
        raise ImageError(f"Building the images takes 6 GB and {CACHE} has {free / 1e9:.1f}: make room there.")


def _built(part: Layer) -> tuple[str, Path]:
    """(digest, tar) of a layer, built if the cache has it not. Hold the lock."""
    target = LAYERS / layer_key(part)
    if not target.is_dir():
        below = list(part.parent.stack()) if part.parent else []
        lowers = [unpacked(*_built(lower)) for lower in reversed(below)]
        started = time.monotonic()
        print(f"building the layer {part.name}", file=sys.stderr, flush=True)
        with new_entry(target) as entry:
            scratch = entry / "scratch"
            scratch.mkdir()
            _run_stage(part, scratch, lowers)
            (scratch / "layer.tar").rename(entry / "layer.tar")
            (entry / "digest").write_text(layer.digest(entry / "layer.tar"))
            shutil.rmtree(scratch)
        prune(LAYERS, part.name)
        size = (target / "layer.tar").stat().st_size / 1e6
        seconds = time.monotonic() - started
        print(f"built the layer {part.name} in {seconds:.0f} s: {size:.0f} MB", file=sys.stderr, flush=True)
    return (target / "digest").read_text(), target / "layer.tar"


def _inputs(part: Layer, inputs: Path) -> None:
    """Fill the directory that the layer's setup.sh sees as /mnt."""
    inputs.mkdir()
    if part.recipe.is_dir():
        shutil.copytree(part.recipe, inputs / "recipe")
    (inputs / "apt.conf").write_text(debian.apt_settings())
    if debian.certificates().is_file():
        shutil.copy(debian.certificates(), inputs / "certificates.pem")
    if part.tools:
        (inputs / "tools").mkdir()
    for name in part.tools:
        shutil.copy(tools.pinned(name), inputs / "tools" / name)
    if part.wheels:
        _download(part.recipe / "requirements.txt", inputs / "wheels")


def _download(requirements: Path, wheels: Path) -> None:
    """Download wheels for Debian's Python, with the pip settings of this host."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version=3.13", "--implementation=cp"]
    command += [f"--abi={abi}" for abi in ("cp313", "abi3", "none")]
    command += [f"--platform={name}" for name in debian.wheel_platforms()]
    command += [f"--requirement={requirements}", f"--dest={wheels}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ImageError(f"pip could not download what Airflow needs: {' '.join(done.stderr.split())[-400:]}")


def _run_stage(part: Layer, scratch: Path, lowers: list[Path]) -> None:
    """Run stage.py in namespaces of its own, which end with it and it with us."""
    _inputs(part, scratch / "inputs")
    (scratch / "sources").write_text(debian.sources(of_host=True))
    # unshare ignores SIGTERM: it is to die with this process, and the stage with it.
    namespaces = [
        "setpriv",
        "--pdeathsig=KILL",
        "unshare",
        "--mount",
        "--propagation=private",
        "--pid",
        "--fork",
        "--kill-child",
    ]
    command = [
        *namespaces,
        sys.executable,
        "-m",
        "scripts.images.stage",
        part.name,
        str(scratch),
        *map(str, lowers),
    ]
    done = subprocess.run(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise ImageError(
            done.stderr.strip() or f"building the layer {part.name} was ended ({done.returncode})."
        )


def unpacked(digest: str, archive: Path) -> Path:
    """A layer's directory, to serve as an overlay's lower one. Hold the lock."""
    target = UNPACKED / digest.removeprefix("sha256:")
    if not target.is_dir():
        with new_entry(target) as entry:
            layer.unpack(archive, entry / "root")
    return target / "root"
