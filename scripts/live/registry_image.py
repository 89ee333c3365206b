"""An image with the pinned registry (distribution/distribution), in the native cluster's registry."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts import tools
from scripts.cluster import REGISTRY
from scripts.live.target import run


def push(reference: str, files: Mapping[str, str]) -> None:
    """Push busybox with `registry` and these files (path without the first slash: text) as `reference`.

    Raises:
        CommandError: the registry refuses it, or does not answer.
    """
    with TemporaryDirectory() as directory:
        layer = Path(directory, "layer.tar")
        with tarfile.open(layer, "w") as tar:
            tar.add(tools.pinned("registry"), "usr/bin/registry")
            for path, text in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(text)
                tar.addfile(entry, BytesIO(text.encode()))
        base = f"{REGISTRY}/library/busybox:1.37"
        crane("append", "--base", base, "--new_layer", str(layer), "--new_tag", reference)


def crane(*arguments: str, config: str = "") -> None:
    """Run crane with registries that have no TLS; `config` is the directory of a config.json with logins.

    Raises:
        CommandError: it ended with an error.
    """
    environment = ["env", f"DOCKER_CONFIG={config}"] if config else []
    run([*environment, str(tools.pinned("crane")), *arguments, "--insecure"], timeout=120)
