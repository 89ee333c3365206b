"""Policies for what service accounts may do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from scripts.chart import Manifest, Manifests
from scripts.lint.model import CheckObject, Found, Policy, Severity, Standard, cis, nsa

READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete", "deletecollection")
#: API groups with a dot that Kubernetes itself serves; the chart refuses the same ones (tasks.rbac.rules).
BUILT_IN = {
    f"{name}.k8s.io"
    for name in (
        "rbac.authorization",
        "authentication",
        "authorization",
        "admissionregistration",
        "apiextensions",
        "apiregistration",
        "certificates",
        "coordination",
        "discovery",
        "events",
        "imagepolicy",
        "internal.apiserver",
        "networking",
        "node",
        "resource",
        "scheduling",
        "storage",
        "storagemigration",
        "metrics",
        "flowcontrol.apiserver",
    )
}
WORKLOADS = (
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "replicationcontrollers",
    "jobs",
    "cronjobs",
    "podtemplates",
)


def rules(manifest: Manifest) -> list[Mapping[str, Any]]:
    """The rules of a Role or ClusterRole; none of any other kind."""
    return list(manifest.raw.get("rules") or ()) if manifest.kind in ("Role", "ClusterRole") else []


def grants(rule: Mapping[str, Any], verbs: Collection[str], resources: Collection[str]) -> list[str]:
    """What of these (``create pods``) a rule grants, by name or by a wildcard."""
    has_verbs, has_resources = rule.get("verbs") or (), rule.get("resources") or ()
    return [
        f"{verb} {resource}"
        for resource in resources
        if {resource, "*", f"*/{resource.partition('/')[2]}" if "/" in resource else "*"} & set(has_resources)
        for verb in verbs
        if {verb, "*"} & set(has_verbs)
    ]


def _granting(verbs: Collection[str], resources: Collection[str]) -> CheckObject:
    def find(manifest: Manifest) -> Iterator[Found]:
        for number, rule in enumerate(rules(manifest)):
            if granted := grants(rule, verbs, resources):
                yield Found(f"rules[{number}]", f"may {', '.join(granted)}")

    return find


def _wildcards(manifest: Manifest) -> Iterator[Found]:
    for number, rule in enumerate(rules(manifest)):
        for key in ("verbs", "resources", "apiGroups", "nonResourceURLs"):
            if any("*" in str(value) for value in rule.get(key) or ()):
                yield Found(
                    f"rules[{number}].{key}",
                    "a wildcard grants everything that exists and everything that is added later",
                )


def _bindings(manifests: Manifests) -> Iterator[Manifest]:
    yield from manifests.all("RoleBinding")
    yield from manifests.all("ClusterRoleBinding")


def _administrators(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    for binding in _bindings(manifests):
        role = str(binding.get("roleRef", "name", default=""))
        if role in ("cluster-admin", "admin", "edit") or role.startswith("system:"):
            yield binding, Found("roleRef.name", f"binds {role}")


def _foreign_subjects(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    for binding in _bindings(manifests):
        for subject in binding.raw.get("subjects") or ():
            if subject.get("kind") != "ServiceAccount":
                yield binding, Found("subjects", f"binds {subject.get('kind')} {subject.get('name')}")


def _dangling(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    known = {(manifest.kind, manifest.namespace, manifest.name) for manifest in manifests}
    built_in = ("cluster-admin", "admin", "edit", "view")
    for binding in _bindings(manifests):
        kind = str(binding.get("roleRef", "kind", default=""))
        name = str(binding.get("roleRef", "name", default=""))
        namespace = binding.namespace if kind == "Role" else ""
        if (kind, namespace, name) not in known and name not in built_in and not name.startswith("system:"):
            message = f"{kind} {name} is missing: whoever creates it decides what is granted"
            yield binding, Found("roleRef", message)
        for subject in binding.raw.get("subjects") or ():
            place = (subject.get("kind"), subject.get("namespace") or binding.namespace, subject.get("name"))
            if place[0] == "ServiceAccount" and place not in known:
                message = f"account {place[1]}/{place[2]} is missing: whoever creates it gets the rights"
                yield binding, Found("subjects", message)


def _cluster_wide(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind in ("ClusterRole", "ClusterRoleBinding"):
        yield Found("kind", "applies in every namespace")


def _beside_secrets(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    """Whoever makes pods in a namespace, or runs programs in them, has its Secrets and accounts."""
    homes = {manifest.namespace for manifest, _ in manifests.pods}
    verbs_and_resources = (
        (("create", "update", "patch"), ("pods", *WORKLOADS)),
        (("create", "get"), ("pods/exec",)),
    )
    for role in manifests.all("Role"):
        for number, rule in enumerate(rules(role)):
            for verbs, resources in verbs_and_resources:
                if role.namespace in homes and (granted := grants(rule, verbs, resources)):
                    message = f"may {', '.join(granted)} where the release's own pods and Secrets are"
                    yield role, Found(f"rules[{number}]", message)


def _custom(manifest: Manifest) -> Iterator[Found]:
    for number, rule in enumerate(rules(manifest)):
        for group in rule.get("apiGroups") or ():
            if "." in str(group) and group not in BUILT_IN:
                message = f"may {', '.join(rule.get('verbs') or ())} {', '.join(rule.get('resources') or ())}"
                yield Found(f"rules[{number}].apiGroups", f"{message} of {group}")


def _grant(
    identifier: str,
    title: str,
    severity: Severity,
    why: str,
    verbs: Collection[str],
    resources: Collection[str],
    *standards: Standard,
) -> Policy:
    fix = f"Remove the right to {', '.join(verbs)} {', '.join(resources)}."
    return Policy(identifier, title, severity, why, fix, standards, check_object=_granting(verbs, resources))


POLICIES: tuple[Policy, ...] = (
    Policy(
        "rbac-wildcard",
        "No wildcards in roles",
        "high",
        "A wildcard also grants rights that nobody intended, and rights that a later Kubernetes version "
        "adds.",
        "Name the API groups, resources and verbs.",
        (cis("5.1.3"),),
        check_object=_wildcards,
    ),
    Policy(
        "rbac-administrator",
        "No built-in administrator role is bound",
        "high",
        "cluster-admin, admin and edit may read Secrets and create pods.",
        "Bind a Role that lists only the rights that are needed.",
        (cis("5.1.1"), nsa("C-0035")),
        check_release=_administrators,
    ),
    Policy(
        "rbac-cluster-wide",
        "Rights are limited to a namespace",
        "high",
        "A bound ClusterRole applies in all namespaces, or to objects of the cluster itself.",
        "Use a Role and a RoleBinding in the namespace where the rights are needed.",
        (nsa("C-0035"),),
        check_object=_cluster_wide,
    ),
    Policy(
        "rbac-subjects",
        "Only service accounts are bound",
        "high",
        "A group such as system:authenticated contains everyone.",
        "Bind the service account that needs the right.",
        (cis("5.1.7"),),
        check_release=_foreign_subjects,
    ),
    Policy(
        "rbac-dangling",
        "Bindings refer to roles and accounts that exist",
        "medium",
        "Whoever creates the missing object decides who gets which rights.",
        "Add the missing object to the manifests, or remove the binding.",
        check_release=_dangling,
    ),
    Policy(
        "rbac-beside-secrets",
        "Pods are created only in namespaces without credentials",
        "high",
        "A pod may use every Secret and service account of its namespace.",
        "Grant the right in the task namespace, which contains neither.",
        (cis("5.1.4"), cis("5.6.1")),
        check_release=_beside_secrets,
    ),
    _grant(
        "rbac-secrets",
        "No right to read or change Secrets",
        "high",
        "The verb list also shows the values. With update, a Secret can become a token of any account.",
        (*READ, "update", "patch", "delete", "deletecollection"),
        ("secrets",),
        cis("5.1.2"),
    ),
    _grant(
        "rbac-create-pods",
        "The right to create pods is an exception",
        "medium",
        "A pod may use every Secret and service account of its namespace.",
        ("create",),
        ("pods",),
        cis("5.1.4"),
    ),
    _grant(
        "rbac-workloads",
        "No right to create workloads",
        "high",
        "A controller creates the pods of a workload, so checks of who creates a pod do not apply to them.",
        ("create", "update", "patch"),
        WORKLOADS,
        cis("5.1.4"),
    ),
    _grant(
        "rbac-exec",
        "The right to run programs in containers is an exception",
        "medium",
        "pods/exec gives access to every pod of the namespace, including its files and its token.",
        ("create", "get"),
        ("pods/exec",),
        nsa("C-0002"),
    ),
    _grant(
        "rbac-attach",
        "The right to attach to containers is an exception",
        "medium",
        "pods/attach gives access to the standard input of every pod of the namespace: a shell there runs "
        "what it reads.",
        ("create", "get"),
        ("pods/attach",),
        nsa("C-0002"),
    ),
    _grant(
        "rbac-port-forward",
        "No right to forward ports or to add debug containers",
        "high",
        "Each of these reaches a running pod and bypasses its NetworkPolicies.",
        ("create", "get", "update", "patch"),
        ("pods/portforward", "pods/proxy", "services/proxy", "pods/ephemeralcontainers"),
        nsa("C-0002"),
    ),
    _grant(
        "rbac-escalate",
        "No right to grant rights",
        "high",
        "With bind, escalate or impersonate, an account can use the rights of others.",
        ("bind", "escalate", "impersonate"),
        ("roles", "clusterroles", "users", "groups", "serviceaccounts", "uids", "userextras"),
        cis("5.1.8"),
    ),
    _grant(
        "rbac-change-rbac",
        "No right to change roles or accounts",
        "high",
        "Whoever changes a binding or creates an account gives someone new rights.",
        WRITE,
        ("roles", "rolebindings", "clusterroles", "clusterrolebindings", "serviceaccounts"),
        cis("5.1.8"),
    ),
    _grant(
        "rbac-token-create",
        "No right to create tokens",
        "high",
        "Whoever has the token of another account can act as that account.",
        ("create",),
        ("serviceaccounts/token",),
        cis("5.1.13"),
    ),
    _grant(
        "rbac-volumes",
        "No right to create PersistentVolumes",
        "high",
        "A hostPath in a PersistentVolume is not rejected by Pod Security.",
        ("create", "update", "patch"),
        ("persistentvolumes",),
        cis("5.1.9"),
    ),
    _grant(
        "rbac-claims",
        "No right to create PersistentVolumeClaims",
        "medium",
        "Without an admission policy, a claim can use any free PersistentVolume, or copy another claim.",
        ("create", "update", "patch"),
        ("persistentvolumeclaims",),
        cis("5.1.9"),
    ),
    Policy(
        "rbac-custom",
        "No rights on custom resources",
        "low",
        "Their controller acts for everyone who creates them: it may create pods, or read Secrets.",
        "Remove the rule from tasks.rbac.rules, or make sure that DAG authors may do what the "
        "controller does.",
        check_object=_custom,
    ),
    _grant(
        "rbac-nodes",
        "No right to use kubelets",
        "high",
        "With nodes/proxy, the kubelet runs programs in any container, and the audit log does not show it.",
        ("get", "create", "update", "patch"),
        ("nodes/proxy", "nodes"),
        cis("5.1.10"),
    ),
    _grant(
        "rbac-certificates",
        "No right to approve certificates",
        "high",
        "With an approved certificate, its holder can act as a user of their choice.",
        ("create", "update", "patch", "approve", "sign"),
        ("certificatesigningrequests", "certificatesigningrequests/approval", "signers"),
        cis("5.1.11"),
    ),
    _grant(
        "rbac-admission",
        "No right to change admission",
        "high",
        "Whoever changes webhooks or admission policies can read and change every object that is created.",
        WRITE,
        (
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
        ),
        cis("5.1.12"),
    ),
    _grant(
        "rbac-namespaces",
        "No right to change namespaces, quotas or NetworkPolicies",
        "high",
        "All other rules depend on these objects.",
        WRITE,
        ("namespaces", "resourcequotas", "limitranges", "networkpolicies"),
        cis("5.6.1"),
    ),
)
