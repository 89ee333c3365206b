"""Images under the names that the system DAGs use, in the native cluster's registry."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.cluster import REGISTRY
from scripts.cluster.settings import NODE_ROOT
from scripts.live import registry_image

#: The images of `make up` that stand for the others: a Debian with a shell and Python, and BusyBox.
DEBIAN, BUSYBOX = "library/python:3.13-slim", "library/busybox:1.37"
#: Repository and tag in the registry -> the image that it is.
TAGS = {
    "library/centos:latest": DEBIAN,
    "library/ubuntu:16.04": DEBIAN,
    "library/ubuntu:24.04": DEBIAN,
    "library/python:3.9-slim-bookworm": DEBIAN,
    "library/python:3.9-slim-buster": DEBIAN,
    "apache/bash:latest": DEBIAN,
    "library/alpine:3.24.2": BUSYBOX,
    "library/busybox:1.38.0": BUSYBOX,
}
#: These need more than another name.
BASH, PERL = "library/bash:5.2", "library/perl:5.34.0"
#: Debian's perl has no module bignum. The Job prints a number and ends, as with the real one.
PERL_PROGRAM = "#!/bin/sh\necho 3.14159265358979323846\n"
#: Beside docker.io, whose mirror the registry already is.
OTHER_REGISTRY = "quay.io"


def named(text: str) -> set[str]:
    """Give the images that a DAG file names, as repository and tag in the registry."""
    found = set(re.findall(r"""\bimage(?:=|: )"?([\w./-]+(?::[\w.-]+)?)""", text))
    return {_in_registry(name) for name in found}


def _in_registry(name: str) -> str:
    repository, _, tag = name.removeprefix(f"{OTHER_REGISTRY}/").partition(":")
    return f"{repository if '/' in repository else f'library/{repository}'}:{tag or 'latest'}"


def push() -> None:
    """Push all of them."""
    for name, image in TAGS.items():
        registry_image.crane("copy", f"{REGISTRY}/{image}", f"{REGISTRY}/{name}")
    base = f"{REGISTRY}/{DEBIAN}"
    registry_image.crane("mutate", base, "--entrypoint=bash", "--tag", f"{REGISTRY}/{BASH}")
    with TemporaryDirectory() as directory:
        program = Path(directory, "perl")
        program.write_text(PERL_PROGRAM)
        program.chmod(0o755)
        registry_image.push(f"{REGISTRY}/{PERL}", {"usr/local/bin/perl": program}, base=base)


@contextmanager
def mirrored() -> Iterator[None]:
    """Have the node's container runtime ask the registry for OTHER_REGISTRY's images, too."""
    hosts = NODE_ROOT / "etc/containerd/certs.d"
    try:
        shutil.copytree(hosts / REGISTRY, hosts / OTHER_REGISTRY, dirs_exist_ok=True)
        yield
    finally:
        shutil.rmtree(hosts / OTHER_REGISTRY, ignore_errors=True)


def unknown(files: Collection[str]) -> set[str]:
    """Give the images of DAG files that nothing here stands for."""
    return set().union(*map(named, files)) - {*TAGS, BASH, PERL}
