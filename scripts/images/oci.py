"""OCI image layouts: written for our layers, read from any."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from scripts.images.cache import architecture
from scripts.images.catalog import Image
from scripts.images.errors import ImageError

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
#: Not compressed: a registry on the same machine would only spend time on it.
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_CREATED = "2026-01-01T00:00:00Z"


def write(directory: Path, image: Image, layers: list[tuple[str, Path]]) -> None:
    """Write a layout of ``image`` into ``directory``; layers are (digest, tar), lowest first, hard-linked."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    descriptors = []
    for digest, archive in layers:
        os.link(archive, blobs / digest.removeprefix("sha256:"))
        descriptors.append({"mediaType": _LAYER, "digest": digest, "size": archive.stat().st_size})
    labels = {
        "org.opencontainers.image.title": f"stand-in for docker.io/{image.reference}",
        "org.opencontainers.image.description": "the official contract, met by Debian and PyPI packages",
    }
    config = {
        "created": _CREATED,
        "architecture": architecture(),
        "os": "linux",
        "config": image.config | {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [digest for digest, _ in layers]},
        "history": [
            {"created": _CREATED, "created_by": f"layer {part.name}"} for part in image.layer.stack()
        ],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _blob(blobs, config, _CONFIG),
        "layers": descriptors,
    }
    index = {"schemaVersion": 2, "mediaType": _INDEXES[0], "manifests": [_blob(blobs, manifest, _MANIFEST)]}
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))


def _blob(blobs: Path, content: dict[str, Any], media_type: str) -> dict[str, Any]:
    """Store a JSON document; returns its descriptor."""
    data = json.dumps(content, sort_keys=True).encode()
    name = sha256(data).hexdigest()
    (blobs / name).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}


@dataclass(frozen=True)
class Layout:
    """One image in an OCI layout directory (the first one for this machine's architecture)."""

    directory: Path

    def blob(self, digest: str) -> Path:
        """The file of a blob (``sha256:<hex>``)."""
        return self.directory / "blobs" / digest.replace(":", "/")

    @property
    def descriptor(self) -> dict[str, Any]:
        """The descriptor (mediaType, digest, size) of the image's manifest."""
        index = json.loads((self.directory / "index.json").read_text())
        while True:
            here = [
                entry
                for entry in index["manifests"]
                if entry.get("platform", {}).get("architecture", architecture()) == architecture()
            ]
            if not here:
                raise ImageError(f"{self.directory} holds no image for {architecture()}.")
            if here[0]["mediaType"] not in _INDEXES:
                return dict(here[0])
            index = json.loads(self.blob(here[0]["digest"]).read_text())

    @property
    def manifest(self) -> dict[str, Any]:
        """The image's manifest."""
        return dict(json.loads(self.blob(self.descriptor["digest"]).read_text()))

    @property
    def config(self) -> dict[str, Any]:
        """What a runtime reads: User, Env, Entrypoint, Cmd and so on."""
        return dict(json.loads(self.blob(self.manifest["config"]["digest"]).read_text())["config"])

    @property
    def layers(self) -> list[str]:
        """The digests of the layers, lowest first."""
        return [layer["digest"] for layer in self.manifest["layers"]]

    @property
    def size(self) -> int:
        """Bytes of all blobs that the manifest names."""
        return sum(int(entry["size"]) for entry in (self.manifest["config"], *self.manifest["layers"]))
