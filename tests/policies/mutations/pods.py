"""Weakenings of a pod, and of the labels and annotations of a pod template."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.policies.mutations.registry import (
    Dict,
    add_env,
    add_pod,
    drop,
    for_pods,
    for_templates,
    put,
    security,
)

# Pods


def _pod_field(key: str) -> None:
    add_pod(key, lambda p: put(p, key, True))


for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
    _pod_field(key)


def _add_volume(pod: Dict, **source: Any) -> bool:
    pod["volumes"] = [*pod.get("volumes", []), {"name": "added", **source}]
    return True


def _host_path(path: str) -> None:
    add_pod(f"hostPath {path}", lambda p: _add_volume(p, hostPath={"path": path}))


for path in (
    "/",
    "/etc",
    "/run",
    "/var/run/docker.sock",
    "//run//containerd/containerd.sock",
    "/proc/1/root/run/crio/crio.sock",
):
    _host_path(path)


@for_pods("Docker socket's directory instead of the socket")
def _(pod: Dict) -> bool:
    for volume in pod.get("volumes", []):
        if volume["name"] == "docker-host":
            volume["hostPath"] = {"path": volume["hostPath"]["path"].rpartition("/")[0]}
            return True
    return False


@for_pods("the node's Docker socket in the worker")
def _(pod: Dict) -> bool:
    if not any(volume["name"] == "docker-host" for volume in pod.get("volumes", [])):
        return False
    pod["containers"][0]["volumeMounts"].append({"name": "docker-host", "mountPath": "/s", "readOnly": True})
    return True


add_pod("nfs volume", lambda p: _add_volume(p, nfs={"server": "10.0.0.1", "path": "/"}))


@for_pods("token volume", wide=True)
def _(pod: Dict) -> bool:
    without_rights = ("scheduler", "postgres", "redis", "dag-processor")
    if any("projected" in volume for volume in pod.get("volumes", [])):
        return False  # the scheduler of KubernetesExecutor has rights
    sources = [{"serviceAccountToken": {"path": "token"}}]
    return _add_volume(pod, projected={"sources": sources}) and pod["serviceAccountName"].endswith(
        without_rights
    )


@for_pods("emptyDir without a limit")
def _(pod: Dict) -> bool:
    return any(drop(volume, "emptyDir", "sizeLimit") for volume in pod.get("volumes", []))


def _pod_security(name: str, key: str, value: Any) -> None:
    add_pod(name, lambda p: put(security(p), key, value))


def _no_pod_security(key: str) -> None:
    add_pod(f"pod {key} removed", lambda p: drop(p, "securityContext", key))


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
add_pod("pod securityContext removed", lambda p: drop(p, "securityContext"))


@for_pods("root's group for files")
def _(pod: Dict) -> bool:
    own = security(pod)
    # Where none is named, as on OpenShift, it is the image's: 0.
    return own.get("runAsGroup", 0) != 0 and put(own, "fsGroup", 0)


@for_pods("node named")
def _(pod: Dict) -> bool:
    return put(pod, "nodeName", "control-plane-1")


@for_pods("every taint tolerated")
def _(pod: Dict) -> bool:
    pod["tolerations"] = [*pod.get("tolerations", []), {"operator": "Exists"}]
    return True


@for_pods("system priority")
def _(pod: Dict) -> bool:
    return put(pod, "priorityClassName", "system-node-critical")


@for_pods("token automounted")
def _(pod: Dict) -> bool:
    return put(pod, "automountServiceAccountToken", True)


@for_pods("token automounted by default")
def _(pod: Dict) -> bool:
    return drop(pod, "automountServiceAccountToken")


@for_pods("default service account", wide=True)
def _(pod: Dict) -> bool:
    return drop(pod, "serviceAccountName")


@for_pods("debug container")
def _(pod: Dict) -> bool:
    pod["ephemeralContainers"] = [{**copy.deepcopy(pod["containers"][0]), "name": "debug"}]
    return True


@for_pods("init container without a securityContext")
def _(pod: Dict) -> bool:
    pod["initContainers"] = [*pod.get("initContainers", []), {"name": "added", "image": "busybox:1.37"}]
    return True


@for_pods("database in a worker")
def _(pod: Dict) -> bool:
    worker = next((c for c in pod["containers"] if c["name"] == "worker"), None)
    reference = {"secretKeyRef": {"name": "airdock-postgres", "key": "connection"}}
    return worker is not None and add_env(
        worker, name="AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", valueFrom=reference
    )


# Pod templates: labels and annotations


@for_templates("pods that no NetworkPolicy selects")
def _(template: Dict) -> bool:
    return bool(template["metadata"]["labels"].pop("app.kubernetes.io/component", None))


@for_templates("AppArmor unconfined by annotation")
def _(template: Dict) -> bool:
    annotations = template["metadata"].setdefault("annotations", {})
    key = f"container.apparmor.security.beta.kubernetes.io/{template['spec']['containers'][0]['name']}"
    return put(annotations, key, "unconfined")


@for_pods("DAG code beside secrets")
def _(pod: Dict) -> bool:
    for container in pod["containers"]:
        if "/opt/airdock/separate_dag_code.py" in (container.get("args") or []):
            return put(container, "args", container["args"][-1:])
    return False


@for_pods("DAG code is given a secret")
def _(pod: Dict) -> bool:
    for container in pod["containers"]:
        for variable in container.get("env", []):
            if variable["name"] == "AIRDOCK_WITHHELD":
                names = variable["value"].split(",")
                return put(variable, "value", ",".join(name for name in names if "DATABASE" not in name))
    return False
