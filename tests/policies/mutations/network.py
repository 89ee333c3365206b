"""Weakenings of network policies, Services and Ingresses, of namespaces and of admission."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from tests.policies.mutations.registry import ENFORCE, NETWORK, Dict, ObjectMutator, drop, for_objects, put

# Network


def _policy(name: str, change: ObjectMutator) -> None:
    def mutate(manifest: Dict) -> bool:
        # A policy of egress alone, beside one that denies, only ever adds: it cannot be weakened.
        return "Ingress" in manifest["spec"]["policyTypes"] and change(manifest)

    NETWORK.add(name)
    for_objects(name, "NetworkPolicy")(mutate)


_policy("policyType Ingress removed", lambda m: put(m["spec"], "policyTypes", ["Egress"]))
_policy("policyType Egress removed", lambda m: put(m["spec"], "policyTypes", ["Ingress"]))
_policy("ingress from everybody", lambda m: put(m["spec"], "ingress", [{}]))
_policy("egress to everything", lambda m: put(m["spec"], "egress", [{}]))
_policy("ingress of the namespace", lambda m: put(m["spec"], "ingress", [{"from": [{"podSelector": {}}]}]))
_policy("selects nothing", lambda m: put(m["spec"], "podSelector", {"matchLabels": {"no": "pod"}}))


def _first_rule(manifest: Dict, way: str) -> Dict:
    rules: list[Dict] = manifest["spec"].get(way) or [{}]
    return rules[0]


def _open_first(value: list[Dict] | None) -> ObjectMutator:
    """Other peers for the first ingress rule; None for none. Not where one is open, for an Ingress."""

    def change(manifest: Dict) -> bool:
        rules = manifest["spec"].get("ingress", [])
        if not rules or not all("from" in rule for rule in rules):
            return False
        return drop(rules[0], "from") if value is None else put(rules[0], "from", value)

    return change


_policy("peers of ingress removed", _open_first(None))
_policy("ingress from all namespaces", _open_first([{"namespaceSelector": {}}]))
_policy("ingress from all addresses", _open_first([{"ipBlock": {"cidr": "0.0.0.0/0"}}]))


@for_objects("ports of ingress removed", "NetworkPolicy")
def _(manifest: Dict) -> bool:
    rules = manifest["spec"].get("ingress", [])
    return bool(rules) and drop(rules[0], "ports")


def _metadata_allowed(manifest: Dict) -> bool:
    return any(
        drop(peer, "ipBlock", "except")
        for rule in manifest["spec"].get("egress", [])
        for peer in rule.get("to", [])
    )


_policy("metadata address allowed", _metadata_allowed)


def _egress(name: str, change: ObjectMutator) -> None:
    """For every policy with egress rules: what they open adds up."""
    NETWORK.add(name)
    for_objects(name, "NetworkPolicy")(change)


def _blocks(manifest: Dict) -> list[Dict]:
    return [
        peer["ipBlock"]
        for rule in manifest["spec"].get("egress", [])
        for peer in rule.get("to", [])
        if peer.get("ipBlock", {}).get("except")
    ]


_egress(
    "peers of an egress rule removed",
    lambda m: any(drop(rule, "to") for rule in reversed(m["spec"].get("egress", []))),
)
_egress("one metadata range allowed", lambda m: any(block["except"].pop() for block in _blocks(m)))
_egress("half a metadata range allowed", lambda m: any(_halve(block["except"]) for block in _blocks(m)))


def _halve(holes: list[str]) -> bool:
    """Leaves half of the first hole that is a range: 169.254.0.0/16 becomes 169.254.0.0/17."""
    networks = map(ipaddress.ip_network, holes)
    found = next((number for number, net in enumerate(networks) if net.num_addresses > 1), None)
    if found is not None:
        holes[found] = str(next(ipaddress.ip_network(holes[found]).subnets()))
    return found is not None


def _service(name: str, change: ObjectMutator) -> None:
    for_objects(name, "Service")(change)


_service("NodePort", lambda m: put(m["spec"], "type", "NodePort"))
_service("LoadBalancer", lambda m: put(m["spec"], "type", "LoadBalancer"))
_service("external IPs", lambda m: put(m["spec"], "externalIPs", ["203.0.113.1"]))
for_objects("Ingress without TLS", "Ingress")(lambda m: drop(m, "spec", "tls"))


@for_objects("a host of an Ingress without TLS", "Ingress")
def _(manifest: Dict) -> bool:
    return bool(manifest["spec"].get("tls")) and bool(manifest["spec"]["tls"].pop())


# Namespaces and admission


def _label(name: str, key: str, value: str | None) -> None:
    def mutate(manifest: Dict) -> bool:
        labels = manifest["metadata"].setdefault("labels", {})
        if key == ENFORCE and labels.get(key) == "privileged":
            return False  # there is nothing to weaken
        return drop(labels, key) if value is None else put(labels, key, value)

    for_objects(name, "Namespace")(mutate)


_label("Pod Security not enforced", ENFORCE, None)
_label("Pod Security baseline", ENFORCE, "baseline")
_label("Pod Security of any version", f"{ENFORCE}-version", "latest")
_label("namespace out of the fence", "airdock.dev/tasks", None)


def _admission_field(kind: str, key: str, value: Any) -> None:
    for_objects(f"{key}: {json.dumps(value)}", kind)(lambda m: put(m["spec"], key, value))


_admission_field("ValidatingAdmissionPolicy", "failurePolicy", "Ignore")
_admission_field("ValidatingAdmissionPolicyBinding", "validationActions", ["Audit"])
_admission_field("ValidatingAdmissionPolicyBinding", "policyName", "nothing")


@for_objects("admission admits everything", "ValidatingAdmissionPolicy")
def _(manifest: Dict) -> bool:
    return put(manifest["spec"]["validations"][0], "expression", "true")


@for_objects("admission looks at nothing", "ValidatingAdmissionPolicy")
def _(manifest: Dict) -> bool:
    rule = manifest["spec"]["matchConstraints"]["resourceRules"][0]
    return "pods" in rule["resources"] and put(rule, "operations", ["DELETE"])


@for_objects("admission exempts administrators", "ValidatingAdmissionPolicy")
def _(manifest: Dict) -> bool:
    condition = {"name": "not-us", "expression": '!("system:masters" in request.userInfo.groups)'}
    manifest["spec"]["matchConditions"] = [*manifest["spec"].get("matchConditions", []), condition]
    return True


@for_objects("admission of every Secret", "ValidatingAdmissionPolicy")
def _(manifest: Dict) -> bool:
    for variable in manifest["spec"].get("variables", []):
        if variable["name"] == "secrets":
            return put(variable, "expression", "variables.secretNames.filter(n, !(true))")
    return False
