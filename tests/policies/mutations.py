"""A library of weakenings, each applied at every place of a release where it fits.

A mutator changes one plain dict in place (a container, pod, pod template or object) and says whether that
weakened it: False where it does not fit, because the thing is not there, or is as weak already.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.chart import POD_TEMPLATES, Manifest, Manifests

Dict = dict[str, Any]
#: (container, pod spec) -> whether it was weakened.
ContainerMutator = Callable[[Dict, Dict], bool]
PodMutator = Callable[[Dict], bool]
#: object -> the places that were found, each with a function that weakens it.
ObjectMutator = Callable[[Dict], bool]

CONTAINERS: dict[str, ContainerMutator] = {}
PODS: dict[str, PodMutator] = {}
TEMPLATES: dict[str, ObjectMutator] = {}
#: With the kinds that it is for.
OBJECTS: dict[str, tuple[tuple[str, ...], ObjectMutator]] = {}
#: Names of mutators whose harm only shows beside the other objects.
WIDE: set[str] = {"Role moved to the release", "another workload's service account"}
#: Names of mutators of NetworkPolicies, for which the flows of a release are compared as well.
NETWORK: set[str] = {"NetworkPolicy dropped", "pods that no NetworkPolicy selects"}


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


def _security(container: Dict) -> Dict:
    return container.setdefault("securityContext", {})  # type: ignore[no-any-return]


def _privileged(container: Dict) -> bool:
    return bool(container.get("securityContext", {}).get("privileged"))


def _set(owner: Dict, key: str, value: Any) -> bool:
    if owner.get(key) == value:
        return False
    owner[key] = value
    return True


def _drop(owner: Mapping[str, Any], *path: str) -> bool:
    for key in path[:-1]:
        owner = owner.get(key) or {}
    return isinstance(owner, dict) and owner.pop(path[-1], None) is not None


def _container(name: str) -> Callable[[ContainerMutator], ContainerMutator]:
    def register(mutator: ContainerMutator) -> ContainerMutator:
        CONTAINERS[name] = mutator
        return mutator

    return register


def _pod(name: str, *, wide: bool = False) -> Callable[[PodMutator], PodMutator]:
    def register(mutator: PodMutator) -> PodMutator:
        PODS[name] = mutator
        if wide:
            WIDE.add(name)
        return mutator

    return register


def _object(name: str, *kinds: str) -> Callable[[ObjectMutator], ObjectMutator]:
    """Objects of these kinds: most of them only matter together with others."""

    def register(mutator: ObjectMutator) -> ObjectMutator:
        OBJECTS[name] = (kinds, mutator)
        WIDE.add(name)
        return mutator

    return register


def _add_container(name: str, mutator: ContainerMutator) -> None:
    CONTAINERS[name] = mutator


def _add_pod(name: str, mutator: PodMutator) -> None:
    PODS[name] = mutator


# Containers: securityContext


def _security_field(name: str, key: str, value: Any) -> None:
    _add_container(name, lambda c, p: _set(_security(c), key, value))


for key, value in {
    "privileged": True,
    "procMount": "Unmasked",
    "seccompProfile": {"type": "Unconfined"},
    "appArmorProfile": {"type": "Unconfined"},
    "seLinuxOptions": {"type": "spc_t"},
    "windowsOptions": {"hostProcess": True},
    "runAsUser": 0,
    "runAsNonRoot": False,
}.items():
    _security_field(f"{key}: {json.dumps(value)}", key, value)


def _capability(name: str) -> None:
    _add_container(
        f"capability {name} added",
        lambda c, p: _set(_security(c).setdefault("capabilities", {}), "add", [name]),
    )


for capability in ("SYS_ADMIN", "NET_RAW", "NET_ADMIN", "ALL"):
    _capability(capability)


@_container("capabilities kept")
def _(container: Dict, pod: Dict) -> bool:
    return _drop(container, "securityContext", "capabilities", "drop")


@_container("capabilities dropped in lower case")
def _(container: Dict, pod: Dict) -> bool:
    capabilities = _security(container).get("capabilities", {})
    return capabilities.get("drop") == ["ALL"] and _set(capabilities, "drop", ["all"])


@_container("privilege escalation allowed")
def _(container: Dict, pod: Dict) -> bool:
    return not _privileged(container) and _set(_security(container), "allowPrivilegeEscalation", True)


@_container("privilege escalation not said")
def _(container: Dict, pod: Dict) -> bool:
    return _drop(container, "securityContext", "allowPrivilegeEscalation")


@_container("root file system writable")
def _(container: Dict, pod: Dict) -> bool:
    return _drop(container, "securityContext", "readOnlyRootFilesystem")


@_container("uid of its own removed")
def _(container: Dict, pod: Dict) -> bool:
    serves = any(
        m["name"] == "docker-socket" and not m.get("readOnly") for m in container.get("volumeMounts", [])
    )
    return serves and _drop(container, "securityContext", "runAsUser")


@_container("securityContext removed")
def _(container: Dict, pod: Dict) -> bool:
    return not _privileged(container) and _drop(container, "securityContext")


@_container("group 0")
def _(container: Dict, pod: Dict) -> bool:
    return pod.get("securityContext", {}).get("runAsGroup") != 0 and _set(
        _security(container), "runAsGroup", 0
    )


# Containers: the rest


@_container("hostPort")
def _(container: Dict, pod: Dict) -> bool:
    container["ports"] = [*container.get("ports", []), {"containerPort": 1024, "hostPort": 1024}]
    return True


@_container("port of Docker's API")
def _(container: Dict, pod: Dict) -> bool:
    container["ports"] = [*container.get("ports", []), {"containerPort": 2375}]
    return True


def _probe(kind: str, action: str) -> None:
    value = {action: {"host": "169.254.169.254", "port": 80}}
    _add_container(f"{kind} {action} host", lambda c, p: _set(c, kind, value))


def _no_limit(resource: str) -> None:
    _add_container(f"{resource} limit removed", lambda c, p: _drop(c, "resources", "limits", resource))


for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
    _probe(probe, "httpGet")
    _probe(probe, "tcpSocket")
HOOK = {"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}
_add_container("preStop host", lambda c, p: _set(c, "lifecycle", HOOK))
_no_limit("cpu")
_no_limit("memory")
_add_container("resources removed", lambda c, p: _drop(c, "resources"))
_add_container("liveness probe removed", lambda c, p: _drop(c, "livenessProbe"))


@_container("tag latest")
def _(container: Dict, pod: Dict) -> bool:
    image = container["image"].partition("@")[0]
    head, slash, last = image.rpartition("/")
    return _set(container, "image", f"{head}{slash}{last.partition(':')[0]}:latest")


@_container("no tag")
def _(container: Dict, pod: Dict) -> bool:
    image = container["image"].partition("@")[0]
    head, slash, last = image.rpartition("/")
    return _set(container, "image", f"{head}{slash}{last.partition(':')[0]}")


def _add_env(container: Dict, **entry: Any) -> bool:
    container["env"] = [
        variable for variable in container.get("env", []) if variable["name"] != entry["name"]
    ] + [entry]
    return True


def _literal(name: str, value: str) -> None:
    _add_container(f"literal {name}", lambda c, p: _add_env(c, name=name, value=value))


for name, value in {
    "DB_PASSWORD": "hunter2",
    "DATABASE": "postgresql://airflow:hunter2@db/airflow",
    "AIRFLOW_CONN_DB": '{"conn_type": "postgres", "password": "hunter2"}',
    "DEPLOY_KEY": "-----BEGIN OPENSSH PRIVATE KEY-----",
}.items():
    _literal(name, value)


@_container("secret inlined")
def _(container: Dict, pod: Dict) -> bool:
    for variable in container.get("env", []):
        if "secretKeyRef" in variable.get("valueFrom", {}):
            del variable["valueFrom"]
            url = variable["name"].endswith(("URL", "CONN", "BACKEND")) or "_CONN_" in variable["name"]
            variable["value"] = "redis://:hunter2@broker/0" if url else "x9"
            return True
    return False


@_container("whole Secret as variables")
def _(container: Dict, pod: Dict) -> bool:
    container["envFrom"] = [{"secretRef": {"name": "all"}}]
    return True


@_container("password as an argument")
def _(container: Dict, pod: Dict) -> bool:
    container["args"] = [*container.get("args", []), "--password=hunter2"]
    return True


@_container("token mounted here too")
def _(container: Dict, pod: Dict) -> bool:
    tokens = [v["name"] for v in pod.get("volumes", []) if "serviceAccountToken" in json.dumps(v)]
    mounts = container.setdefault("volumeMounts", [])
    if not tokens or any(mount["name"] in tokens for mount in mounts):
        return False
    mounts.append({"name": tokens[0], "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"})
    return True


@_container("secret in a privileged container")
def _(container: Dict, pod: Dict) -> bool:
    reference = {"secretKeyRef": {"name": "airdock-api-secret-key", "key": "api-secret-key"}}
    return _privileged(container) and _add_env(container, name="API_SECRET", valueFrom=reference)


@_container("Secret mounted in a privileged container")
def _(container: Dict, pod: Dict) -> bool:
    pod.setdefault("volumes", []).append({"name": "stolen", "secret": {"secretName": "airdock-jwt-secret"}})
    container.setdefault("volumeMounts", []).append({"name": "stolen", "mountPath": "/stolen"})
    return _privileged(container)


@_container("mount propagation")
def _(container: Dict, pod: Dict) -> bool:
    mounts = container.get("volumeMounts", [])
    return bool(mounts) and _set(mounts[0], "mountPropagation", "Bidirectional")


@_container("Docker socket replaceable")
def _(container: Dict, pod: Dict) -> bool:
    for mount in container.get("volumeMounts", []):
        if mount["name"] == "docker-socket" and mount.get("readOnly"):
            del mount["readOnly"]
            return True
    return False


@_container("DOCKER_HOST over TCP")
def _(container: Dict, pod: Dict) -> bool:
    return _add_env(container, name="DOCKER_HOST", value="tcp://localhost:2375")


@_container("dockerd on TCP")
def _(container: Dict, pod: Dict) -> bool:
    if "dockerd" not in container.get("command", []):
        return False
    container["command"].append("--host=tcp://0.0.0.0:2375")
    return True


@_container("dockerd by the entrypoint")
def _(container: Dict, pod: Dict) -> bool:
    # The entrypoint of another image, or of one by digest, is not known by its name.
    return (
        "dockerd" in container.get("command", [])
        and ":29-dind" in container["image"]
        and _drop(container, "command")
    )


@_container("insecure registry")
def _(container: Dict, pod: Dict) -> bool:
    if "dockerd" not in container.get("command", []):
        return False
    container["command"].append("--insecure-registry=0.0.0.0/0")
    return True


# Pods


def _pod_field(key: str) -> None:
    _add_pod(key, lambda p: _set(p, key, True))


for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
    _pod_field(key)


def _add_volume(pod: Dict, **source: Any) -> bool:
    pod["volumes"] = [*pod.get("volumes", []), {"name": "added", **source}]
    return True


def _host_path(path: str) -> None:
    _add_pod(f"hostPath {path}", lambda p: _add_volume(p, hostPath={"path": path}))


for path in (
    "/",
    "/etc",
    "/run",
    "/var/run/docker.sock",
    "//run//containerd/containerd.sock",
    "/proc/1/root/run/crio/crio.sock",
):
    _host_path(path)


@_pod("Docker socket's directory instead of the socket")
def _(pod: Dict) -> bool:
    for volume in pod.get("volumes", []):
        if volume["name"] == "docker-host":
            volume["hostPath"] = {"path": volume["hostPath"]["path"].rpartition("/")[0]}
            return True
    return False


@_pod("the node's Docker socket in the worker")
def _(pod: Dict) -> bool:
    if not any(volume["name"] == "docker-host" for volume in pod.get("volumes", [])):
        return False
    pod["containers"][0]["volumeMounts"].append({"name": "docker-host", "mountPath": "/s", "readOnly": True})
    return True


_add_pod("nfs volume", lambda p: _add_volume(p, nfs={"server": "10.0.0.1", "path": "/"}))


@_pod("token volume", wide=True)
def _(pod: Dict) -> bool:
    without_rights = ("scheduler", "postgres", "redis", "dag-processor")
    if any("projected" in volume for volume in pod.get("volumes", [])):
        return False  # the scheduler of KubernetesExecutor has rights
    sources = [{"serviceAccountToken": {"path": "token"}}]
    return _add_volume(pod, projected={"sources": sources}) and pod["serviceAccountName"].endswith(
        without_rights
    )


@_pod("emptyDir without a limit")
def _(pod: Dict) -> bool:
    return any(_drop(volume, "emptyDir", "sizeLimit") for volume in pod.get("volumes", []))


def _pod_security(name: str, key: str, value: Any) -> None:
    _add_pod(name, lambda p: _set(_security(p), key, value))


def _no_pod_security(key: str) -> None:
    _add_pod(f"pod {key} removed", lambda p: _drop(p, "securityContext", key))


for key, value in {
    "runAsNonRoot": False,
    "runAsUser": 0,
    "seccompProfile": {"type": "Unconfined"},
    "appArmorProfile": {"type": "Unconfined"},
    "seLinuxOptions": {"user": "system_u"},
    "windowsOptions": {"hostProcess": True},
    "sysctls": [{"name": "kernel.msgmax", "value": "1"}],
}.items():
    _pod_security(f"pod {key}: {json.dumps(value)}", key, value)
_no_pod_security("runAsNonRoot")
_no_pod_security("seccompProfile")
_add_pod("pod securityContext removed", lambda p: _drop(p, "securityContext"))


@_pod("root's group for files")
def _(pod: Dict) -> bool:
    security = _security(pod)
    return security.get("runAsGroup") != 0 and _set(security, "fsGroup", 0)


@_pod("node named")
def _(pod: Dict) -> bool:
    return _set(pod, "nodeName", "control-plane-1")


@_pod("every taint tolerated")
def _(pod: Dict) -> bool:
    pod["tolerations"] = [*pod.get("tolerations", []), {"operator": "Exists"}]
    return True


@_pod("system priority")
def _(pod: Dict) -> bool:
    return _set(pod, "priorityClassName", "system-node-critical")


@_pod("token automounted")
def _(pod: Dict) -> bool:
    return _set(pod, "automountServiceAccountToken", True)


@_pod("token automounted by default")
def _(pod: Dict) -> bool:
    return _drop(pod, "automountServiceAccountToken")


@_pod("default service account", wide=True)
def _(pod: Dict) -> bool:
    return _drop(pod, "serviceAccountName")


@_pod("debug container")
def _(pod: Dict) -> bool:
    pod["ephemeralContainers"] = [{**copy.deepcopy(pod["containers"][0]), "name": "debug"}]
    return True


@_pod("init container without a securityContext")
def _(pod: Dict) -> bool:
    pod["initContainers"] = [*pod.get("initContainers", []), {"name": "added", "image": "busybox:1.37"}]
    return True


@_pod("database in a worker")
def _(pod: Dict) -> bool:
    worker = next((c for c in pod["containers"] if c["name"] == "worker"), None)
    reference = {"secretKeyRef": {"name": "airdock-postgres", "key": "connection"}}
    return worker is not None and _add_env(
        worker, name="AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", valueFrom=reference
    )


# Pod templates: labels and annotations


def _template(name: str) -> Callable[[ObjectMutator], ObjectMutator]:
    def register(mutator: ObjectMutator) -> ObjectMutator:
        TEMPLATES[name] = mutator
        WIDE.add(name)
        return mutator

    return register


@_template("pods that no NetworkPolicy selects")
def _(template: Dict) -> bool:
    return bool(template["metadata"]["labels"].pop("app.kubernetes.io/component", None))


@_template("AppArmor unconfined by annotation")
def _(template: Dict) -> bool:
    annotations = template["metadata"].setdefault("annotations", {})
    key = f"container.apparmor.security.beta.kubernetes.io/{template['spec']['containers'][0]['name']}"
    return _set(annotations, key, "unconfined")


# Rights


def _role(name: str, change: ObjectMutator) -> None:
    _object(name, "Role")(change)


def _wildcard(key: str) -> None:
    _role(f"wildcard {key}", lambda r: _set(r["rules"][0], key, ["*"]))


def _right(group: str, resource: str, verb: str) -> None:
    entry = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
    _role(f"may {verb} {resource}", lambda r: _set(r, "rules", [*r["rules"], entry]))


for key in ("verbs", "resources", "apiGroups"):
    _wildcard(key)

#: What no role here may grant: (API group, resource, verb).
RIGHTS = (
    ("", "secrets", "get"),
    ("", "secrets", "list"),
    ("", "secrets", "update"),
    ("", "pods/attach", "create"),
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
        lambda r: not r["metadata"]["name"].endswith(accepted) and _set(r, "rules", [*r["rules"], rule]),
    )


_grant("pods", "-task-launcher", "-docker-gateway", "-executor-scheduler")
_grant("pods/exec", "-task-launcher")


@_object("Role turned ClusterRole", "Role")
def _(manifest: Dict) -> bool:
    return _set(manifest, "kind", "ClusterRole") and _drop(manifest, "metadata", "namespace")


@_object("RoleBinding turned ClusterRoleBinding", "RoleBinding")
def _(manifest: Dict) -> bool:
    return _set(manifest, "kind", "ClusterRoleBinding")


def _bound_role(name: str) -> None:
    reference = {"kind": "ClusterRole", "name": name}
    _object(f"{name} bound", "RoleBinding")(lambda m: _set(m, "roleRef", reference))


def _bound_subject(subject: Dict) -> None:
    name = f"{subject['kind']} {subject['name']} bound"
    _object(name, "RoleBinding")(lambda m: _set(m, "subjects", [*m["subjects"], subject]))


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


@_object("account automounts its token", "ServiceAccount")
def _(manifest: Dict) -> bool:
    return _drop(manifest, "automountServiceAccountToken")


# Network


def _policy(name: str, change: ObjectMutator) -> None:
    def mutate(manifest: Dict) -> bool:
        # A policy of egress alone, beside one that denies, only ever adds: it cannot be weakened.
        return "Ingress" in manifest["spec"]["policyTypes"] and change(manifest)

    NETWORK.add(name)
    _object(name, "NetworkPolicy")(mutate)


_policy("policyType Ingress removed", lambda m: _set(m["spec"], "policyTypes", ["Egress"]))
_policy("policyType Egress removed", lambda m: _set(m["spec"], "policyTypes", ["Ingress"]))
_policy("ingress from everybody", lambda m: _set(m["spec"], "ingress", [{}]))
_policy("egress to everything", lambda m: _set(m["spec"], "egress", [{}]))
_policy("ingress of the namespace", lambda m: _set(m["spec"], "ingress", [{"from": [{"podSelector": {}}]}]))
_policy("selects nothing", lambda m: _set(m["spec"], "podSelector", {"matchLabels": {"no": "pod"}}))


def _first_rule(manifest: Dict, way: str) -> Dict:
    rules: list[Dict] = manifest["spec"].get(way) or [{}]
    return rules[0]


def _open_first(value: list[Dict] | None) -> ObjectMutator:
    """Other peers for the first ingress rule; None for none. Not where one is open, for an Ingress."""

    def change(manifest: Dict) -> bool:
        rules = manifest["spec"].get("ingress", [])
        if not rules or not all("from" in rule for rule in rules):
            return False
        return _drop(rules[0], "from") if value is None else _set(rules[0], "from", value)

    return change


_policy("peers of ingress removed", _open_first(None))
_policy("ingress from all namespaces", _open_first([{"namespaceSelector": {}}]))
_policy("ingress from all addresses", _open_first([{"ipBlock": {"cidr": "0.0.0.0/0"}}]))


@_object("ports of ingress removed", "NetworkPolicy")
def _(manifest: Dict) -> bool:
    rules = manifest["spec"].get("ingress", [])
    return bool(rules) and _drop(rules[0], "ports")


def _metadata_allowed(manifest: Dict) -> bool:
    return any(
        _drop(peer, "ipBlock", "except")
        for rule in manifest["spec"].get("egress", [])
        for peer in rule.get("to", [])
    )


_policy("metadata address allowed", _metadata_allowed)


def _service(name: str, change: ObjectMutator) -> None:
    _object(name, "Service")(change)


_service("NodePort", lambda m: _set(m["spec"], "type", "NodePort"))
_service("LoadBalancer", lambda m: _set(m["spec"], "type", "LoadBalancer"))
_service("external IPs", lambda m: _set(m["spec"], "externalIPs", ["203.0.113.1"]))
_object("Ingress without TLS", "Ingress")(lambda m: _drop(m, "spec", "tls"))

# Namespaces and admission

_PSA = "pod-security.kubernetes.io/enforce"


def _label(name: str, key: str, value: str | None) -> None:
    def mutate(manifest: Dict) -> bool:
        labels = manifest["metadata"].setdefault("labels", {})
        if key == _PSA and labels.get(key) == "privileged":
            return False  # there is nothing to weaken
        return _drop(labels, key) if value is None else _set(labels, key, value)

    _object(name, "Namespace")(mutate)


_label("Pod Security not enforced", _PSA, None)
_label("Pod Security baseline", _PSA, "baseline")
_label("Pod Security of any version", f"{_PSA}-version", "latest")
_label("namespace out of the fence", "airdock.dev/tasks", None)


def _admission_field(kind: str, key: str, value: Any) -> None:
    _object(f"{key}: {json.dumps(value)}", kind)(lambda m: _set(m["spec"], key, value))


_admission_field("ValidatingAdmissionPolicy", "failurePolicy", "Ignore")
_admission_field("ValidatingAdmissionPolicyBinding", "validationActions", ["Audit"])
_admission_field("ValidatingAdmissionPolicyBinding", "policyName", "nothing")


@_object("admission admits everything", "ValidatingAdmissionPolicy")
def _(manifest: Dict) -> bool:
    return _set(manifest["spec"]["validations"][0], "expression", "true")


@_object("admission looks at nothing", "ValidatingAdmissionPolicy")
def _(manifest: Dict) -> bool:
    rule = manifest["spec"]["matchConstraints"]["resourceRules"][0]
    return "pods" in rule["resources"] and _set(rule, "operations", ["DELETE"])


# Configuration


def _config(name: str, text: str) -> None:
    def mutate(manifest: Dict) -> bool:
        data = manifest.get("data", {})
        return "airflow.cfg" in data and _set(data, "airflow.cfg", data["airflow.cfg"] + text)

    _object(name, "ConfigMap")(mutate)


_config("password in airflow.cfg", "\n[smtp]\nsmtp_password = hunter2\n")
_config("database in airflow.cfg", "\n[database]\nsql_alchemy_conn = postgresql://a:hunter2@db/a\n")
_config("Fernet key in airflow.cfg", "\n[core]\nfernet_key = dGhpcyBpcyBub3QgYSBrZXk=\n")


@_object("moved to the default namespace", "ServiceAccount", "Deployment", "StatefulSet")
def _(manifest: Dict) -> bool:
    return _set(manifest["metadata"], "namespace", "default")


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
    "namespace added": {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"labels": {_PSA: "restricted", f"{_PSA}-version": "v1.30"}},
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
        for name, (kinds, mutate) in OBJECTS.items():
            raw: Any = copy.deepcopy(manifest.raw) if manifest.kind in kinds else None
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
            raw, template = _fresh(json.dumps(manifest.raw), manifest.kind)
            template["spec"]["serviceAccountName"] = other.service_account
            yield Mutant("another workload's service account", str(manifest), manifest, Manifest(raw))


def _fresh(text: str, kind: str) -> tuple[Any, Any]:
    """A changeable copy of a workload (from JSON: the quickest way), and the pod template in it."""
    raw = template = json.loads(text)
    for key in POD_TEMPLATES[kind]:
        template = template[key]
    return raw, template


def _workload_mutants(manifest: Manifest, *, wide: bool) -> Iterator[Mutant]:
    """Of containers, pods and templates: those that are wide, or those that are not."""
    text = json.dumps(manifest.raw)
    for name, change in TEMPLATES.items():
        raw, template = _fresh(text, manifest.kind)
        if (name in WIDE) == wide and change(template):
            yield Mutant(name, str(manifest), manifest, Manifest(raw))
    for name, mutate in PODS.items():
        raw, template = _fresh(text, manifest.kind)
        if (name in WIDE) == wide and mutate(template["spec"]):
            yield Mutant(name, str(manifest), manifest, Manifest(raw))
    if wide:
        return
    spec = _fresh(text, manifest.kind)[1]["spec"]
    for kind in ("initContainers", "containers"):
        for number, container in enumerate(spec.get(kind, ())):
            for name, weaken in CONTAINERS.items():
                raw, template = _fresh(text, manifest.kind)
                if weaken(template["spec"][kind][number], template["spec"]):
                    yield Mutant(name, f"{manifest} {container['name']}", manifest, Manifest(raw))
