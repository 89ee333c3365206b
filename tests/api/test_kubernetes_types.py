"""The words of Kubernetes' own types in values.schema.json are those of the API server.

OpenAPI does not have them. So each text field of each type gets a word that nobody knows. Where the API
server then lists the supported ones, kubernetes_types.RULES must have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.chart import kubernetes_types
from tests.api.control_plane import ControlPlane, Refused

WORD = "Tyop"
TYPES = kubernetes_types.definitions()
PREFIX = f"#/$defs/{kubernetes_types.PREFIX}"


def texts(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(type and field, an object of the type with WORD in that field) for each text field below a type."""
    for field, found in TYPES[kubernetes_types.PREFIX + name].get("properties", {}).items():
        for path, value in of_field(f"{name}.{field}", found):
            yield path, {field: value}


def of_field(path: str, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    types = found.get("type", [])
    if str(found.get("$ref", "")).startswith(PREFIX):
        yield from texts(found["$ref"].removeprefix(PREFIX))
    elif "items" in found:
        for inner, value in of_field(f"{path}[]", found["items"]):
            yield inner, [value]
    elif "enum" in found or "string" in types:
        yield path, WORD


def in_pod(field: str, value: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "a", "image": "a"}
    spec: dict[str, Any] = {"containers": [container]}
    if field == "container":
        container |= value
    elif field == "envFrom":
        container[field] = [value]
    elif field == "valueFrom":
        container["env"] = [{"name": "A", "valueFrom": value}]
    elif field == "volumeMounts":
        container["volumeMounts"] = [{"name": "a", "mountPath": "/a", **value}]
        spec["volumes"] = [{"name": "a", "emptyDir": {}}]
    elif field == "volumes":
        spec["volumes"] = [{"name": "a", **value}]
    else:
        spec[field] = value if field in ("affinity", "dnsConfig") else [value]
    metadata = {"name": "a", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def objects() -> Iterator[tuple[str, dict[str, Any]]]:
    fields = {
        "affinity": "Affinity",
        "container": "Container",
        "dnsConfig": "PodDNSConfig",
        "envFrom": "EnvFromSource",
        "hostAliases": "HostAlias",
        "tolerations": "Toleration",
        "topologySpreadConstraints": "TopologySpreadConstraint",
        "valueFrom": "EnvVarSource",
        "volumeMounts": "VolumeMount",
        "volumes": "Volume",
    }
    for field, name in fields.items():
        for path, value in texts(name):
            yield path, in_pod(field, value)
    metadata = {"name": "a", "namespace": "default"}
    for direction in ("Egress", "Ingress"):
        for path, value in texts(f"NetworkPolicy{direction}Rule"):
            spec = {"podSelector": {}, "policyTypes": [direction], direction.lower(): [value]}
            kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
            yield path, {**kind, "metadata": metadata, "spec": spec}
    for path, value in texts("DeploymentStrategy"):
        pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": pod, "strategy": value}
        yield path, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def test_words_are_those_of_the_api_server(control_plane: ControlPlane) -> None:
    wrong, asked, listed = [], 0, set()
    for path, manifest in objects():
        asked += 1
        try:
            control_plane.admin.create(manifest, dry_run=True)
            continue
        except Refused as error:
            said = re.search(rf'Unsupported value: "{WORD}": supported values: ((?:"\w*",? ?)+)', str(error))
        if said:
            listed.add(path)
            words = set(re.findall(r'"(\w+)"', said[1]))
            ours = set(kubernetes_types.RULES.get(path, {}).get("enum", ())) - {"", None}
            # The API server may list words of features that are off.
            if not words <= ours:
                wrong.append(f"{path}: the API server takes {sorted(words)}, the schema {sorted(ours)}")
    assert asked > 100 and len(listed) > 10
    assert not wrong, "\n".join(wrong)
