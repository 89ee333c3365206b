"""Push all images to a registry."""

from __future__ import annotations

import sys

from scripts.images.build import build
from scripts.images.catalog import DEFAULTS, Image
from scripts.images.oci import Layout
from scripts.images.registry import Registry


def push(address: str, images: tuple[Image, ...] = DEFAULTS) -> None:
    """Provide images and push them to the plain HTTP registry at ``host:port`` under docker.io's names.

    Raises:
        ImageError: if an image cannot be had, or the registry does not answer or refuses.
    """
    layouts = build(images)
    registry = Registry(address)
    for image, path in layouts.items():
        pushed = registry.push(Layout(path), image.repository, image.tag)
        print(f"{'pushed' if pushed else 'has'} {image.reference}", file=sys.stderr, flush=True)
