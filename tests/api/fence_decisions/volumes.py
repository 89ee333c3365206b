"""The fields of spec.volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.api.fence_decisions.claim import CLAIM_SPEC, PROPER
from tests.api.fence_decisions.decision import ADMISSION, NESTED, Decision, allowed, by_value, server


def _volume(**source: Any) -> list[dict[str, Any]]:
    return [{"name": "theirs", **source}]


def _template(fields: dict[str, Any] | None, **metadata: Any) -> Any:
    if fields is None:
        return None
    spec = {**PROPER, **fields}
    return _volume(ephemeral={"volumeClaimTemplate": {"metadata": metadata, "spec": spec}})


_TYPES = ADMISSION + "volumeTypes"
_SPEC = "volumes[].ephemeral.volumeClaimTemplate.spec"
VOLUMES: dict[str, Decision] = {
    "volumes[].name": allowed(_volume(emptyDir={})),
    "volumes[].configMap": by_value(
        _volume(configMap={"name": "theirs"}),
        ADMISSION + "configMaps",
        _volume(configMap={"name": "allowed"}),
    ),
    "volumes[].csi": NESTED,
    "volumes[].csi.driver": allowed(_volume(csi={"driver": "d.example"}), "by volumeTypes: csi"),
    "volumes[].csi.fsType": allowed(_volume(csi={"driver": "d.example", "fsType": "ext4"})),
    "volumes[].csi.nodePublishSecretRef": by_value(
        _volume(csi={"driver": "d.example", "nodePublishSecretRef": {"name": "theirs"}}),
        ADMISSION + "secrets",
        _volume(csi={"driver": "d.example", "nodePublishSecretRef": {"name": "allowed"}}),
    ),
    "volumes[].csi.readOnly": allowed(_volume(csi={"driver": "d.example", "readOnly": True})),
    "volumes[].csi.volumeAttributes": allowed(
        _volume(csi={"driver": "d.example", "volumeAttributes": {"a": "b"}})
    ),
    "volumes[].downwardAPI": allowed(
        _volume(downwardAPI={"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]})
    ),
    "volumes[].emptyDir": NESTED,
    "volumes[].emptyDir.medium": allowed(
        _volume(emptyDir={"medium": "Memory"}), "counts against the limits for memory"
    ),
    "volumes[].emptyDir.sizeLimit": by_value(
        _volume(emptyDir={"sizeLimit": "101Gi"}),
        ADMISSION + "maxVolumeSize",
        _volume(emptyDir={"sizeLimit": "100Gi"}),
    ),
    "volumes[].ephemeral": NESTED,
    "volumes[].ephemeral.volumeClaimTemplate": NESTED,
    "volumes[].ephemeral.volumeClaimTemplate.metadata": by_value(
        _template({}, annotations={"volume.beta.kubernetes.io/storage-class": "theirs"}),
        ADMISSION + "annotations",
        _template({}, labels={"a": "b"}),
    ),
    _SPEC: NESTED,
    **{
        f"{_SPEC}.{field}": replace(one, example=_template(one.example), fine=_template(one.fine))
        for field, one in CLAIM_SPEC.items()
    },
    "volumes[].image": NESTED,
    "volumes[].image.pullPolicy": allowed(
        _volume(image={"reference": "busybox:1.37", "pullPolicy": "Always"}), since=(1, 31)
    ),
    "volumes[].image.reference": by_value(
        _volume(image={"reference": "evil.example/x"}),
        ADMISSION + "images",
        _volume(image={"reference": "busybox:1.37"}),
        since=(1, 31),
    ),
    "volumes[].persistentVolumeClaim": by_value(
        _volume(persistentVolumeClaim={"claimName": "theirs"}),
        ADMISSION + "persistentVolumeClaims",
        _volume(persistentVolumeClaim={"claimName": "allowed"}),
    ),
    "volumes[].projected": NESTED,
    "volumes[].projected.defaultMode": allowed(
        _volume(projected={"defaultMode": 0o444, "sources": [{"configMap": {"name": "allowed"}}]})
    ),
    "volumes[].projected.sources[]": NESTED,
    "volumes[].projected.sources[].clusterTrustBundle": server(
        "behind a feature gate; public certificates, which the fence admits"
    ),
    "volumes[].projected.sources[].configMap": by_value(
        _volume(projected={"sources": [{"configMap": {"name": "theirs"}}]}), ADMISSION + "configMaps"
    ),
    "volumes[].projected.sources[].downwardAPI": allowed(
        _volume(
            projected={
                "sources": [
                    {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.name"}}]}}
                ]
            }
        )
    ),
    "volumes[].projected.sources[].podCertificate": by_value(
        _volume(
            projected={"sources": [{"podCertificate": {"signerName": "a.example/b", "keyType": "ED25519"}}]}
        ),
        ADMISSION + "tokenAudiences",
    ),
    "volumes[].projected.sources[].secret": by_value(
        _volume(projected={"sources": [{"secret": {"name": "theirs"}}]}), ADMISSION + "secrets"
    ),
    "volumes[].projected.sources[].serviceAccountToken": by_value(
        _volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}),
        ADMISSION + "tokenAudiences",
        _volume(
            projected={"sources": [{"serviceAccountToken": {"path": "t", "audience": "sts.example.com"}}]}
        ),
    ),
    "volumes[].secret": by_value(
        _volume(secret={"secretName": "theirs"}),
        ADMISSION + "secrets",
        _volume(secret={"secretName": "allowed"}),
    ),
    **{
        f"volumes[].{kind}": by_value(_volume(**{kind: source}), _TYPES)
        for kind, source in {
            "awsElasticBlockStore": {"volumeID": "v"},
            "azureDisk": {"diskName": "d", "diskURI": "https://a.blob.core.windows.net/c/d.vhd"},
            "azureFile": {"secretName": "s", "shareName": "s"},
            "cephfs": {"monitors": ["10.0.0.1"]},
            "cinder": {"volumeID": "v"},
            "fc": {"targetWWNs": ["1"], "lun": 1},
            "flexVolume": {"driver": "d/e"},
            "flocker": {"datasetName": "d"},
            "gcePersistentDisk": {"pdName": "p"},
            "gitRepo": {"repository": "r"},
            "glusterfs": {"endpoints": "e", "path": "/p"},
            "hostPath": {"path": "/"},
            "iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:s", "lun": 1},
            "nfs": {"server": "10.0.0.1", "path": "/"},
            "photonPersistentDisk": {"pdID": "p"},
            "portworxVolume": {"volumeID": "v"},
            "quobyte": {"registry": "r:1", "volume": "v"},
            "rbd": {"monitors": ["10.0.0.1"], "image": "i"},
            "scaleIO": {"gateway": "g", "system": "s", "secretRef": {"name": "s"}, "volumeName": "v"},
            "storageos": {"volumeName": "v", "volumeNamespace": "n"},
            "vsphereVolume": {"volumePath": "p"},
        }.items()
    },
}
