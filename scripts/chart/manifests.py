"""Typed, read-only access to Kubernetes manifests: nothing is addressed by its position in a list.

manifests = Manifests.parse(text)
worker = manifests.one("Deployment", component="worker", group="docker")
worker.pod.container("worker").mount_at("/run/airdock/docker.sock").volume
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scripts.chart.frozen import as_map, freeze
from scripts.chart.pods import Container, PodSpec
from scripts.chart.yaml import ManifestError, documents, load_yaml

COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
GROUP = "airdock.dev/worker-group"

#: Kind -> where its pod template is. A Pod is its own template.
POD_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "PodTemplate": ("template",),
    "Pod": (),
}

#: Kinds without a namespace, of those that charts use (kubectl api-resources --namespaced=false).
CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttributesClass",
    }
)


@dataclass(frozen=True)
class Manifest:
    """One Kubernetes object."""

    raw: Mapping[str, Any]
    #: The template that it comes from, "" where that is not known.
    source: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"

    @property
    def api_version(self) -> str:
        """Such as apps/v1."""
        return str(self.raw.get("apiVersion", ""))

    @cached_property
    def kind(self) -> str:
        """Such as Deployment."""
        return str(self.raw.get("kind", ""))

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """The object's metadata."""
        return as_map(self.raw.get("metadata"))

    @cached_property
    def name(self) -> str:
        """The object's name, "" where it has none."""
        return str(self.metadata.get("name", ""))

    @cached_property
    def namespace(self) -> str:
        """The namespace that it names, "" for none."""
        return str(self.metadata.get("namespace") or "")

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """The object's labels."""
        return as_map(self.metadata.get("labels"))

    @cached_property
    def annotations(self) -> Mapping[str, str]:
        """The object's annotations."""
        return as_map(self.metadata.get("annotations"))

    @property
    def component(self) -> str:
        """The component label, "" where it has none."""
        return self.labels.get(COMPONENT, "")

    @property
    def group(self) -> str:
        """The worker-group label, "" where it has none."""
        return self.labels.get(GROUP, "")

    @property
    def cluster_scoped(self) -> bool:
        """Whether the kind has no namespace."""
        return self.kind in CLUSTER_SCOPED

    def get(self, *keys: str, default: Any = None) -> Any:
        """The value under these keys, one after another, or `default` where one of them is not there."""
        value: Any = self.raw
        for key in keys:
            if not isinstance(value, (dict, Mapping)) or key not in value:
                return default
            value = value[key]
        return value

    @property
    def selector(self) -> Mapping[str, str] | None:
        """The labels that a workload, Service, NetworkPolicy or PodDisruptionBudget selects pods by.

        None where it selects nothing; an empty map selects every pod. Expressions are not among them: see
        `selects`.
        """
        found = self._selector
        if found is None:
            return None
        return (
            found if self.kind in ("Service", "ReplicationController") else as_map(found.get("matchLabels"))
        )

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod of these labels, in this object's namespace, is selected."""
        found = self._selector
        if found is None:
            return False
        if self.kind in ("Service", "ReplicationController"):
            return all(labels.get(key) == value for key, value in found.items())
        return matches(found, labels)

    @cached_property
    def _selector(self) -> Mapping[str, Any] | None:
        if self.kind == "NetworkPolicy":
            return as_map(self.get("spec", "podSelector"))
        if self.kind in POD_TEMPLATES or self.kind in ("Service", "PodDisruptionBudget"):
            found = self.get("spec", "selector")
            return found if isinstance(found, Mapping) and (found or self.kind != "Service") else None
        return None

    @cached_property
    def pod(self) -> PodSpec | None:
        """The pod that a workload makes, or that a Pod is; None for all other kinds."""
        if self.kind not in POD_TEMPLATES:
            return None
        template = as_map(self.get(*POD_TEMPLATES[self.kind]))
        metadata = as_map(template.get("metadata"))
        claims = tuple(claim["metadata"]["name"] for claim in self.get("spec", "volumeClaimTemplates") or ())
        return PodSpec(
            as_map(template.get("spec")),
            as_map(metadata.get("labels")),
            as_map(metadata.get("annotations")),
            claims,
        )


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (matchLabels, matchExpressions) selects these labels; an empty one does."""
    if any(labels.get(key) != value for key, value in as_map(selector.get("matchLabels")).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        value = labels.get(expression["key"])
        verdicts = {
            "In": value in (expression.get("values") or ()),
            "NotIn": value not in (expression.get("values") or ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not verdicts[expression["operator"]]:
            return False
    return True


@dataclass(frozen=True)
class Manifests:
    """A set of Kubernetes objects, in the order in which they were written."""

    documents: tuple[Manifest, ...]
    #: What they were read from; "" if they were not read.
    text: str = field(default="", repr=False, compare=False)

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self.documents)

    def __len__(self) -> int:
        return len(self.documents)

    @classmethod
    def parse(cls, text: str, name: str = "the YAML") -> Manifests:
        """Reads a YAML or JSON stream; objects of kind List are opened, empty documents skipped.

        A pod in a ConfigMap, KubernetesExecutor's template, stands beside it as a PodTemplate.

        Raises:
            ManifestError: if it is not YAML, has a key twice, or a document is no Kubernetes object.
        """
        marks = [
            (number, line.removeprefix("# Source: ").strip())
            for number, line in enumerate(text.splitlines())
            if line.startswith("# Source: ")
        ]
        found = []
        for line, document in documents(text, name):
            source = next((path for number, path in reversed(marks) if number <= line), "")
            found += [(source, item) for item in _opened(document, f"{name}, line {line + 1}")]
        return cls.of(found, text)

    @classmethod
    def of(cls, documents: Iterable[tuple[str, Any]], text: str = "") -> Manifests:
        """From (source, object) pairs; the objects are copied into read-only ones."""
        return cls(tuple(Manifest(freeze(document), source) for source, document in documents), text)

    def changed(self) -> list[tuple[str, Any]]:
        """(source, object) pairs that may be changed, for `of`."""
        return [(manifest.source, copy.deepcopy(manifest.raw)) for manifest in self]

    def all(self, kind: str | None = None, **wanted: str) -> tuple[Manifest, ...]:
        """All objects of a kind (None: of all kinds) with these attributes.

        Attributes are those of Manifest: name, namespace, component, group, api_version, source.
        """
        of_kind = self.documents if kind is None else self._by_kind.get(kind, [])
        return tuple(
            manifest
            for manifest in of_kind
            if all(getattr(manifest, attribute) == value for attribute, value in wanted.items())
        )

    @cached_property
    def _by_kind(self) -> Mapping[str, Sequence[Manifest]]:
        found: dict[str, list[Manifest]] = {}
        for manifest in self:
            found.setdefault(manifest.kind, []).append(manifest)
        return found

    def one(self, kind: str, **wanted: str) -> Manifest:
        """The only object of that kind with these attributes.

        Raises:
            ManifestError: if there is none, or more than one; it lists those of the kind.
        """
        found = self.all(kind, **wanted)
        if len(found) != 1:
            asked = ", ".join(f"{key}={value}" for key, value in wanted.items())
            there = ", ".join(str(manifest) for manifest in self.all(kind)) or "none of that kind"
            raise ManifestError(f"{len(found)} objects match {kind}({asked}); there are: {there}")
        return found[0]

    def environment(self, manifest: Manifest, container: Container) -> dict[str, str]:
        """The variables that a container's process sees, without those from Secrets and fields.

        As the kubelet makes them: first the ConfigMaps of envFrom, then env in its order, in which $(NAME)
        stands for a variable that is already there.
        """
        found: dict[str, str] = {}
        for source in container.raw.get("envFrom") or ():
            if ref := source.get("configMapRef"):
                config = self.find("ConfigMap", name=ref["name"], namespace=manifest.namespace)
                data = (config.get("data") if config else None) or {}
                found |= {source.get("prefix", "") + key: value for key, value in data.items()}
        for variable in container.env_list:
            if variable.value is not None:
                found[variable.name] = re.sub(
                    r"(\$?)\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)",
                    lambda match: match[0][1:] if match[1] else found.get(match[2], match[0]),
                    variable.value,
                )
        return found

    def find(self, kind: str, **wanted: str) -> Manifest | None:
        """As `one`, but None where there is none."""
        return self.one(kind, **wanted) if self.all(kind, **wanted) else None

    @cached_property
    def pods(self) -> tuple[tuple[Manifest, PodSpec], ...]:
        """Every object that makes pods, with its pod."""
        return tuple((manifest, manifest.pod) for manifest in self if manifest.pod is not None)

    @cached_property
    def containers(self) -> tuple[tuple[Manifest, PodSpec, Container], ...]:
        """Every container of every pod."""
        return tuple(
            (manifest, pod, container) for manifest, pod in self.pods for container in pod.containers
        )


def _opened(document: Any, where: str) -> Sequence[Any]:
    """The objects of one document: none, itself, or a List's items."""
    if document is None:
        return ()
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise ManifestError(f"{where}: not a Kubernetes object: it has no kind")
    if document["kind"] == "List" or (document["kind"].endswith("List") and "items" in document):
        return [item for each in document.get("items") or () for item in _opened(each, where)]
    if not isinstance(document.get("metadata"), dict):
        raise ManifestError(f"{where}: {document['kind']} has no metadata")
    return (document, *_pod_templates(document, where))


def _pod_templates(document: dict[str, Any], where: str) -> Iterator[Any]:
    """The pods in a ConfigMap: KubernetesExecutor makes them as they are, but for a name of their own."""
    data = as_map(document.get("data")) if document["kind"] == "ConfigMap" else {}
    for key, value in data.items():
        if not key.endswith(".yaml") or "\nkind: Pod\n" not in str(value):
            continue
        for pod in load_yaml(value, f"{where}, {key}"):
            metadata = pod["metadata"]
            labels = {**as_map(document["metadata"].get("labels")), **as_map(metadata.get("labels"))}
            template = {
                "metadata": {k: metadata.get(k) for k in ("labels", "annotations")},
                "spec": pod["spec"],
            }
            yield {
                "apiVersion": "v1",
                "kind": "PodTemplate",
                "metadata": {**metadata, "labels": labels},
                "template": template,
            }
