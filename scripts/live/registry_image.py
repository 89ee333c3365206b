"""Images made of a few files, in a registry that has no TLS."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts import tools
from scripts.check.cluster import run
from scripts.cluster import REGISTRY

BUSYBOX = f"{REGISTRY}/library/busybox:1.37"


def push(
    reference: str, files: Mapping[str, str | Path], *, base: str = "", links: Mapping[str, str] | None = None
) -> None:
    """Push an image with these files (path without the first slash: text, or a file of this host).

    Args:
        reference: the image's name.
        files: its files.
        base: the image below them; none by default.
        links: path of a symbolic link: its target.

    Raises:
        CommandError: the registry refuses it, or does not answer.
    """
    with TemporaryDirectory() as directory:
        layer = Path(directory, "layer.tar")
        with tarfile.open(layer, "w") as tar:
            for path, content in files.items():
                if isinstance(content, Path):
                    tar.add(content, path)
                    continue
                entry = tarfile.TarInfo(path)
                entry.size = len(content.encode())
                tar.addfile(entry, BytesIO(content.encode()))
            for path, target in (links or {}).items():
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                tar.addfile(entry)
        below = ["--base", base] if base else ["--oci-empty-base"]
        crane("append", *below, "--new_layer", str(layer), "--new_tag", reference)


def push_registry(reference: str, files: Mapping[str, str]) -> None:
    """Push busybox with the pinned registry (distribution/distribution) and these files.

    Raises:
        CommandError: the registry refuses it, or does not answer.
    """
    push(reference, {"usr/bin/registry": tools.pinned("registry"), **files}, base=BUSYBOX)


def crane(*arguments: str, config: str = "") -> None:
    """Run crane with registries that have no TLS; `config` is the directory of a config.json with logins.

    Raises:
        CommandError: it ended with an error.
    """
    environment = ["env", f"DOCKER_CONFIG={config}"] if config else []
    run([*environment, str(tools.pinned("crane")), *arguments, "--insecure"], timeout=120)
