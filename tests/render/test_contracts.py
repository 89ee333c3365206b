"""Every scenario keeps every contract, on every supported Kubernetes, with Helm 4 and 3."""

from __future__ import annotations

from functools import lru_cache

import pytest

from scripts.chart import HELM3, HELM4, KUBE_VERSIONS, Manifests, schemas
from tests.render.contracts import CONTRACTS
from tests.render.scenarios import BY_NAME, HELM3_SCENARIOS, SCENARIOS, Scenario

RENDERS = [(scenario, HELM4) for scenario in SCENARIOS] + [(scenario, HELM3) for scenario in HELM3_SCENARIOS]
every_render = pytest.mark.parametrize(
    ("scenario", "helm"), RENDERS, ids=[f"{scenario}-{helm}" for scenario, helm in RENDERS]
)


@lru_cache
def renders(name: str, helm: str) -> dict[str, Manifests]:
    """The different renders of a scenario, by the newest Kubernetes version that has each."""
    found: dict[str, Manifests] = {}
    for version in reversed(KUBE_VERSIONS):
        manifests = BY_NAME[name].render(version, helm)
        if all(manifests is not other for other in found.values()):
            found[version] = manifests
    return found


@every_render
@pytest.mark.parametrize("name", CONTRACTS)
def test_contract(name: str, scenario: Scenario, helm: str) -> None:
    faults = [
        f"Kubernetes {version}: {fault}"
        for version, manifests in renders(scenario.name, helm).items()
        for fault in CONTRACTS[name](manifests, scenario)
    ]
    assert not faults, f"{CONTRACTS[name].__doc__}\n" + "\n".join(faults)


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize("version", KUBE_VERSIONS)
def test_kubeconform(version: str, helm: str) -> None:
    """All different objects of all scenarios at once: most scenarios share most of theirs."""
    scenarios = [scenario for scenario, by in RENDERS if by == helm]
    objects = {
        repr(manifest.raw): manifest for scenario in scenarios for manifest in scenario.render(version, helm)
    }
    faults = schemas.problems(Manifests(tuple(objects.values())), version)
    assert not faults, "\n".join(faults)
