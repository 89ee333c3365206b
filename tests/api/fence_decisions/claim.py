"""The fields of PersistentVolumeClaims: those of ephemeral volumes, and those that workers create."""

from __future__ import annotations

from typing import Any

from tests.api.fence_decisions.decision import ADMISSION, NESTED, Decision, allowed, by_value, refused
from tests.api.fence_decisions.pod import METADATA

#: A spec that is admitted. The examples of CLAIM_SPEC are what they change in it.
PROPER: dict[str, Any] = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}},
    "storageClassName": "allowed",
}
_OTHER = {"kind": "PersistentVolumeClaim", "name": "theirs"}

CLAIM_SPEC: dict[str, Decision] = {
    "accessModes": allowed({"accessModes": ["ReadWriteOncePod"]}),
    "dataSource": refused({"dataSource": _OTHER}),
    "dataSourceRef": refused({"dataSourceRef": _OTHER}),
    "resources": by_value(
        {"resources": {"requests": {"storage": "101Gi"}}},
        ADMISSION + "maxVolumeSize",
        {"resources": {"requests": {"storage": "100Gi"}, "limits": {"storage": "100Gi"}}},
    ),
    "selector": refused({"selector": {"matchLabels": {"a": "b"}}}),
    "storageClassName": by_value({"storageClassName": "theirs"}, ADMISSION + "storageClasses", {}),
    "volumeAttributesClassName": refused({"volumeAttributesClassName": "fast"}),
    "volumeMode": allowed({"volumeMode": "Block"}, "a pod can mount only listed claims"),
    "volumeName": refused({"volumeName": "theirs"}),
}

CLAIM: dict[str, Decision] = {
    "metadata": NESTED,
    "spec": NESTED,
    **{f"metadata.{field}": one for field, one in METADATA.items()},
    **{f"spec.{field}": one for field, one in CLAIM_SPEC.items()},
}
