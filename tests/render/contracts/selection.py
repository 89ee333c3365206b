"""Selectors and labels."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.chart import Manifests
from tests.render.contracts.registry import EXTRA, contract, names, selected_by
from tests.render.scenarios import Scenario

RECOMMENDED = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
}
#: A policy names it although it may be absent: the Kustomize component that adds it then changes no policy
#: that another component removes.
MAY_BE_ABSENT = "autoscaler"


@contract
def selectors(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Workloads select their own pods and no other's; Services and policies those of their component."""
    for manifest, pod in manifests.pods:
        if manifest.selector is None:
            continue
        if not manifest.selects(pod.labels):
            yield (
                f"{manifest}: its selector {dict(manifest.selector)} does not match its own pods "
                f"{dict(pod.labels)}"
            )
        for other, other_pod in manifests.pods:
            if (
                other is not manifest
                and other.namespace == manifest.namespace
                and manifest.selects(other_pod.labels)
            ):
                yield f"{manifest}: its selector {dict(manifest.selector)} also matches the pods of {other}"
    for manifest in manifests:
        if manifest.kind not in (
            "Service",
            "NetworkPolicy",
            "PodDisruptionBudget",
        ) or manifest.source.endswith(EXTRA):
            continue
        selected = list(selected_by(manifest, manifests))
        if manifest.selector == {}:
            if selected:
                yield f"{manifest}: an empty selector takes every pod, {names(selected)} among them"
        elif not selected:
            yield f"{manifest}: its selector {dict(manifest.selector or {})} matches no pod of the release"
        for workload, pod in selected:
            if manifest.get("spec", "podSelector", "matchExpressions"):
                continue  # it names several components
            if manifest.selector and pod.labels.get("app.kubernetes.io/component") != manifest.component:
                yield f"{manifest}: is of component {manifest.component!r} but selects the pods of {workload}"


@contract
def network_peers(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Every peer in a NetworkPolicy that names the release is one of its pods."""
    policies = manifests.all("NetworkPolicy")
    for policy in policies:
        for direction in ("ingress", "egress"):
            for rule in policy.get("spec", direction) or ():
                for peer in rule.get("from", rule.get("to")) or ():
                    labels = (peer.get("podSelector") or {}).get("matchLabels") or {}
                    if labels.get("app.kubernetes.io/instance") != scenario.release:
                        continue
                    if labels.get("app.kubernetes.io/component") == MAY_BE_ABSENT:
                        continue
                    where = (peer.get("namespaceSelector") or {}).get("matchLabels") or {}
                    namespace = where.get("kubernetes.io/metadata.name", policy.namespace)
                    if not any(
                        manifest.namespace == namespace and labels.items() <= pod.labels.items()
                        for manifest, pod in manifests.pods
                    ):
                        yield (
                            f"{policy}: an {direction} peer {dict(labels)} matches no pod of the release in "
                            f"{namespace}"
                        )


@contract
def egress_peers(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Every egress rule names its peers, and a block of any address leaves out all metadata addresses."""
    metadata = scenario.effective["networkPolicy"]["metadataAddresses"]
    for policy in manifests.all("NetworkPolicy"):
        for number, rule in enumerate(policy.get("spec", "egress") or ()):
            if not rule.get("to"):
                yield f"{policy}: its egress rule {number} has no peer, so it reaches every address"
            for block in (peer["ipBlock"] for peer in rule.get("to") or () if "ipBlock" in peer):
                if not block["cidr"].endswith("/0"):
                    continue
                wanted = [cidr for cidr in metadata if (":" in cidr) == (":" in block["cidr"])]
                yield from (
                    f"{policy}: its egress rule {number} reaches {cidr}"
                    for cidr in wanted
                    if cidr not in block.get("except", ())
                )


@contract
def labels(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Recommended labels on all objects; no chart version on pods or selectors; commonLabels everywhere."""
    common = scenario.effective["commonLabels"]
    for manifest in manifests:
        if manifest.source.endswith(EXTRA):
            continue
        if missing := sorted(RECOMMENDED - set(manifest.labels)):
            yield f"{manifest}: lacks the label(s) {', '.join(missing)}"
        if manifest.labels.get("app.kubernetes.io/instance") != scenario.release:
            yield f"{manifest}: app.kubernetes.io/instance is not the release {scenario.release!r}"
        yield from (
            f"{manifest}: lacks commonLabels.{key}"
            for key, value in common.items()
            if manifest.labels.get(key) != value
        )
        if manifest.pod is None:
            continue
        for key in ("name", "instance", "component"):
            if manifest.pod.labels.get(f"app.kubernetes.io/{key}") != manifest.labels.get(
                f"app.kubernetes.io/{key}"
            ):
                yield f"{manifest}: its pods' label app.kubernetes.io/{key} is not its own"
        if manifest.kind == "Pod":  # of `helm test`, which replaces it each time
            continue
        for key in ("helm.sh/chart", "app.kubernetes.io/version"):
            if key in manifest.pod.labels or key in (manifest.selector or {}):
                yield (
                    f"{manifest}: {key} is on its pods or in its selector, so a new version would restart "
                    "them"
                )
        yield from (
            f"{manifest}: its pods lack commonLabels.{key}"
            for key, value in common.items()
            if manifest.pod.labels.get(key) != value
        )
