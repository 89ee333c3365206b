"""What an upgrade from a former release would reject: values that worked, and fields that never change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.chart import HELM3, HELM4, Manifest, Manifests, render
from tests.support import former


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return former.tree("0.1.0", tmp_path_factory.mktemp("former"))


def values_of(old: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """All default values, as `--reuse-values` and copies of values.yaml have them, and each example."""
    yield "values.yaml", yaml.safe_load((old / "charts/airdock/values.yaml").read_text())
    for file in sorted((old / "examples/values").glob("*.yaml")):
        if not file.name.endswith(".accepted.yaml"):
            yield file.name, yaml.safe_load(file.read_text())


def fixed(manifest: Manifest) -> dict[str, Any]:
    """What the API server lets nobody change."""
    spec = manifest.raw.get("spec") or {}
    keys = {
        "Deployment": ("selector",),
        "StatefulSet": ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"),
        "Service": ("clusterIP",),
        "PersistentVolumeClaim": ("accessModes", "storageClassName", "volumeName"),
    }
    found = {key: spec.get(key) for key in keys.get(manifest.kind, ())}
    if manifest.kind.endswith("RoleBinding"):
        found["roleRef"] = manifest.raw["roleRef"]
    return found


def by_name(manifests: Manifests) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(each.kind, each.namespace or "", each.name): fixed(each) for each in manifests}


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_values_of_0_1_0(old: Path, helm: str) -> None:
    seen = []
    for name, values in values_of(old):
        seen.append(name)
        before = by_name(render(values, chart=old / "charts/airdock", helm=helm))
        after = by_name(render(values, helm=helm))
        for key, parts in before.items():
            assert after.get(key, parts) == parts, f"{name}: {' '.join(key)} cannot be changed"
        kept = {key for key in before if key[0] in ("StatefulSet", "PersistentVolumeClaim", "Namespace")}
        assert kept <= after.keys(), f"{name}: has data, and is removed"
    assert {"values.yaml", "three-modes.yaml", "docker-in-docker.yaml"} <= set(seen)


def test_the_package_is_reproducible(tmp_path: Path) -> None:
    first, second = (former.package("0.1.0", tmp_path / name) for name in ("one", "two"))
    assert first.name == "airdock-0.1.0.tgz"
    assert first.read_bytes() == second.read_bytes()


def test_without_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(former.COMMITS, "0.1.0", "f" * 40)
    with pytest.raises(pytest.skip.Exception, match="git fetch --unshallow"):
        former.tree("0.1.0", tmp_path)
