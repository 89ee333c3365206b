"""Who may talk to whom, as NetworkPolicies have it (networking.k8s.io/v1)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scripts.chart import Manifest, Manifests, PodSpec, matches

Direction = Literal["Ingress", "Egress"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Endpoint:
    """A pod by namespace and labels, or anything else by its address."""

    namespace: str = ""
    labels: Mapping[str, str] | None = None
    #: Of a pod too, if it is known; ipBlock then matches it, as many plugins have it.
    address: str = ""


def namespace_labels(manifests: Manifests, namespace: str) -> dict[str, str]:
    """Labels of a namespace: its own, if it is in the manifests, and the one that Kubernetes adds."""
    own = manifests.find("Namespace", name=namespace)
    return {**(own.labels if own else {}), "kubernetes.io/metadata.name": namespace}


def directions(policy: Manifest) -> set[str]:
    """What a policy speaks about. Without policyTypes: Ingress, and Egress if it has such rules."""
    types = policy.get("spec", "policyTypes")
    if types:
        return set(types)
    return {"Ingress"} | ({"Egress"} if policy.get("spec", "egress") is not None else set())


def policies_of(
    manifests: Manifests, namespace: str, labels: Mapping[str, str], way: Direction
) -> list[Manifest]:
    """The policies that hold for a pod in one direction; none means that everything is allowed."""
    return [
        policy
        for policy in manifests.all("NetworkPolicy")
        if policy.namespace == namespace and policy.selects(labels) and way in directions(policy)
    ]


def allowed(
    manifests: Manifests, pod: Endpoint, peer: Endpoint, port: int, way: Direction, protocol: str = "TCP"
) -> bool:
    """Whether ``pod``'s own policies let it talk to (Egress) or be reached by (Ingress) the peer.

    ``port`` is the port of the one that is reached. Named ports match nothing: the chart uses none.
    """
    assert pod.labels is not None
    policies = policies_of(manifests, pod.namespace, pod.labels, way)
    if not policies:
        return True
    return any(
        _port(rule, port, protocol) and _peer(manifests, policy, rule, peer, way)
        for policy in policies
        for rule in policy.get("spec", way.lower()) or ()
    )


def opened(
    manifests: Manifests, pod: Endpoint, network: Network
) -> Iterator[tuple[Network, Mapping[str, Any]]]:
    """The addresses of `network`, outside the cluster's pods, to which a pod's policies open any port.

    Each with the egress rule that opens them; a pod without policies has a rule without fields.
    """
    assert pod.labels is not None
    policies = policies_of(manifests, pod.namespace, pod.labels, "Egress")
    rules = [rule for policy in policies for rule in policy.get("spec", "egress") or ()]
    for rule in rules if policies else [{}]:
        peers = rule.get("to") or [{"ipBlock": {"cidr": str(network)}}]
        for block in (peer["ipBlock"] for peer in peers if peer.get("ipBlock")):
            for part in _common(block, network):
                yield part, rule


def _common(block: Mapping[str, Any], network: Network) -> list[Network]:
    """What of `network` an ipBlock matches."""
    cidr = ipaddress.ip_network(block["cidr"], strict=False)
    if cidr.version != network.version or not cidr.overlaps(network):
        return []
    parts: list[Any] = [min(cidr, network, key=lambda net: net.num_addresses)]
    for text in block.get("except") or ():
        hole: Any = ipaddress.ip_network(text, strict=False)
        parts = [rest for part in parts for rest in _without(part, hole)]
    return parts


def _without(part: Any, hole: Any) -> list[Any]:
    if part.version != hole.version or not part.overlaps(hole):
        return [part]
    return [] if part.subnet_of(hole) else [*part.address_exclude(hole)]


def connects(
    manifests: Manifests, source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP"
) -> bool:
    """Whether a connection between two pods is allowed by both sides."""
    return allowed(manifests, source, target, port, "Egress", protocol) and allowed(
        manifests, target, source, port, "Ingress", protocol
    )


def endpoint(manifest: Manifest, pod: PodSpec) -> Endpoint:
    """A workload's pod."""
    return Endpoint(manifest.namespace, pod.labels)


def _port(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    ports = rule.get("ports") or ()
    return not ports or any(
        entry.get("protocol", "TCP") == protocol
        and (
            entry.get("port") is None
            or (
                isinstance(entry["port"], int)
                and entry["port"] <= port <= entry.get("endPort", entry["port"])
            )
        )
        for entry in ports
    )


def _peer(
    manifests: Manifests, policy: Manifest, rule: Mapping[str, Any], peer: Endpoint, way: Direction
) -> bool:
    peers = rule.get("from" if way == "Ingress" else "to") or ()
    return not peers or any(_matches(manifests, policy, entry, peer) for entry in peers)


def _matches(manifests: Manifests, policy: Manifest, entry: Mapping[str, Any], peer: Endpoint) -> bool:
    if block := entry.get("ipBlock"):
        return bool(peer.address) and _in_block(block, peer.address)
    if peer.labels is None:
        return False
    if entry.get("namespaceSelector") is not None:
        if not matches(entry["namespaceSelector"], namespace_labels(manifests, peer.namespace)):
            return False
    elif peer.namespace != policy.namespace:
        return False
    return entry.get("podSelector") is None or matches(entry["podSelector"], peer.labels)


def _in_block(block: Mapping[str, Any], address: str) -> bool:
    where = ipaddress.ip_address(address)
    return where in ipaddress.ip_network(block["cidr"], strict=False) and not any(
        where in ipaddress.ip_network(hole, strict=False) for hole in block.get("except") or ()
    )
