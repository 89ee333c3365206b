"""The overlays are the chart: what `make overlays` writes, building what Helm renders."""

from __future__ import annotations

import copy
import itertools
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.chart import KUBE_VERSIONS, Manifest, render, schemas
from scripts.lint.engine import findings
from scripts.overlays.build import build, text
from scripts.overlays.definitions import COMPONENTS, OVERLAYS, paired_values
from scripts.overlays.generate import (
    CHECKSUMS,
    HELM_ANNOTATIONS,
    HELM_LABELS,
    OVERLAYS_DIR,
    UNHASHED,
    generate,
    key_of,
)
from tests.overlays.support import (
    Objects,
    built,
    built_text,
    canonical,
    copied,
    differences,
    kustomization,
    objects,
)
from tests.render.contracts import CONTRACTS
from tests.render.scenarios import Scenario

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
GIVEN_SECRETS = {
    ("Secret", "airdock-postgres"): frozenset({"connection"}),
    ("Secret", "airdock-redis"): frozenset({"broker-url", "result-backend"}),
}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_repository_has_what_make_overlays_writes(tmp_path: Path) -> None:
    generate(tmp_path)
    there, made = files(OVERLAYS_DIR), files(tmp_path)
    stale = sorted(name for name in there.keys() | made.keys() if there.get(name) != made.get(name))
    assert not stale, "run `make overlays` and commit what it writes"


# An overlay and the chart differ in this and nothing else; each entry must be of use, or it is to be removed.


def _labels(raw: dict[str, Any]) -> bool:
    """No Helm manages it, and a version would be wrong after `images:`."""
    return any([raw["metadata"].get("labels", {}).pop(label, None) for label in HELM_LABELS])


def _annotations(raw: dict[str, Any]) -> bool:
    """Only Helm reads it."""
    return _dropped(raw["metadata"], HELM_ANNOTATIONS)


def _checksums(raw: dict[str, Any]) -> bool:
    """The hash in a ConfigMap's name does the same."""
    return _dropped(raw.get("spec", {}).get("template", {}).get("metadata", {}), CHECKSUMS)


def _dropped(metadata: dict[str, Any], pattern: Any) -> bool:
    annotations = metadata.get("annotations") or {}
    unwanted = [key for key in annotations if pattern.fullmatch(key)]
    for key in unwanted:
        del annotations[key]
    if not annotations:
        metadata.pop("annotations", None)
    return bool(unwanted)


OF_HELM = (_labels, _annotations, _checksums)


@every_overlay
def test_an_overlay_is_the_chart_with_its_values(overlay: str) -> None:
    wanted = {}
    for _, raw in render(paired_values(overlay)).changed():
        for drop in OF_HELM:
            drop(raw)
        wanted[key_of(raw)] = canonical(raw)
    found = objects(built(overlay))
    # Helm has --create-namespace for it.
    assert found.pop(("Namespace", "", "airdock"))
    # `namespace` of cluster-scoped objects is "" in both.
    assert found.keys() == wanted.keys()
    wrong = [f"{key}{sentence}" for key in wanted for sentence in differences(found[key], wanted[key])]
    assert not wrong, "\n".join(wrong)


def test_what_is_left_to_helm_is_there() -> None:
    for drop in OF_HELM:
        raws = [raw for _, raw in render(paired_values("kubernetes")).changed()]
        assert [drop(raw) for raw in raws].count(True), (
            f"{drop.__doc__} Nothing has it: remove the exception."
        )


@every_overlay
@pytest.mark.parametrize("name", sorted(set(CONTRACTS) - {"labels"}))  # labels: of Helm, see above
def test_contract(name: str, overlay: str) -> None:
    """What holds for every render of the chart holds for what an overlay builds."""
    given = GIVEN_SECRETS if overlay == "production" else {}
    scenario = Scenario(overlay, paired_values(overlay), external=given)
    faults = list(CONTRACTS[name](built(overlay), scenario))
    assert not faults, f"{CONTRACTS[name].__doc__}\n" + "\n".join(faults)


