"""The cache of images, layers and what they are made with: ``~/.cache/airdock/images``.

An entry is ``<name>-<hash of everything that decides its content>`` and appears by one rename, so it is
whole or not there.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

from scripts.images.catalog import SUITE, Image, Layer
from scripts.tools.build import entry, lookup

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airdock" / "images"
#: Layers, unpacked ones and shared downloads are below; beside them are the images.
LAYERS = CACHE / "layers"
UNPACKED = CACHE / "unpacked"
_HERE = Path(__file__).parent
#: Modules that decide what a layer holds.
_BUILDERS = ("layer.py", "stage.py", "debian.py")
#: Entries of one name that stay: the newest, and the one before it (of another branch, say).
_KEPT = 2


def architecture() -> str:
    """This machine's architecture as OCI and Debian both call it, such as ``amd64``."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@cache
def layer_key(layer: Layer) -> str:
    """``<name>-<hash>`` of a layer: its recipe, its pins, its builder and the layer below."""
    digest = sha256(repr((SUITE, architecture(), layer.packages, layer.wheels, layer.alone)).encode())
    for name in layer.tools:
        digest.update(entry(lookup(name)).name.encode())
    files = sorted(path for path in layer.recipe.rglob("*") if path.is_file())
    for file in (*files, *(_HERE / name for name in _BUILDERS)):
        digest.update(file.name.encode() + file.read_bytes())
    if layer.parent:
        digest.update(layer_key(layer.parent).encode())
    return f"{layer.name}-{digest.hexdigest()[:16]}"


def image_path(image: Image, official: bool) -> Path:
    """The OCI layout of an image in the cache, whether or not it is there."""
    inputs = (
        "official" if official else repr((image.config, [layer_key(part) for part in image.layer.stack()]))
    )
    digest = sha256(f"{image.reference} {architecture()} {inputs}".encode()).hexdigest()[:16]
    return CACHE / f"{image.name}-{digest}"


@contextmanager
def locked() -> Iterator[None]:
    """Let one process build at a time (the kernel frees a dead one's lock); clear what a killed one left."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another build of the images", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in CACHE.glob(".tmp-*"):
            shutil.rmtree(stale)
        yield


@contextmanager
def new_entry(target: Path) -> Iterator[Path]:
    """A directory to fill that becomes ``target`` if the block ends well. Hold the lock."""
    scratch = Path(tempfile.mkdtemp(prefix=f".tmp-{target.name}-", dir=CACHE))
    try:
        yield scratch
        scratch.chmod(0o755)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def prune(directory: Path, name: str) -> None:
    """Remove entries of ``name`` but the newest ones. Hold the lock."""
    entries = sorted(directory.glob(f"{name}-" + "[0-9a-f]" * 16), key=lambda path: path.stat().st_mtime)
    for old in entries[:-_KEPT]:
        shutil.rmtree(old)


def prune_unpacked() -> None:
    """Remove unpacked layers that no image and no layer has any more. Hold the lock."""
    kept = {blob.name for blob in CACHE.glob("*/blobs/sha256/*")}
    kept |= {file.read_text().removeprefix("sha256:") for file in LAYERS.glob("*/digest")}
    for directory in UNPACKED.glob("*"):
        if directory.name not in kept:
            shutil.rmtree(directory)
