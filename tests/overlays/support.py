"""Builds of the overlays, and objects in a form without the orders that mean nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scripts.chart import Manifests
from scripts.overlays.build import build, text
from scripts.overlays.generate import OVERLAYS_DIR

Objects = dict[tuple[str, str, str], Any]
#: Init containers start, words stand, and variables of a policy are read in their order.
ORDERED = frozenset({"initContainers", "containers", "command", "args", "variables"})


@cache
def built(overlay: str) -> Manifests:
    """What an overlay of the repository builds, with names that carry no hash."""
    return build(OVERLAYS_DIR / overlay, hashes=False)


@cache
def built_text(overlay: str) -> str:
    return text(OVERLAYS_DIR / overlay)


def canonical(value: Any, key: str = "") -> Any:
    """The same value, equal to another one if only the order of an unordered list differs."""
    if isinstance(value, Mapping):
        return {name: canonical(item, name) for name, item in value.items()}
    if isinstance(value, list):
        items = [canonical(item) for item in value]
        return items if key in ORDERED else sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return value


def objects(manifests: Iterable[Any]) -> Objects:
    """Canonical objects by kind, namespace and name."""
    return {(m.kind, m.namespace, m.name): canonical(m.raw) for m in manifests}


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """A sentence for each field in which two canonical values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            sentence
            for key in sorted(one.keys() | other.keys(), key=str)
            for sentence in differences(one.get(key), other.get(key), f"{path}.{key}")
        ]
    return [] if one == other else [f"{path}: {one!r} is not {other!r}"]


def copied(target: Path) -> Path:
    """A copy of overlays/ that a test may change."""
    return Path(shutil.copytree(OVERLAYS_DIR, target / "overlays"))


def kustomization(folder: Path, **content: Any) -> Path:
    """Write a kustomization of these fields."""
    folder.mkdir(parents=True, exist_ok=True)
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({**head, **content}))
    return folder
