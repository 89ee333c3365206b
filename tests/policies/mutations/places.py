"""Every mutator at every place of a release where it fits."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scripts.chart import POD_TEMPLATES, Manifest, Manifests
from tests.policies.mutations.registry import CONTAINERS, ENFORCE, OBJECTS, PODS, TEMPLATES, WIDE, Dict


@dataclass(frozen=True)
class Mutant:
    """A weakened release: what was done, where, and the object that replaces or joins another."""

    mutator: str
    place: str
    #: The object that is replaced; None where one is added.
    old: Manifest | None
    #: What stands in its place; None where one is dropped.
    new: Manifest | None

    @property
    def wide(self) -> bool:
        """Whether policies that look at the whole release must be asked."""
        return self.old is None or self.new is None or self.mutator in WIDE

    def apply(self, manifests: Manifests) -> Manifests:
        """The weakened release."""
        kept = [self.new if m is self.old else m for m in manifests if m is not self.old or self.new]
        if self.old is None:
            kept.append(self.new)
        return Manifests(tuple(manifest for manifest in kept if manifest))


#: Kinds whose removal weakens a release. (Of policies only those that deny ingress: others only add.)
DROPPED = (
    "NetworkPolicy",
    "Role",
    "ResourceQuota",
    "LimitRange",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
ADDED: dict[str, Dict] = {
    "Secret added": {"apiVersion": "v1", "kind": "Secret", "stringData": {"password": "hunter2"}},
    "token Secret added": {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
    },
    "ClusterRole added": {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
    },
    "volume of the runtime's socket added": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "spec": {"hostPath": {"path": "/var/run/docker.sock"}},
    },
    "local volume of /run added": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "spec": {"local": {"path": "/var/run"}},
    },
    "pod in a custom resource added": {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "busybox:1.37"}]}}},
    },
    "namespace added": {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"labels": {ENFORCE: "restricted", f"{ENFORCE}-version": "v1.30"}},
    },
}


def mutants(manifests: Manifests) -> Iterator[Mutant]:
    """Every mutator at every place of a release where it fits."""
    for manifest in manifests:
        yield from alone(manifest)
    yield from together(manifests)


def alone(manifest: Manifest) -> Iterator[Mutant]:
    """Those whose harm shows in the object itself: the same for the same object in any release."""
    if manifest.kind in POD_TEMPLATES:
        yield from _workload_mutants(manifest, wide=False)


def together(manifests: Manifests) -> Iterator[Mutant]:
    """Those whose harm shows beside the other objects."""
    for manifest in manifests:
        if manifest.kind in POD_TEMPLATES:
            yield from _workload_mutants(manifest, wide=True)
        text = json.dumps(manifest.raw)
        for name, (kinds, mutate) in OBJECTS.items():
            raw = json.loads(text) if manifest.kind in kinds else None
            if raw and mutate(raw) and not _harmless(name, manifest, manifests):
                yield Mutant(name, str(manifest), manifest, Manifest(raw))
        if manifest.kind in DROPPED and "Ingress" in manifest.get("spec", "policyTypes", default=["Ingress"]):
            name = f"{manifest.kind} dropped"
            if not _harmless(name, manifest, manifests):
                yield Mutant(name, str(manifest), manifest, None)
    yield from _moved_roles(manifests)
    yield from _shared_accounts(manifests)
    for name, base in ADDED.items():
        metadata = {"name": "added", **base.get("metadata", {})}
        yield Mutant(name, "release", None, Manifest({**base, "metadata": metadata}))


#: Mutators of NetworkPolicies after which pods are open unless another policy closes them.
_OPENERS: dict[str, set[str]] = {
    "policyType Ingress removed": {"Ingress"},
    "policyType Egress removed": {"Egress"},
    "selects nothing": {"Ingress", "Egress"},
    "NetworkPolicy dropped": {"Ingress", "Egress"},
}


def _harmless(name: str, manifest: Manifest, manifests: Manifests) -> bool:
    """A policy that goes leaves its pods to others that close them; rules without their type are unread."""
    if manifest.kind != "NetworkPolicy":
        return False
    types = manifest.get("spec", "policyTypes")
    if name == "egress to everything":
        return "Egress" not in types
    opened = _OPENERS.get(name, set()).intersection(types)
    others = [m for m in manifests.all("NetworkPolicy", namespace=manifest.namespace) if m is not manifest]
    return (
        bool(opened)
        and not manifest.selects({})
        and all(
            any(
                direction in other.get("spec", "policyTypes") and other.selects(pod.labels)
                for other in others
            )
            for workload, pod in manifests.pods
            if workload.namespace == manifest.namespace and manifest.selects(pod.labels)
            for direction in opened
        )
    )


def _moved_roles(manifests: Manifests) -> Iterator[Mutant]:
    """Rights over task pods, where the release's own pods and Secrets are."""
    home = next(manifest.namespace for manifest, _ in manifests.pods)
    for role in manifests.all("Role", component="tasks"):
        raw: Any = copy.deepcopy(role.raw)
        raw["metadata"]["namespace"] = home
        yield Mutant("Role moved to the release", str(role), role, Manifest(raw))


def _shared_accounts(manifests: Manifests) -> Iterator[Mutant]:
    """A workload that runs as another one."""
    for (manifest, pod), (neighbour, other) in itertools.pairwise(manifests.pods):
        if pod.service_account != other.service_account and manifest.namespace == neighbour.namespace:
            raw, template = _opened(manifest)
            template["spec"] = {**template["spec"], "serviceAccountName": other.service_account}
            yield Mutant("another workload's service account", str(manifest), manifest, Manifest(raw))


def _opened(manifest: Manifest) -> tuple[Dict, Dict]:
    """A workload whose maps can be changed down to its pod template, and that template.

    All else is shared with the workload and read-only, so that a mutant costs what it changes.
    """
    raw = template = dict(manifest.raw)
    for key in POD_TEMPLATES[manifest.kind]:
        inner = template[key] = dict(template[key])
        template = inner
    return raw, template


def _workload_mutants(manifest: Manifest, *, wide: bool) -> Iterator[Mutant]:
    """Of containers, pods and templates: those that are wide, or those that are not."""
    # A copy by way of JSON is the quickest.
    text = json.dumps(_opened(manifest)[1])
    for name, change in TEMPLATES.items():
        if (name in WIDE) == wide:
            raw, template = _opened(manifest)
            template |= json.loads(text)
            if change(template):
                yield Mutant(name, str(manifest), manifest, Manifest(raw))
    for name, mutate in PODS.items():
        if (name in WIDE) == wide:
            raw, template = _opened(manifest)
            template |= json.loads(text)
            if mutate(template["spec"]):
                yield Mutant(name, str(manifest), manifest, Manifest(raw))
    if not wide:
        for kind in ("initContainers", "containers"):
            for number in range(len(_opened(manifest)[1]["spec"].get(kind, ()))):
                yield from _container_mutants(manifest, kind, number)


def _container_mutants(manifest: Manifest, kind: str, number: int) -> Iterator[Mutant]:
    own = _opened(manifest)[1]["spec"][kind][number]
    text, place = json.dumps(own), f"{manifest} {own['name']}"
    for name, weaken in CONTAINERS.items():
        raw, template = _opened(manifest)
        container = json.loads(text)
        spec = template["spec"] = dict(template["spec"])
        spec[kind] = [*spec[kind][:number], container, *spec[kind][number + 1 :]]
        if "volumes" in spec:
            spec["volumes"] = [*spec["volumes"]]
        if weaken(container, spec):
            yield Mutant(name, place, manifest, Manifest(raw))
