"""What an administrator does before the system DAGs can run: values, and the objects that the DAGs name."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.chart import versions
from scripts.live import NAMESPACE, RELEASE, Target

#: The DAGs name this namespace.
HOME = "default"
DAGS_PATH = "/opt/airflow/dags"
#: example_docker_copy_data looks for a file here in the worker; else it skips its Docker tasks.
INPUT, INPUT_MAP = "/your/input_dir/path", "system-dags-input"
VALUES: dict[str, Any] = {
    "airflow": {
        "localSettings": Path(__file__).with_name("local_settings.py").read_text(),
        # For @task.virtualenv, on a node that reaches no package index.
        "env": {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": DAGS_PATH},
    },
    "workerDefaults": {
        "concurrency": 8,
        "volumes": {"input": {"configMap": {"name": INPUT_MAP}}},
        "volumeMounts": {"input": {"mountPath": INPUT}},
    },
    # Each of these is what a refusal in a task's log names.
    "tasks": {
        "extraNamespaces": [HOME],
        "rbac": {"jobs": True, "podExec": True, "claims": True},
        "admission": {
            "secrets": ["airflow-secrets", "airflow-secrets-2"],
            "configMaps": ["test-configmap-1", "test-configmap-2"],
            "persistentVolumeClaims": ["test-volume"],
            "storageClasses": ["standard"],
            "imagePullSecrets": ["testquay"],
            "priorityClasses": ["medium"],
            "tolerations": [{"key": "key", "operator": "Equal", "value": "value"}],
            "execContainers": ["airflow-xcom-sidecar", "worker"],
        },
    },
}
#: docs/task-namespace.md, "An existing namespace".
LABELS = {
    "airdock.dev/tasks": f"{NAMESPACE}.{RELEASE}",
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": versions.POD_SECURITY,
}


def _object(kind: str, name: str, content: dict[str, Any], namespace: str = HOME) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **content}


def objects() -> list[dict[str, Any]]:
    """Give the objects that the DAGs name."""
    login = json.dumps({"auths": {"quay.io": {"auth": base64.b64encode(b"a:b").decode()}}})
    pull = {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": login}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    priority = _object("PriorityClass", "medium", {"value": 1}, namespace="")
    return [
        _object("Secret", "airflow-secrets", {"stringData": {"sql_alchemy_conn": "test"}}),
        _object("Secret", "airflow-secrets-2", {"stringData": {"KEY": "test"}}),
        _object("Secret", "testquay", pull),
        _object("ConfigMap", "test-configmap-1", {"data": {"ONE": "1"}}),
        _object("ConfigMap", "test-configmap-2", {"data": {"TWO": "2"}}),
        _object("PersistentVolumeClaim", "test-volume", {"spec": claim}),
        {**priority, "apiVersion": "scheduling.k8s.io/v1"},
        _object("ConfigMap", INPUT_MAP, {"data": {"a-file": "moved\n"}}, NAMESPACE),
    ]


@contextmanager
def prepared(target: Target) -> Iterator[None]:
    """Label the namespace and create the objects; take both away afterwards."""
    wanted = objects()
    try:
        target.kubectl("label", "namespace", HOME, "--overwrite", *(f"{k}={v}" for k, v in LABELS.items()))
        target.apply(*wanted)
        yield
    finally:
        for each in wanted:
            metadata = each["metadata"]
            place = ["-n", metadata["namespace"]] if "namespace" in metadata else []
            target.kubectl(
                "delete", each["kind"], metadata["name"], *place, "--ignore-not-found", "--wait=false"
            )
        target.kubectl("delete", "pods,jobs", "--all", "-n", HOME, "--wait=false")
        target.kubectl("label", "namespace", HOME, *(f"{name}-" for name in LABELS))


def put_files(target: Target, files: dict[str, str | bytes]) -> None:
    """Put files into the release's DAG folder."""
    text = {name: content for name, content in files.items() if isinstance(content, str)}
    data = {
        name: base64.b64encode(content).decode()
        for name, content in files.items()
        if isinstance(content, bytes)
    }
    _patch(target, {"data": text, "binaryData": data})


def remove_files(target: Target, files: dict[str, str | bytes]) -> None:
    """Take them out again."""
    _patch(
        target,
        {
            "data": {name: None for name, content in files.items() if isinstance(content, str)},
            "binaryData": {name: None for name, content in files.items() if isinstance(content, bytes)},
        },
    )


def _patch(target: Target, patch: dict[str, Any]) -> None:
    name = f"{RELEASE}-example-dags"
    # From standard input: it is too long for a command line's argument.
    options = ["-n", NAMESPACE, "--type=merge", "--patch-file=/dev/stdin"]
    target.kubectl("patch", "configmap", name, *options, stdin=json.dumps(patch))
