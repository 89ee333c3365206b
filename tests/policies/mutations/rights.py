"""Weakenings of roles, bindings and service accounts."""

from __future__ import annotations

from tests.policies.mutations.registry import Dict, ObjectMutator, drop, for_objects, put

# Rights


def _role(name: str, change: ObjectMutator) -> None:
    for_objects(name, "Role")(change)


def _wildcard(key: str) -> None:
    _role(f"wildcard {key}", lambda r: put(r["rules"][0], key, ["*"]))


def _right(group: str, resource: str, verb: str) -> None:
    entry = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
    _role(f"may {verb} {resource}", lambda r: put(r, "rules", [*r["rules"], entry]))


for key in ("verbs", "resources", "apiGroups"):
    _wildcard(key)

#: What no role here may grant: (API group, resource, verb).
RIGHTS = (
    ("", "secrets", "get"),
    ("", "secrets", "list"),
    ("", "secrets", "update"),
    ("", "pods/portforward", "create"),
    ("", "pods/ephemeralcontainers", "patch"),
    ("apps", "deployments", "create"),
    ("apps", "daemonsets", "patch"),
    ("batch", "cronjobs", "create"),
    ("", "serviceaccounts", "impersonate"),
    ("", "serviceaccounts", "create"),
    ("", "serviceaccounts/token", "create"),
    ("", "users", "impersonate"),
    ("rbac.authorization.k8s.io", "roles", "escalate"),
    ("rbac.authorization.k8s.io", "roles", "bind"),
    ("rbac.authorization.k8s.io", "rolebindings", "create"),
    ("", "persistentvolumes", "create"),
    ("", "persistentvolumeclaims", "create"),
    ("example.com", "widgets", "create"),
    ("", "nodes/proxy", "get"),
    ("certificates.k8s.io", "certificatesigningrequests/approval", "update"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", "delete"),
    ("networking.k8s.io", "networkpolicies", "delete"),
    ("", "resourcequotas", "update"),
    ("", "namespaces", "patch"),
)
for right in RIGHTS:
    _right(*right)


def _grant(resource: str, *accepted: str) -> None:
    """The right to create it, for all roles but those that are accepted to have it."""
    rule = {"apiGroups": [""], "resources": [resource], "verbs": ["create"]}
    _role(
        f"may create {resource}",
        lambda r: not r["metadata"]["name"].endswith(accepted) and put(r, "rules", [*r["rules"], rule]),
    )


_grant("pods", "-task-launcher", "-docker-gateway", "-executor-scheduler")
_grant("pods/exec", "-task-launcher")
_grant("pods/attach", "-docker-gateway")


@for_objects("Role turned ClusterRole", "Role")
def _(manifest: Dict) -> bool:
    return put(manifest, "kind", "ClusterRole") and drop(manifest, "metadata", "namespace")


@for_objects("RoleBinding turned ClusterRoleBinding", "RoleBinding")
def _(manifest: Dict) -> bool:
    return put(manifest, "kind", "ClusterRoleBinding")


def _bound_role(name: str) -> None:
    reference = {"kind": "ClusterRole", "name": name}
    for_objects(f"{name} bound", "RoleBinding")(lambda m: put(m, "roleRef", reference))


def _bound_subject(subject: Dict) -> None:
    name = f"{subject['kind']} {subject['name']} bound"
    for_objects(name, "RoleBinding")(lambda m: put(m, "subjects", [*m["subjects"], subject]))


for role in ("cluster-admin", "edit", "system:node"):
    _bound_role(role)
for subject in (
    {"kind": "Group", "name": "system:authenticated"},
    {"kind": "Group", "name": "system:serviceaccounts"},
    {"kind": "User", "name": "eve"},
    {"kind": "ServiceAccount", "name": "nobody-yet", "namespace": "airdock"},
    {"kind": "ServiceAccount", "name": "default"},
):
    _bound_subject(subject)


@for_objects("account automounts its token", "ServiceAccount")
def _(manifest: Dict) -> bool:
    return drop(manifest, "automountServiceAccountToken")
