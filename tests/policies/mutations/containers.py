"""Weakenings of one container."""

from __future__ import annotations

import json
from typing import Any

from tests.policies.mutations.registry import (
    Dict,
    add_container,
    add_env,
    drop,
    for_containers,
    is_privileged,
    put,
    security,
)

# Containers: securityContext


def _security_field(name: str, key: str, value: Any) -> None:
    add_container(name, lambda c, p: put(security(c), key, value))


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
    add_container(
        f"capability {name} added",
        lambda c, p: put(security(c).setdefault("capabilities", {}), "add", [name]),
    )


for capability in ("SYS_ADMIN", "NET_RAW", "NET_ADMIN", "ALL"):
    _capability(capability)


@for_containers("capabilities kept")
def _(container: Dict, pod: Dict) -> bool:
    return drop(container, "securityContext", "capabilities", "drop")


@for_containers("capabilities dropped in lower case")
def _(container: Dict, pod: Dict) -> bool:
    capabilities = security(container).get("capabilities", {})
    return capabilities.get("drop") == ["ALL"] and put(capabilities, "drop", ["all"])


@for_containers("privilege escalation allowed")
def _(container: Dict, pod: Dict) -> bool:
    return not is_privileged(container) and put(security(container), "allowPrivilegeEscalation", True)


@for_containers("privilege escalation not said")
def _(container: Dict, pod: Dict) -> bool:
    return drop(container, "securityContext", "allowPrivilegeEscalation")


@for_containers("root file system writable")
def _(container: Dict, pod: Dict) -> bool:
    return drop(container, "securityContext", "readOnlyRootFilesystem")


@for_containers("uid of its own removed")
def _(container: Dict, pod: Dict) -> bool:
    serves = any(
        m["name"] == "docker-socket" and not m.get("readOnly") for m in container.get("volumeMounts", [])
    )
    return serves and drop(container, "securityContext", "runAsUser")


@for_containers("securityContext removed")
def _(container: Dict, pod: Dict) -> bool:
    return not is_privileged(container) and drop(container, "securityContext")


@for_containers("group 0")
def _(container: Dict, pod: Dict) -> bool:
    # Where none is named, as on OpenShift, it is the image's: 0.
    own = pod.get("securityContext", {}).get("runAsGroup", 0)
    return own != 0 and put(security(container), "runAsGroup", 0)


# Containers: the rest


@for_containers("hostPort")
def _(container: Dict, pod: Dict) -> bool:
    container["ports"] = [*container.get("ports", []), {"containerPort": 1024, "hostPort": 1024}]
    return True


@for_containers("port of Docker's API")
def _(container: Dict, pod: Dict) -> bool:
    container["ports"] = [*container.get("ports", []), {"containerPort": 2375}]
    return True


def _probe(kind: str, action: str) -> None:
    value = {action: {"host": "169.254.169.254", "port": 80}}
    add_container(f"{kind} {action} host", lambda c, p: put(c, kind, value))


def _no_limit(resource: str) -> None:
    add_container(f"{resource} limit removed", lambda c, p: drop(c, "resources", "limits", resource))


for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
    _probe(probe, "httpGet")
    _probe(probe, "tcpSocket")
