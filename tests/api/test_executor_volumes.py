"""Volumes of KubernetesExecutor's pods: the group's own stay as they are, whatever their kind."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import models

from tests.api.conftest import Install, Installed
from tests.api.control_plane import ControlPlane
from tests.api.test_executor_admission import NAME, SAID, names, release, said, task, values
from tests.policies import pod_security_cases
from tests.support.attacks import AUTHOR

#: A source of each kind, without the fields that the API server sets by itself.
SOURCES: dict[str, dict[str, Any]] = {
    "awsElasticBlockStore": {"volumeID": "ours", "fsType": "ext4", "readOnly": True},
    "azureDisk": {"diskName": "ours", "diskURI": "https://ours", "readOnly": True},
    "azureFile": {"secretName": "ours", "shareName": "ours"},
    "cephfs": {"monitors": ["ours"], "path": "/ours", "user": "ours", "secretRef": {"name": "ours"}},
    "cinder": {"volumeID": "ours", "secretRef": {"name": "ours"}},
    "configMap": {"name": "ours", "items": [{"key": "ours", "path": "ours"}], "optional": False},
    "csi": {"driver": "ours", "volumeAttributes": {"share": "ours", "none": ""}, "readOnly": False},
    "downwardAPI": {"items": [{"path": "ours", "fieldRef": {"fieldPath": "metadata.labels"}}]},
    "emptyDir": {"sizeLimit": "1024Mi", "medium": ""},
    "ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": {"of": "ours"}}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "ours",
        "resources": {"requests": {"storage": "1024Mi"}}}}},
    "fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0},
    "flexVolume": {"driver": "example.com/ours", "options": {"share": "ours"}},
    "flocker": {"datasetName": "ours"},
    "gcePersistentDisk": {"pdName": "ours"},
    "gitRepo": {"repository": "https://ours", "directory": "ours"},
    "glusterfs": {"endpoints": "ours", "path": "ours"},
    "hostPath": {"path": "/ours"},
    "image": {"reference": "registry.example.com/ours:1", "pullPolicy": "IfNotPresent"},
    "iscsi": {"targetPortal": "10.0.0.7:3260", "iqn": "iqn.2015-02.example.com:ours", "lun": 0},
    "nfs": {"server": "ours", "path": "/ours", "readOnly": True},
    "persistentVolumeClaim": {"claimName": "ours", "readOnly": True},
    "photonPersistentDisk": {"pdID": "ours"},
    "portworxVolume": {"volumeID": "ours"},
    "projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "audience": "ours"}},
        {"secret": {"name": "ours", "items": [{"key": "ours", "path": "secret"}], "optional": False}},
        {"configMap": {"name": "ours", "items": []}},
        {"downwardAPI": {"items": [
            {"path": "cpu", "resourceFieldRef": {"containerName": "base", "resource": "limits.cpu"}}]}}]},
    "quobyte": {"registry": "ours:80", "volume": "ours"},
    "rbd": {"monitors": ["ours"], "image": "ours"},
    "scaleIO": {
        "gateway": "https://ours", "system": "ours", "secretRef": {"name": "ours"}, "volumeName": "ours"},
    "secret": {"secretName": "ours", "items": [{"key": "ours", "path": "ours"}]},
    "storageos": {"volumeName": "ours", "volumeNamespace": "ours"},
    "vsphereVolume": {"volumePath": "ours"},
}  # fmt: skip
#: What an author who may write any source would put in, beside the leaves of ours with another value.
THEIRS: dict[str, list[dict[str, Any]]] = {
    "configMap": [{"defaultMode": 511}],
    "emptyDir": [{"medium": "Memory"}],
    "hostPath": [{"path": "/"}, {"type": "DirectoryOrCreate"}],
    "nfs": [{"path": "/"}],
    "projected": [{"sources": [{"secret": {"name": "theirs"}}] * 4}],
    "secret": [{"items": None}],
}


def test_every_kind_is_tried() -> None:
    assert names(models.V1Volume) - {"name"} == SOURCES.keys()


def of_version(version: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """The sources that a Kubernetes version has."""
    return {kind: source for kind, source in SOURCES.items() if kind != "image" or version >= (1, 31)}


def volumes(enabled: bool, version: tuple[int, int]) -> dict[str, Any]:
    """Values with a volume of each kind in the group of mode dind."""
    chosen, sources = values(enabled, ["volumes"]), of_version(version)
    chosen["workers"]["docker"]["volumes"] = {
        kind.lower(): {kind: source} for kind, source in sources.items()
    }
    exempt = sources.keys() - set(pod_security_cases.SOURCES)
    chosen["podSecurity"] = {
        "exemptions": [f"workers.docker.volumes.{kind.lower()}.{kind}" for kind in sorted(exempt)]
    }
    return chosen


@pytest.fixture(scope="module")
def guarded(install: Install, control_plane: ControlPlane) -> Installed:
    return release(install, control_plane, f"{NAME}-volumes", volumes(True, control_plane.version))


@pytest.fixture(scope="module")
def open_release(install: Install, control_plane: ControlPlane) -> Installed:
    return release(install, control_plane, f"{NAME}-volumes-off", volumes(False, control_plane.version))


def changed(value: Any) -> Iterator[Any]:
    """The same with another value at one of its leaves, for each leaf."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for other in changed(inner):
                yield {**value, key: other}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for other in changed(inner):
                yield [*value[:index], other, *value[index + 1 :]]
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    else:
        yield value.replace("ours", "theirs").replace(".7:", ".8:").replace("cfd1", "cfd2")


def put(pod: dict[str, Any], kind: str, source: dict[str, Any]) -> dict[str, Any]:
    (volume,) = (v for v in pod["spec"]["volumes"] if v["name"] == kind.lower())
    volume[kind] = source
    return pod


def test_the_executors_own_pod_is_taken(guarded: Installed) -> None:
    """What the API server adds and leaves out of each kind is known."""
    assert said(guarded.account("scheduler"), task(guarded, "docker")) == ""


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.attack(actor=AUTHOR)
def test_another_source(guarded: Installed, open_release: Installed, kind: str) -> None:
    if kind not in of_version(guarded.plane.version):
        pytest.skip(f"Kubernetes {guarded.plane.version} does not have this kind")
    ours = SOURCES[kind]
    worked = 0
    for theirs in [*changed(ours), *({**ours, **some} for some in THEIRS.get(kind, []))]:
        if theirs == ours:
            continue
        without = said(
            open_release.account("scheduler"), put(task(open_release, "docker"), kind, copy.deepcopy(theirs))
        )
        if without:
            assert "is invalid" in without
            continue
        worked += 1
        refused = said(guarded.account("scheduler"), put(task(guarded, "docker"), kind, theirs))
        assert SAID in refused, theirs
        assert f"spec.volumes[{kind.lower()}]" in refused
    assert worked, "no source that the API server takes"