@every_overlay
def test_policies(overlay: str) -> None:
    """No finding that the chart with these values has not."""

    def found(manifests: Any) -> set[str]:
        # The chart leaves the namespace of the release to whoever makes it: an overlay brings a bare one.
        return {
            f"{f.policy.id} {f.manifest} {f.found}"
            for f in findings(manifests)
            if f.accepted is None and str(f.manifest) != "Namespace airdock"
        }

    assert found(built(overlay)) <= found(render(paired_values(overlay)))


@every_overlay
@pytest.mark.parametrize("version", [KUBE_VERSIONS[0], KUBE_VERSIONS[-1]])
def test_objects_are_valid(overlay: str, version: str) -> None:
    faults = schemas.problems(built(overlay), version)
    assert not faults, "\n".join(faults)


@every_overlay
def test_a_change_rolls_exactly_its_readers(overlay: str, tmp_path: Path) -> None:
    """Every ConfigMap that pods read has a hash in its name, but those that pods see anew by themselves."""
    manifests = build(OVERLAYS_DIR / overlay)
    plain = {m.name for m in built(overlay).all("ConfigMap")}
    unhashed = {m.name for m in manifests.all("ConfigMap")} & plain
    assert unhashed == UNHASHED & plain


@every_overlay
def test_no_secret_and_nothing_of_helm(overlay: str) -> None:
    assert "helm.sh/" not in built_text(overlay)
    assert "kind: Secret\n" not in built_text(overlay)


PATCHED = [
    str(path.parent.relative_to(OVERLAYS_DIR))
    for path in sorted(OVERLAYS_DIR.glob("**/kustomization.yaml"))
    if yaml.safe_load(path.read_text()).get("patches")
]


@pytest.mark.parametrize("folder", PATCHED)
def test_every_patch_changes_the_output(folder: str, tmp_path: Path) -> None:
    """Of components and overlays."""
    top = copied(tmp_path)
    path = top / folder / "kustomization.yaml"
    content = yaml.safe_load(path.read_text())
    user = top / folder
    if content["kind"] == "Component":
        user = kustomization(
            tmp_path / "user", resources=["../overlays/base"], components=[f"../overlays/{folder}"]
        )
    before = text(user)
    for number, patch in enumerate(content["patches"]):
        left = [other for other in content["patches"] if other is not patch]
        path.write_text(yaml.safe_dump({**content, "patches": left}))
        assert text(user) != before, f"patch {number} changes nothing: {patch}"


def with_components(*names: str) -> Objects:
    """What the base and components, in this order, build."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(os.path.relpath(OVERLAYS_DIR, folder))
        components = [str(top / "components" / name) for name in names]
        return objects(
            build(
                kustomization(Path(folder), resources=[str(top / "base")], components=components),
                hashes=False,
            )
        )


alone = cache(with_components)
#: An overlay has one of these; what they include is there with them.
VARIANTS = [name for name in COMPONENTS if name.startswith("mode-dind")]
OTHERS = [
    name
    for name in COMPONENTS
    if name not in VARIANTS and not any(name in other.includes for other in COMPONENTS.values())
]


@pytest.mark.parametrize("keeping", [False, True], ids=["all", "all that remove nothing"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_components_in_any_order(variant: str, keeping: bool) -> None:
    """All at once, and backwards: every two of them in either order."""
    base = set(alone())
    # What one removes would hide that two others change it differently.
    names = [name for name in (variant, *OTHERS) if not keeping or base <= set(alone(name))]
    found = with_components(*names)
    if found != with_components(*reversed(names)):
        pairs = itertools.combinations(names, 2)
        pytest.fail(f"their order counts: {[p for p in pairs if alone(*p) != alone(*reversed(p))]}")
    for name in names:
        own = set(alone(name))
        assert own - base <= set(found), f"{name} adds less than alone"
        assert not (base - own) & set(found), f"{name} removes less than alone"


def test_manifests_are_left_as_they_are() -> None:
    """`canonical` must not hide an order that counts."""
    pod = Manifest({"kind": "Pod", "metadata": {}, "initContainers": [{"name": "b"}, {"name": "a"}]}).raw
    assert canonical(copy.deepcopy(pod)) == pod
    assert canonical({"env": [{"name": "b"}, {"name": "a"}]}) == {"env": [{"name": "a"}, {"name": "b"}]}
