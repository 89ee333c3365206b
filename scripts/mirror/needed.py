"""Finds every image in manifests: of containers, and those that programs in the pods name later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scripts.chart import Container, Manifests

#: Keys of ConfigMaps whose value is an image: of pods that the gateway and Airflow create.
VARIABLE = re.compile(r"^AIRDOCK_\w+_IMAGE$")
#: The script whose arguments are images that a Docker daemon pulls.
PULL = "/opt/airdock/pull.sh"


@dataclass(frozen=True, order=True)
class Image:
    """An image, with what names it."""

    name: str
    where: str


def needed(manifests: Manifests) -> tuple[Image, ...]:
    """Every image once, in alphabetical order, with the first place that names it."""
    first: dict[str, Image] = {}
    for image in sorted(_all(manifests)):
        first.setdefault(image.name, image)
    return tuple(first.values())


def _all(manifests: Manifests) -> Iterator[Image]:
    for manifest, _, container in manifests.containers:
        where = f"{manifest}, container {container.name}"
        yield Image(container.image, where)
        for image in _pulled(container):
            yield Image(image, f"{where}: pulled by the Docker daemon")
        for variable in container.env_list:
            if VARIABLE.match(variable.name) and variable.value:
                yield Image(variable.value, f"{where}, variable {variable.name}")
    for config in manifests.all("ConfigMap"):
        for key, value in (config.get("data") or {}).items():
            if VARIABLE.match(key):
                yield Image(str(value), f"{config}, {key}")


def _pulled(container: Container) -> list[str]:
    command = [str(each) for each in container.raw.get("command") or ()]
    return command[command.index(PULL) + 1 :] if PULL in command else []


def mirrored(image: str, registry: str) -> str:
    """The name of an image in another registry, as the chart's images.registry makes it."""
    return f"{registry.removesuffix('/')}/{re.sub(r'^([^/]*[.:][^/]*|localhost)/', '', image)}"
