"""The images in the cache, unpacked; skipped with the reason where that cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.images import IMAGES, choose_official
from scripts.images.build import unpacked
from scripts.images.cache import image_path, locked
from scripts.images.oci import Layout
from tests.images.container import Container

Run = Callable[..., Container]


def layout(name: str) -> Layout:
    """The image in the cache: the official one where docker.io can be reached, else the stand-in."""
    image = next(image for image in IMAGES if image.name == name)
    path = image_path(image, choose_official())
    if not path.is_dir():
        pytest.skip(f"the image {name} is not built; do that with: python -m scripts.images build {name}")
    return Layout(path)


@pytest.fixture(scope="session")
def _namespaces() -> None:
    """Skip what runs commands where namespaces cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("running an image's commands needs root")
    if shutil.which("unshare") is None:
        pytest.skip("running an image's commands needs unshare")
    tried = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"no namespaces can be made here: {tried.stderr.strip()}")


@pytest.fixture(scope="session")
def container(_namespaces: None) -> Run:
    """``container(name, **how)``: an image to run commands in, and how (see Container)."""
    known: dict[str, tuple[list[Path], dict[str, Any]]] = {}

    def make(name: str, **how: Any) -> Container:
        if name not in known:
            image = layout(name)
            with locked():
                lowers = [unpacked(digest, image.blob(digest)) for digest in reversed(image.layers)]
            known[name] = lowers, image.config
        return replace(Container(*known[name]), **how)

    return make
