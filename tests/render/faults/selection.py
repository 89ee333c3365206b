"""Faults that the contracts of contracts/selection.py find."""

from __future__ import annotations

from tests.render.faults.model import API, COMPONENT, DEPLOYMENT, POLICY, SCHEDULER, SERVICE, Fault, put

FAULTS = (
    Fault(
        "selectors",
        "a selector without the component",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: raw["spec"]["selector"]["matchLabels"].pop(COMPONENT),
        "also matches the pods of Deployment airdock/airdock-api-server",
    ),
    Fault(
        "selectors",
        "a selector that misses its pods",
        DEPLOYMENT,
        SCHEDULER,
        put("spec", "selector", "matchLabels", "x", value="y"),
        "does not match its own pods",
    ),
    Fault(
        "selectors",
        "a Service without pods",
        SERVICE,
        API,
        put("spec", "selector", COMPONENT, value="web"),
        "matches no pod",
    ),
    Fault(
        "selectors",
        "a Service over another component",
        SERVICE,
        API,
        put("spec", "selector", COMPONENT, value="worker"),
        "selects the pods of Deployment airdock/airdock-worker-",
    ),
    Fault(
        "selectors",
        "a policy over all pods",
        POLICY,
        SCHEDULER,
        put("spec", "podSelector", value={}),
        "an empty selector takes every pod",
    ),
    Fault(
        "network-peers",
        "a peer that is not there",
        POLICY,
        "airdock-postgres",
        lambda raw: raw["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"].update(
            {COMPONENT: "web"}
        ),
        "matches no pod of the release",
    ),
    Fault(
        "egress-peers",
        "an egress rule without a peer",
        POLICY,
        SCHEDULER,
        lambda raw: next(rule for rule in raw["spec"]["egress"] if rule["ports"][0]["port"] == 53).pop("to"),
        "has no peer",
    ),
    Fault(
        "egress-peers",
        "a block that leaves out one metadata address less",
        POLICY,
        "airdock-worker-default",
        lambda raw: raw["spec"]["egress"][0]["to"][0]["ipBlock"]["except"].remove("168.63.129.16/32"),
        "reaches 168.63.129.16/32",
    ),
    Fault(
        "labels",
        "an object without its component",
        SERVICE,
        API,
        lambda raw: raw["metadata"]["labels"].pop(COMPONENT),
        "lacks the label(s) app.kubernetes.io/component",
    ),
    Fault(
        "labels",
        "the chart's version on pods",
        DEPLOYMENT,
        SCHEDULER,
        put("spec", "template", "metadata", "labels", "helm.sh/chart", value="airdock-1"),
        "a new version would restart them",
    ),
    Fault(
        "labels",
        "a pod without commonLabels",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: raw["spec"]["template"]["metadata"]["labels"].pop("cost-centre"),
        "its pods lack commonLabels.cost-centre",
        "maximal",
    ),
    Fault(
        "network-peers",
        "a peer in the wrong namespace",
        POLICY,
        "airdock-api-server",
        lambda raw: [
            peer["namespaceSelector"]["matchLabels"].update({"kubernetes.io/metadata.name": "nowhere"})
            for peer in raw["spec"]["ingress"][0]["from"]
            if "namespaceSelector" in peer
        ],
        "matches no pod of the release in nowhere",
        "namespaces",
    ),
)
