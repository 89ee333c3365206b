"""Kubernetes' own types in values.schema.json: what affinity, volumes and the like may contain.

Their fields are those of the OpenAPI schemas of the newest supported Kubernetes (the package
kubernetes-validate). OpenAPI has neither the words nor the ranges that the API server accepts: these are
here, from https://kubernetes.io/docs/reference/kubernetes-api/. tests/api/test_kubernetes_types.py asks the
API server for words that are missing. Null is what it is to the API server: an absent field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from scripts.chart.schemas import package
from scripts.chart.values_schema import KUBERNETES
from scripts.chart.versions import KUBE_VERSIONS

#: Before the names of these types in `$defs`.
PREFIX = "kubernetes."
#: The types that the schema of the values refers to.
ROOTS = (
    "Affinity",
    "Container",
    "DeploymentStrategy",
    "EnvFromSource",
    "EnvVarSource",
    "HostAlias",
    "LimitRangeItem",
    "NetworkPolicyEgressRule",
    "NetworkPolicyIngressRule",
    "NetworkPolicyPeer",
    "PodDNSConfig",
    "ResourceClaim",
    "Toleration",
    "TopologySpreadConstraint",
    "Volume",
    "VolumeMount",
)
#: Required fields that the values may leave out: the key of the map stands for `name`, and a group's mount
#: can take its mountPath from workerDefaults.
OPTIONAL = {"Container": {"name"}, "Volume": {"name"}, "VolumeMount": {"name", "mountPath"}}
#: Fields that the values do not have: the key of the map is the name, and the chart decides about restarts.
LEFT_OUT = {"Container": {"name", "restartPolicy", "restartPolicyRules"}, "Volume": {"name"}}

_MODE = {"minimum": 0, "maximum": 0o777}
_PORT = {"minimum": 1, "maximum": 65535}
_HONOR = {"enum": ["Honor", "Ignore", None]}
_HOST_PATHS = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
#: What OpenAPI does not say, by type and field; "[]" for the items of a list.
RULES: Mapping[str, Mapping[str, Any]] = {
    "AppArmorProfile.type": {"enum": ["Localhost", "RuntimeDefault", "Unconfined"]},
    "AzureDiskVolumeSource.cachingMode": {"enum": ["None", "ReadOnly", "ReadWrite", None]},
    "AzureDiskVolumeSource.kind": {"enum": ["Dedicated", "Managed", "Shared", None]},
    "ConfigMapVolumeSource.defaultMode": _MODE,
    "Container.imagePullPolicy": {"enum": ["Always", "IfNotPresent", "Never", None]},
    "Container.terminationMessagePolicy": {"enum": ["FallbackToLogsOnError", "File", None]},
    "ContainerPort.containerPort": _PORT,
    "ContainerPort.hostPort": {"minimum": 0, "maximum": 65535},
    "ContainerPort.protocol": {"enum": ["SCTP", "TCP", "UDP", None]},
    "ContainerResizePolicy.resourceName": {"enum": ["cpu", "memory"]},
    "ContainerResizePolicy.restartPolicy": {"enum": ["NotRequired", "RestartContainer"]},
    "DeploymentStrategy.type": {"enum": ["Recreate", "RollingUpdate", None]},
    "DownwardAPIVolumeFile.mode": _MODE,
    "DownwardAPIVolumeSource.defaultMode": _MODE,
    "EmptyDirVolumeSource.medium": {"pattern": "^(|Memory|HugePages(-[0-9]+[KMG]i)?)$"},
    "HTTPGetAction.scheme": {"enum": ["", "HTTP", "HTTPS", None]},
    "HostPathVolumeSource.type": {"enum": [*_HOST_PATHS, None]},
    "IPBlock.cidr": {"$ref": "#/$defs/anyCidr"},
    "IPBlock.except[]": {"$ref": "#/$defs/anyCidr"},
    "ImageVolumeSource.pullPolicy": {"enum": ["", "Always", "IfNotPresent", "Never", None]},
    "KeyToPath.mode": _MODE,
    "LabelSelector.matchLabels": {"$ref": "#/$defs/selectorLabels"},
    "LabelSelectorRequirement.operator": {"enum": ["DoesNotExist", "Exists", "In", "NotIn"]},
    "LimitRangeItem.type": {"enum": ["Container", "PersistentVolumeClaim", "Pod"]},
    "NetworkPolicyPort.endPort": _PORT,
    "NetworkPolicyPort.port": {
        "type": ["integer", "string", "null"],
        "pattern": "^[a-z0-9-]*[a-z][a-z0-9-]*$",
        "maxLength": 15,
        **_PORT,
    },
    "NetworkPolicyPort.protocol": {"enum": ["SCTP", "TCP", "UDP", None]},
    "NodeSelectorRequirement.operator": {"enum": ["DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"]},
    "PersistentVolumeClaimSpec.accessModes[]": {
        "enum": ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]
    },
    "PersistentVolumeClaimSpec.volumeMode": {"enum": ["Block", "Filesystem", None]},
    "PodCertificateProjection.keyType": {
        "enum": ["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"]
    },
    "PreferredSchedulingTerm.weight": {"minimum": 1, "maximum": 100},
    "ProjectedVolumeSource.defaultMode": _MODE,
    "SeccompProfile.type": {"enum": ["Localhost", "RuntimeDefault", "Unconfined"]},
    "SecretVolumeSource.defaultMode": _MODE,
    "SecurityContext.procMount": {"enum": ["Default", "Unmasked", None]},
    "Toleration.effect": {"enum": ["", "NoExecute", "NoSchedule", "PreferNoSchedule", None]},
    "Toleration.operator": {"enum": ["", "Equal", "Exists", "Gt", "Lt", None]},
    "TopologySpreadConstraint.maxSkew": {"minimum": 1},
    "TopologySpreadConstraint.minDomains": {"minimum": 1},
    "TopologySpreadConstraint.nodeAffinityPolicy": _HONOR,
    "TopologySpreadConstraint.nodeTaintsPolicy": _HONOR,
    "TopologySpreadConstraint.whenUnsatisfiable": {"enum": ["DoNotSchedule", "ScheduleAnyway"]},
    "VolumeMount.bindMountOptions[]": {"enum": ["nodev", "noexec", "nosuid"]},
    "VolumeMount.mountPath": {"minLength": 1},
    "VolumeMount.mountPropagation": {"enum": ["Bidirectional", "HostToContainer", "None", None]},
    "VolumeMount.recursiveReadOnly": {"enum": ["Disabled", "Enabled", "IfPossible", None]},
    "WeightedPodAffinityTerm.weight": {"minimum": 1, "maximum": 100},
}
#: Types in a form of their own.
TYPES: Mapping[str, Mapping[str, Any]] = {
    # Of a claim's template; the API server takes no other fields there.
    "ObjectMeta": {
        "type": ["object", "null"],
        "properties": {
            "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
            "labels": {"$ref": "#/$defs/selectorLabels"},
        },
        "additionalProperties": False,
    },
    "Quantity": {"$ref": "#/$defs/quantityOrNull"},
    "IntOrString": {},
}


def definitions() -> dict[str, Any]:
    """The `$defs` of all types that ROOTS need, by name."""
    found: dict[str, Any] = {}
    left = list(ROOTS)
    while left:
        name = left.pop()
        if name not in found:
            found[name] = _definition(name)
            left += referred(found[name])
    return {PREFIX + name: found[name] for name in sorted(found)}


def referred(definition: Any) -> list[str]:
    """The names of the types that one refers to."""
    return re.findall(rf'"#/\$defs/{re.escape(PREFIX)}(\w+)"', json.dumps(definition))


@cache
def _upstream() -> dict[str, Any]:
    file = package() / f"v{KUBE_VERSIONS[-1]}-local-strict" / "_definitions.json"
    every: dict[str, Any] = json.loads(file.read_text())["$defs"]
    ours = re.compile(r"io\.k8s\.(api\.(apps|core|networking)\.v1|apimachinery\.pkg\..*)\.\w+")
    return {name.rpartition(".")[2]: value for name, value in every.items() if ours.fullmatch(name)}


def _definition(name: str) -> dict[str, Any]:
    if name in TYPES:
        return dict(TYPES[name])
    raw = _upstream()[name]
    fields = {field: _field(f"{name}.{field}", value) for field, value in raw["properties"].items()}
    for field in LEFT_OUT.get(name, ()):
        del fields[field]
    needed = [field for field in raw.get("required", ()) if field not in OPTIONAL.get(name, ())]
    result: dict[str, Any] = {"$comment": KUBERNETES, "type": ["object", "null"]}
    if needed:
        result["required"] = needed
    return {**result, "properties": fields, "additionalProperties": False}


def _field(path: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    rule = dict(RULES.get(path, {}))
    if "$ref" in rule or "enum" in rule:
        return rule
    if "$ref" in raw:
        name = raw["$ref"].rpartition(".")[2]
        return {**({} if name == "IntOrString" else {"$ref": f"#/$defs/{PREFIX}{name}"}), **rule}
    result = {"type": raw["type"]}
    if "items" in raw:
        result["items"] = _field(f"{path}[]", raw["items"])
    if isinstance(raw.get("additionalProperties"), Mapping):
        result["additionalProperties"] = _field(f"{path}.*", raw["additionalProperties"])
    return {**result, **rule}


def written(text: str) -> str:
    """The text of values.schema.json with these types in place of the old ones, at the head of `$defs`."""
    kept = [line for line in text.splitlines() if not line.startswith(f'    "{PREFIX}')]
    head = kept.index('  "$defs": {') + 1
    lines = [f"    {json.dumps(name)}: {json.dumps(value)}," for name, value in definitions().items()]
    return "\n".join([*kept[:head], *lines, *kept[head:]]) + "\n"
