"""Every scenario keeps every contract, on the oldest and newest supported Kubernetes, with Helm 4 and 3."""

from __future__ import annotations

import pytest

from scripts.chart import CHART, HELM3, HELM4, KUBE_VERSIONS, Manifests, schemas
from tests.render.contracts import CONTRACTS
from tests.render.scenarios import BY_NAME, HELM3_SCENARIOS, SCENARIOS, Scenario

RENDERS = [(scenario, HELM4) for scenario in SCENARIOS] + [(scenario, HELM3) for scenario in HELM3_SCENARIOS]
OLDEST, NEWEST = KUBE_VERSIONS[0], KUBE_VERSIONS[-1]


@pytest.mark.parametrize(
    ("scenario", "helm"), RENDERS, ids=[f"{scenario}-{helm}" for scenario, helm in RENDERS]
)
def test_contracts(scenario: Scenario, helm: str) -> None:
    """All contracts in one test: tests that share a render would make two processes render it."""
    manifests = scenario.render(NEWEST, helm)
    assert scenario.render(OLDEST, helm).text == manifests.text, "it depends on the version of Kubernetes"
    faults = [
        f"{name} ({contract.__doc__}): {fault}"
        for name, contract in CONTRACTS.items()
        for fault in contract(manifests, scenario)
    ]
    assert not faults, "\n".join(faults)


def test_the_version_of_kubernetes_only_refuses() -> None:
    """So the oldest and the newest stand for all: only what refuses values reads the cluster's version."""
    readers = {path.name for path in (CHART / "templates").rglob("*.*") if "KubeVersion" in path.read_text()}
    assert readers == {"_dind_problems.tpl"}, (
        "where a version changes what is rendered, test_contracts must render on both sides of it"
    )
    renders = {BY_NAME["modes"].render(version).text for version in KUBE_VERSIONS}
    assert len(renders) == 1


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize("version", KUBE_VERSIONS)
def test_objects_are_valid(version: str, helm: str) -> None:
    """All different objects of all scenarios at once: most scenarios share most of theirs."""
    scenarios = [scenario for scenario, by in RENDERS if by == helm]
    objects = {
        repr(manifest.raw): manifest for scenario in scenarios for manifest in scenario.render(helm=helm)
    }
    faults = schemas.problems(Manifests(tuple(objects.values())), version)
    assert not faults, "\n".join(faults)
