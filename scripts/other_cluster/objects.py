"""The objects that `tasks.clusters.<name>` needs in the other cluster.

The chart renders them for its own cluster: all objects of its task namespaces. Here they have one account in
place of those of the workers and the triggerer, in a namespace that runs nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts.chart import KUBE_VERSIONS, Manifest, Manifests, matches, render
from scripts.lint.inputs import InputError

#: Cluster-scoped objects of a task namespace.
_FENCE = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
#: Not of Helm's, in the other cluster.
_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart", "helm.sh/resource-policy")


@dataclass(frozen=True)
class Place:
    """A release of the chart, and a cluster of its tasks.clusters."""

    release: str
    namespace: str
    cluster: str
    kube_version: str = KUBE_VERSIONS[-1]


@dataclass(frozen=True)
class Access:
    """What the other cluster gets."""

    objects: tuple[dict[str, Any], ...]
    #: The task namespaces, the first one as the kubeconfig's default.
    namespaces: tuple[str, ...]
    account: str
    #: The namespace of the account.
    home: str
    #: The Secret in the release's cluster, and its key.
    secret: str
    key: str

    @property
    def token(self) -> str:
        """The name of the Secret with the account's token."""
        return f"{self.account}-token"


def access(values: Mapping[str, Any], place: Place) -> Access:
    """Give the objects for a cluster of the values.

    Raises:
        InputError: the values have no such cluster, or its namespace's name is too long.
        RenderError: the chart refuses the values.
    """
    own = render(values, release=place.release, namespace=place.namespace, kube_version=place.kube_version)
    groups, secret, key = _connections(own, place.cluster)
    if not groups:
        raise InputError(f"tasks.clusters.{place.cluster}: no worker group has this cluster in the values.")
    namespaces = tuple(dict.fromkeys(groups.values()))
    home = f"{namespaces[0]}-access"
    if len(home) > 63:
        raise InputError(
            f"tasks.clusters.{place.cluster}.namespace: {namespaces[0]!r} is too long for a namespace"
            f" {home}: set a name of at most 56 characters."
        )
    # From the namespace of the account, so that no policy has the name of one of a release in that cluster.
    there = render(
        _moved(values, groups, namespaces[0]),
        release=place.release,
        namespace=home,
        kube_version=place.kube_version,
    )
    (account,) = {each.name for each in there.all("Role") if each.name.endswith("-task-launcher")}
    objects = [_plain(each, account, home) for each in there if _wanted(each, namespaces, there)]
    first = [each for each in objects if each["kind"] == "Namespace"]
    rest = [each for each in objects if each["kind"] != "Namespace"]
    return Access((*first, *_account(account, home, first[0]), *rest), namespaces, account, home, secret, key)


def _connections(own: Manifests, cluster: str) -> tuple[dict[str, str], str, str]:
    """The task namespace of each worker group in the other cluster; the kubeconfig's Secret and its key."""
    variable = f"AIRFLOW_CONN_KUBERNETES_{cluster.upper()}"
    groups, secret, key = {}, "", ""
    for manifest, pod, container in own.containers:
        if manifest.group and variable in container.env:
            connection = json.loads(own.environment(manifest, container)[variable])
            groups[manifest.group] = str(connection["extra"]["namespace"])
            (volume,) = [each for each in pod.raw["volumes"] if each["name"] == "clusters"]
            for source in (each["secret"] for each in volume["projected"]["sources"]):
                (item,) = source["items"]
                if item["path"] == f"{cluster}/kubeconfig":
                    secret, key = source["name"], item["key"]
    return groups, secret, key


def _moved(values: Mapping[str, Any], groups: Mapping[str, str], first: str) -> dict[str, Any]:
    """The values with the task namespaces of the other cluster."""
    moved = copy.deepcopy(dict(values))
    tasks = moved["tasks"] = dict(moved.get("tasks") or {})
    tasks |= {"namespace": first, "createNamespace": True, "extraNamespaces": []}
    workers = moved["workers"] = dict(moved.get("workers") or {})
    for group, namespace in groups.items():
        settings = workers[group] = dict(workers.get(group) or {})
        own = {"namespace": namespace, "createNamespace": True}
        settings["tasks"] = {**(settings.get("tasks") or {}), **own}
    return moved


def _wanted(manifest: Manifest, namespaces: tuple[str, ...], there: Manifests) -> bool:
    if manifest.component != "tasks" or manifest.name.endswith("-docker-gateway"):
        return False
    if manifest.kind == "Namespace":
        return manifest.name in namespaces
    if manifest.kind in _FENCE:
        selector = there.one(_FENCE[1], name=manifest.name).get("spec", "matchResources", "namespaceSelector")
        created = there.all("Namespace", component="tasks")
        return any(each.name in namespaces and matches(selector, each.labels) for each in created)
    return manifest.namespace in namespaces


def _plain(manifest: Manifest, account: str, home: str) -> dict[str, Any]:
    """An object without Helm's marks, and bound to the account."""
    found: dict[str, Any] = json.loads(json.dumps(manifest.raw))
    for field in ("labels", "annotations"):
        kept = {key: value for key, value in found["metadata"].pop(field, {}).items() if key not in _HELM}
        if kept:
            found["metadata"][field] = kept
    if found["kind"] == "RoleBinding":
        found["subjects"] = [{"kind": "ServiceAccount", "name": account, "namespace": home}]
    return found


def _account(account: str, home: str, tasks: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The account, in a namespace that admits restricted pods only, and its token."""
    security = {
        key: value
        for key, value in tasks["metadata"]["labels"].items()
        if key == "pod-security.kubernetes.io/enforce-version"
    }
    labels = {"pod-security.kubernetes.io/enforce": "restricted", **security}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home, "labels": labels}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": home},
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": f"{account}-token",
                "namespace": home,
                "annotations": {"kubernetes.io/service-account.name": account},
            },
        },
    ]
