"""The list of contracts, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from scripts.chart import Container, Manifest, Manifests, PodSpec
from tests.render.scenarios import Scenario

Contract = Callable[[Manifests, Scenario], Iterator[str]]
CONTRACTS: dict[str, Contract] = {}
#: The user's own objects come from here: names and labels are theirs.
EXTRA = "templates/extra-objects.yaml"


def contract(check: Contract) -> Contract:
    """Registers a contract under its name, with dashes."""
    CONTRACTS[check.__name__.replace("_", "-")] = check
    return check


def at(manifest: Manifest, container: Container) -> str:
    """For messages."""
    return f"{manifest}, container {container.name}"


def names(selected: Iterable[tuple[Manifest, PodSpec]]) -> str:
    """For messages."""
    return ", ".join(str(workload) for workload, _ in selected)


def selected_by(manifest: Manifest, manifests: Manifests) -> Iterator[tuple[Manifest, PodSpec]]:
    """The workloads whose pods an object selects in its namespace."""
    for workload, pod in manifests.pods:
        if workload.namespace == manifest.namespace and manifest.selects(pod.labels):
            yield workload, pod
