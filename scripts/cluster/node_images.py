"""The images that the node itself needs: no registry has to be reached for any of them.

Each is one static binary on nothing (and one, ``helper``, a busybox that the volume provisioner runs
``mkdir`` and ``rm`` in), under the names that kubeadm and containerd ask for, all in one OCI archive.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.cluster import debian
from scripts.cluster.run import run
from scripts.cluster.settings import KUBERNETES_VERSION
from scripts.tools import pinned
from scripts.tools.apt import library
from scripts.tools.build import CACHE

_REGISTRY = "registry.k8s.io"
SANDBOX = f"{_REGISTRY}/pause:airdock"
ETCD_TAG = "airdock"
COREDNS_TAG = "airdock"
PROVISIONER = "airdock.local/local-path-provisioner:pinned"
HELPER = "airdock.local/helper:pinned"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """A name and the files in it: path inside -> file on this machine."""

    name: str
    files: dict[str, Path]
    links: dict[str, str]
    command: tuple[str, ...]


def _one(name: str, binary: Path) -> Image:
    return Image(name, {f"usr/local/bin/{binary.name}": binary}, {}, (f"/usr/local/bin/{binary.name}",))


def images() -> list[Image]:
    """The node's images, their binaries built on demand."""
    busybox = debian.binary("busybox-static", "bin/busybox")
    links = {f"bin/{applet}": "busybox" for applet in run([busybox, "--list"]).split() if applet != "busybox"}
    kubernetes = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return [
        *(_one(f"{_REGISTRY}/{name}:{KUBERNETES_VERSION}", pinned(name)) for name in kubernetes),
        _one(f"{_REGISTRY}/etcd:{ETCD_TAG}", pinned("etcd")),
        _one(f"{_REGISTRY}/coredns/coredns:{COREDNS_TAG}", pinned("coredns")),
        _one(PROVISIONER, pinned("local-path-provisioner")),
        _sandbox(),
        Image(HELPER, {"bin/busybox": busybox}, links, ("sh",)),
    ]


def _sandbox() -> Image:
    return Image(SANDBOX, {"pause": _pause()}, {}, ("/pause",))


def _cached(name: str, key: bytes) -> Path:
    return CACHE / f"{name}-{hashlib.sha256(key).hexdigest()[:16]}"


def _pause() -> Path:
    """The static binary of pause.c."""
    source = Path(__file__).with_name("pause.c")
    target = _cached("pause", source.read_bytes())
    if not target.exists():
        if shutil.which("gcc") is None:
            library("libc", ("gcc", "libc6-dev"), "the pause image")
        scratch = target.with_name(f".tmp-{target.name}-{os.getpid()}")
        run(["gcc", "-Os", "-static", "-s", "-o", scratch, source])
        scratch.rename(target)
    return target


def archive() -> Path:
    """An OCI archive (tar) of all images, in the cache under a hash of what is in them."""
    return _archive("node-images", images())


def sandbox_archive() -> Path:
    """An OCI archive of the sandbox image alone."""
    return _archive("sandbox-image", [_sandbox()])


def _archive(name: str, found: list[Image]) -> Path:
    names = [(image.name, sorted((path, str(file)) for path, file in image.files.items())) for image in found]
    target = _cached(name, repr(names).encode() + Path(__file__).read_bytes()).with_suffix(".tar")
    if target.exists():
        return target
    scratch = target.with_name(f".tmp-{target.name}")
    with tarfile.open(scratch, "w") as tar:
        manifests = [_add_image(tar, image) for image in found]
        _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": manifests}).encode())
    for old in CACHE.glob(f"{name}-*.tar"):
        old.unlink()
    scratch.rename(target)
    return target


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _add_blob(tar: tarfile.TarFile, media: str, content: bytes) -> dict[str, Any]:
    """Add a blob and return its descriptor."""
    digest = hashlib.sha256(content).hexdigest()
    _add(tar, f"blobs/sha256/{digest}", content)
    return {
        "mediaType": f"application/vnd.oci.image.{media}",
        "digest": f"sha256:{digest}",
        "size": len(content),
    }


def _layer(image: Image) -> bytes:
    """The image's only layer, a tar of its files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for directory in sorted(
            {str(parent) for path in image.files for parent in Path(path).parents} - {"."}
        ):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            layer.addfile(entry)
        for path, file in image.files.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = 0o755, file.stat().st_size
            with file.open("rb") as content:
                layer.addfile(entry, content)
        for path, to in image.links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, to
            layer.addfile(entry)
    return buffer.getvalue()


def _add_image(tar: tarfile.TarFile, image: Image) -> dict[str, Any]:
    """Add layer, config and manifest of an image; return its entry in the index."""
    layer = _layer(image)
    config = {
        "architecture": _ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/bin"], "Entrypoint": list(image.command)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [],
    }
    described = _add_blob(tar, "layer.v1.tar", layer)  # Not compressed: this is read far more than kept.
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _add_blob(tar, "config.v1+json", json.dumps(config).encode()),
        "layers": [described],
    }
    entry = _add_blob(tar, "manifest.v1+json", json.dumps(manifest).encode())
    return entry | {"annotations": {"io.containerd.image.name": image.name}}
