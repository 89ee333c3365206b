"""Calico, which enforces NetworkPolicies on the node: its CNI plugin and its daemon, Felix.

Of Calico's parts these two are enough for one node: addresses come from host-local, there are no other
nodes to have routes to, and Felix reads pods and policies from the API server itself.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from scripts.cluster import debian
from scripts.cluster.run import run
from scripts.cluster.settings import NODE_ADDRESS

#: Where Felix finds, on the node, what it runs. Not in PATH of the others: a kubelet or dockerd that found
#: iptables would make rules of its own.
PROGRAMS = Path("opt/airdock/calico")
HEALTH_PORT = 9099
_PACKAGES = ("conntrack", "ipset", "iptables")
_FAMILIES = ("iptables", "ip6tables")
#: As Felix calls a program -> what is run. It asks for ip6tables and for the legacy ones only to see who
#: else made rules.
_PROGRAMS = {
    "conntrack": "conntrack",
    "ipset": "ipset",
    **{name: f"{name}-nft" for name in _FAMILIES},
    **{
        f"{name}-{kind}-{verb}": f"{name}-{kind}-{verb}"
        for name in _FAMILIES
        for kind in ("nft", "legacy")
        for verb in ("save", "restore")
    },
}
#: What Felix lists and watches, all empty but for the first: plural, kind, scope.
_KINDS = (
    ("clusterinformations", "ClusterInformation", "Cluster"),
    ("bgpconfigurations", "BGPConfiguration", "Cluster"),
    ("felixconfigurations", "FelixConfiguration", "Cluster"),
    ("globalnetworkpolicies", "GlobalNetworkPolicy", "Cluster"),
    ("globalnetworksets", "GlobalNetworkSet", "Cluster"),
    ("hostendpoints", "HostEndpoint", "Cluster"),
    ("ipamblocks", "IPAMBlock", "Cluster"),
    ("ippools", "IPPool", "Cluster"),
    ("networkpolicies", "NetworkPolicy", "Namespaced"),
    ("networksets", "NetworkSet", "Namespaced"),
)
_GROUP = "crd.projectcalico.org"


def root() -> Path:
    """A directory to chroot into with iptables, ipset and conntrack, made on demand from Debian packages."""
    return debian.tree("iptables", repr(_PACKAGES), _fill)


def _fill(scratch: Path, tree: Path) -> None:
    debian.unpack(debian.with_dependencies(*_PACKAGES), scratch, tree)
    for program in sorted(set(_PROGRAMS.values())):
        run(["chroot", tree, f"/usr/sbin/{program}", "--version"])


def programs(place: str) -> dict[str, str]:
    """The scripts that Felix runs, by name; ``place`` is where the node sees `root`."""
    return {
        name: f'#!/bin/sh\nexec chroot {place} /usr/sbin/{program} "$@"\n'
        for name, program in _PROGRAMS.items()
    }


def kinds() -> str:
    """Calico's own kinds of objects, as JSON for kubectl. Nobody writes any, so none needs a schema."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definitions = [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{_GROUP}"},
            "spec": {
                "group": _GROUP,
                "names": {
                    "plural": plural,
                    "kind": kind,
                    "singular": kind.lower(),
                    "listKind": kind + "List",
                },
                "scope": scope,
                "versions": [
                    {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
                ],
            },
        }
        for plural, kind, scope in _KINDS
    ]
    return _list(definitions)


def ready() -> str:
    """The object, as JSON for kubectl, that both parts wait for: what they read is there."""
    return _list(
        [
            {
                "apiVersion": f"{_GROUP}/v1",
                "kind": "ClusterInformation",
                "metadata": {"name": "default"},
                "spec": {"datastoreReady": True},
            }
        ]
    )


def _list(items: list[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def enforces() -> bool:
    """Whether Felix has made rules of all policies that were there when it started."""
    try:
        connection = http.client.HTTPConnection(NODE_ADDRESS, HEALTH_PORT, timeout=2)
        connection.request("GET", "/readiness")
        return connection.getresponse().status < 300
    except OSError:
        return False
