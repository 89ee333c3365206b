"""The official images, where docker.io can be reached."""

from __future__ import annotations

import subprocess
from pathlib import Path

import requests

from scripts import tools
from scripts.images.cache import architecture
from scripts.images.catalog import Image
from scripts.images.errors import ImageError

_SECONDS = 3


def reachable() -> bool:
    """Whether Docker Hub's registry answers (401 without credentials is its usual answer)."""
    try:
        return requests.get("https://registry-1.docker.io/v2/", timeout=_SECONDS).status_code in (200, 401)
    except requests.RequestException:
        return False


def pull(image: Image, directory: Path) -> None:
    """Pull the official image as an OCI layout into ``directory``.

    Raises:
        ImageError: if it cannot be pulled.
    """
    command = [str(tools.path("crane")), "pull", "--format=oci", f"--platform=linux/{architecture()}"]
    done = subprocess.run(
        [*command, f"docker.io/{image.reference}", str(directory)], capture_output=True, text=True
    )
    if done.returncode != 0:
        tail = " ".join(done.stderr.strip().splitlines()[-1:])
        raise ImageError(f"docker.io/{image.reference} could not be pulled: {tail}")