HOOK = {"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}
add_container("preStop host", lambda c, p: put(c, "lifecycle", HOOK))
_no_limit("cpu")
_no_limit("memory")
add_container("resources removed", lambda c, p: drop(c, "resources"))
add_container("liveness probe removed", lambda c, p: drop(c, "livenessProbe"))


@for_containers("tag latest")
def _(container: Dict, pod: Dict) -> bool:
    image = container["image"].partition("@")[0]
    head, slash, last = image.rpartition("/")
    return put(container, "image", f"{head}{slash}{last.partition(':')[0]}:latest")


@for_containers("no tag")
def _(container: Dict, pod: Dict) -> bool:
    image = container["image"].partition("@")[0]
    head, slash, last = image.rpartition("/")
    return put(container, "image", f"{head}{slash}{last.partition(':')[0]}")


def _literal(name: str, value: str) -> None:
    add_container(f"literal {name}", lambda c, p: add_env(c, name=name, value=value))


for name, value in {
    "DB_PASSWORD": "hunter2",
    "DATABASE": "postgresql://airflow:hunter2@db/airflow",
    "AIRFLOW_CONN_DB": '{"conn_type": "postgres", "password": "hunter2"}',
    "DEPLOY_KEY": "-----BEGIN OPENSSH PRIVATE KEY-----",
}.items():
    _literal(name, value)


@for_containers("secret inlined")
def _(container: Dict, pod: Dict) -> bool:
    for variable in container.get("env", []):
        # What libpq also reads, and a name that says nothing, are no secrets.
        if variable["name"] in ("PGDATABASE", "PGHOST", "PGPORT", "PGUSER", "SAMPLE"):
            continue
        if "secretKeyRef" in variable.get("valueFrom", {}):
            del variable["valueFrom"]
            url = variable["name"].endswith(("URL", "CONN", "BACKEND")) or "_CONN_" in variable["name"]
            variable["value"] = "redis://:hunter2@broker/0" if url else "x9"
            return True
    return False


@for_containers("whole Secret as variables")
def _(container: Dict, pod: Dict) -> bool:
    container["envFrom"] = [{"secretRef": {"name": "all"}}]
    return True


@for_containers("password as an argument")
def _(container: Dict, pod: Dict) -> bool:
    container["args"] = [*container.get("args", []), "--password=hunter2"]
    return True


@for_containers("token mounted here too")
def _(container: Dict, pod: Dict) -> bool:
    tokens = [v["name"] for v in pod.get("volumes", []) if "serviceAccountToken" in json.dumps(v)]
    mounts = container.setdefault("volumeMounts", [])
    if not tokens or any(mount["name"] in tokens for mount in mounts):
        return False
    mounts.append({"name": tokens[0], "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"})
    return True


@for_containers("secret in a privileged container")
def _(container: Dict, pod: Dict) -> bool:
    reference = {"secretKeyRef": {"name": "airdock-api-secret-key", "key": "api-secret-key"}}
    return is_privileged(container) and add_env(container, name="API_SECRET", valueFrom=reference)


@for_containers("Secret mounted in a privileged container")
def _(container: Dict, pod: Dict) -> bool:
    pod.setdefault("volumes", []).append({"name": "stolen", "secret": {"secretName": "airdock-jwt-secret"}})
    container.setdefault("volumeMounts", []).append({"name": "stolen", "mountPath": "/stolen"})
    return is_privileged(container)


@for_containers("mount propagation")
def _(container: Dict, pod: Dict) -> bool:
    mounts = container.get("volumeMounts", [])
    return bool(mounts) and put(mounts[0], "mountPropagation", "Bidirectional")


@for_containers("Docker socket replaceable")
def _(container: Dict, pod: Dict) -> bool:
    for mount in container.get("volumeMounts", []):
        if mount["name"] == "docker-socket" and mount.get("readOnly"):
            del mount["readOnly"]
            return True
    return False


@for_containers("DOCKER_HOST over TCP")
def _(container: Dict, pod: Dict) -> bool:
    return add_env(container, name="DOCKER_HOST", value="tcp://localhost:2375")


@for_containers("dockerd on TCP")
def _(container: Dict, pod: Dict) -> bool:
    if "dockerd" not in container.get("command", []):
        return False
    container["command"].append("--host=tcp://0.0.0.0:2375")
    return True


@for_containers("dockerd on TCP by its daemon.json")
def _(container: Dict, pod: Dict) -> bool:
    config = json.dumps({"hosts": ["tcp://0.0.0.0:2375"]})
    return "dockerd" in container.get("command", []) and add_env(
        container, name="AIRDOCK_DAEMON_CONFIG", value=config
    )


@for_containers("insecure registry by its daemon.json")
def _(container: Dict, pod: Dict) -> bool:
    config = json.dumps({"insecure-registries": ["0.0.0.0/0"]})
    return "dockerd" in container.get("command", []) and add_env(
        container, name="AIRDOCK_DAEMON_CONFIG", value=config
    )


@for_containers("dockerd by the entrypoint")
def _(container: Dict, pod: Dict) -> bool:
    # The entrypoint of another image, or of one by digest, is not known by its name.
    return (
        "dockerd" in container.get("command", [])
        and ":29-dind" in container["image"]
        and drop(container, "command")
    )


@for_containers("insecure registry")
def _(container: Dict, pod: Dict) -> bool:
    if "dockerd" not in container.get("command", []):
        return False
    container["command"].append("--insecure-registry=0.0.0.0/0")
    return True
