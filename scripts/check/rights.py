"""Rights that the caller needs to install the rendered chart, and which of them are missing.

They are derived from the manifests: Helm's verbs for each object, and what each Role grants, which only
somebody may grant who holds it, or has `escalate` and `bind`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from scripts.chart import Manifest
from scripts.check.cluster import Cluster
from scripts.check.discovery import Served
from scripts.check.report import Check, Result, shortened
from scripts.check.wanted import Wanted

#: Helm's for each object of a release; tests/api/test_check.py holds them against Helm.
HELM = ("get", "create", "patch", "delete")
#: Of `helm --wait`, too.
WAIT = ("list", "watch")
#: For the Secrets in which Helm keeps its releases.
STORAGE = ("get", "list", "create", "update", "delete")
RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"

_ROLE = "have the administrator bind the ClusterRole `admin` to you in this namespace"
#: What an installer without the right does, by resource; docs/task-namespace.md has the whole file.
_WAYS_OUT: Mapping[str, str] = {
    "namespaces": "have the administrator create the namespaces, and set tasks.createNamespace: false "
    "(workers.<name>.createNamespace, kubernetesExecutor.createNamespace)",
    f"validatingadmissionpolicies.{ADMISSION}": "set tasks.admission.enabled: false (with "
    "KubernetesExecutor kubernetesExecutor.admission.enabled), and have the administrator apply the policies",
    "resourcequotas": "set tasks.quota.enabled: false",
    "limitranges": "set tasks.limitRange.enabled: false (kubernetesExecutor.limitRange.enabled)",
}
_WAYS_OUT_PAGE = "see docs/task-namespace.md, Without cluster rights"


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource; `name` "" is any, `namespace` "" is the whole cluster."""

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    @property
    def whole(self) -> str:
        """The resource with its API group, such as deployments.apps."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    def review(self) -> dict[str, object]:
        """The question to the API server."""
        resource, _, subresource = self.resource.partition("/")
        attributes = {
            "namespace": self.namespace,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "verb": self.verb,
            "name": self.name,
        }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }


def held(cluster: Cluster, rights: Iterable[Right]) -> dict[Right, bool]:
    """Which of the rights the caller has.

    Raises:
        CommandError: the API server does not answer.
    """
    asked = sorted(set(rights))
    answers = cluster.create(*[right.review() for right in asked]) if asked else []
    return {
        right: bool(answer["status"].get("allowed")) for right, answer in zip(asked, answers, strict=True)
    }


def of_objects(wanted: Wanted, served: Served) -> set[Right]:
    """What Helm does with each object, with its own Secrets and with the release namespace."""
    found = {Right(wanted.namespace, "", "secrets", verb) for verb in STORAGE}
    found |= {
        Right(wanted.namespace, group, resource, verb)
        for group, resource in (("", "pods"), ("apps", "replicasets"))
        for verb in ("get", *WAIT)
    }
    for manifest in wanted.manifests:
        group = manifest.api_version.rpartition("/")[0]
        # The pods of KubernetesExecutor are in a ConfigMap.
        if manifest.kind != "PodTemplate" and (kind := served.kinds.get((group, manifest.kind))):
            found |= {
                Right(wanted.place(manifest) if kind.namespaced else "", group, kind.resource, verb)
                for verb in (*HELM, *WAIT)
            }
    return found


@dataclass(frozen=True)
class Grant:
    """What a Role hands on, or a binding to it does."""

    manifest: Manifest
    rights: frozenset[Right]
    #: The right that stands for all of them: escalate, or bind.
    instead: Right


def of_grants(wanted: Wanted) -> Iterator[Grant]:
    """Every Role and binding of the release."""
    by_name = {}
    for role in (*wanted.manifests.all("Role"), *wanted.manifests.all("ClusterRole")):
        by_name[role.kind, wanted.place(role), role.name] = _granted(role, wanted.place(role))
        resource = f"{role.kind.lower()}s"
        yield Grant(
            role,
            frozenset(by_name[role.kind, wanted.place(role), role.name]),
            Right(wanted.place(role), RBAC, resource, "escalate", role.name),
        )
    for binding in (*wanted.manifests.all("RoleBinding"), *wanted.manifests.all("ClusterRoleBinding")):
        place = wanted.place(binding)
        kind, name = binding.get("roleRef", "kind"), binding.get("roleRef", "name")
        rights = by_name.get((kind, place if kind == "Role" else "", name))
        yield Grant(
            binding,
            frozenset(Right(place, each.group, each.resource, each.verb, each.name) for each in rights or ()),
            Right(place, RBAC, f"{str(kind).lower()}s", "bind", str(name)),
        )


def _granted(role: Manifest, namespace: str) -> set[Right]:
    return {
        Right(namespace, group, resource, verb, name)
        for rule in role.get("rules") or ()
        for group in rule.get("apiGroups") or ()
        for resource in rule.get("resources") or ()
        for verb in rule["verbs"]
        for name in rule.get("resourceNames") or ("",)
    }


def checks(cluster: Cluster, wanted: Wanted, served: Served, new: Iterable[str]) -> list[Check]:
    """One check for the cluster-wide rights and one for each namespace.

    Args:
        cluster: the cluster.
        wanted: the release.
        served: what the API server serves.
        new: namespaces that somebody else than Helm's manifests must create first.

    Raises:
        CommandError: the API server does not answer.
    """
    needed = of_objects(wanted, served)
    if any(new):
        needed.add(Right("", "", "namespaces", "create"))
    grants = list(of_grants(wanted))
    answers = held(
        cluster, needed.union(*(grant.rights for grant in grants), (grant.instead for grant in grants))
    )
    lacking = {right for right in needed if not answers[right]}
    asked = {right.namespace for right in needed}
    for grant in grants:
        missing = {right for right in grant.rights if not answers[right]}
        unknown = not grant.rights and "roleRef" in grant.manifest.raw
        if (missing or unknown) and not answers[grant.instead]:
            lacking |= missing or {grant.instead}
    return [
        _check(namespace, {right for right in lacking if right.namespace == namespace}, wanted)
        for namespace in sorted(asked)
    ]


def _check(namespace: str, lacking: set[Right], wanted: Wanted) -> Check:
    name = f"rights in {namespace}" if namespace else "rights, cluster-wide"
    if not lacking:
        return Check(
            name, Result.OK, "all that Helm needs for the objects of the chart", stops=wanted.every_mode
        )
    verbs: dict[str, list[str]] = {}
    for right in sorted(lacking):
        verbs.setdefault(f"{right.whole}{f' {right.name}' if right.name else ''}", []).append(right.verb)
    details = tuple(f"{', '.join(found)} {resource}" for resource, found in verbs.items())
    ways = [way for resource, way in _WAYS_OUT.items() if any(right.whole == resource for right in lacking)]
    others = {right.whole for right in lacking} - _WAYS_OUT.keys()
    if namespace and others:
        ways.append(_ROLE)
    elif others - {f"validatingadmissionpolicybindings.{ADMISSION}"}:
        ways.append("have the administrator install the chart, or grant these rights")
    if any(way in _WAYS_OUT.values() for way in ways):
        ways.append(_WAYS_OUT_PAGE)
    return Check(
        name,
        Result.MISSING,
        f"you may not: {shortened(details)}",
        "; ".join(ways),
        wanted.every_mode,
        details,
    )
