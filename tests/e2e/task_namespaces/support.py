"""What the administrator allows the DAGs of these tests, and two groups with dedicated task namespaces."""

from __future__ import annotations

import base64
import json
from typing import Any

from scripts.live import TASKS
from tests.support import registry as private_registry

DAG, REATTACH = "e2e_task_namespace", "e2e_reattach"
GROUPS = ("blue", "green")
#: In whose task namespace the triggerer has rights.
DEFERRING = "blue"
#: Not the release's name: what is left of a test that was killed is told apart.
HOMES = {group: f"e2e-{group}-tasks" for group in GROUPS}
KINDS = ("pod", "docker", "deferred")
GROUP_VALUES: dict[str, Any] = {
    "workers": {
        group: {
            "mode": "kubernetes",
            "queues": [group],
            "concurrency": 3,
            "tasks": {
                "namespace": HOMES[group],
                "keepNamespace": False,
                "quota": {"hard": {"pods": "7"}},
                "rbac": {"deferrable": group == DEFERRING},
            },
        }
        for group in GROUPS
    }
}
#: What the administrator opens for these DAGs; and a dead worker's task is given up after 30 s, not 300.
AUTHOR_VALUES: dict[str, Any] = {
    "tasks": {
        "rbac": {"jobs": True},
        "admission": {
            "secrets": ["e2e-token"],
            "configMaps": ["e2e-settings"],
            "persistentVolumeClaims": ["e2e-data"],
            "imagePullSecrets": ["e2e-pull"],
        },
    },
    "workers": {"fragile": {"mode": "kubernetes", "queues": ["fragile"], "concurrency": 1}},
    "controlPlane": {
        "scheduler": {
            "env": {
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            }
        }
    },
}


def secret(name: str, data: dict[str, str], kind: str = "Opaque") -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"name": name, "namespace": TASKS},
        "data": encoded,
    }


def objects() -> list[dict[str, Any]]:
    """What tasks use, on the lists and not."""
    pull = json.dumps(private_registry.docker_config(private_registry.HOST))
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    return [
        secret("e2e-token", {"token": "hush"}),
        secret("not-on-the-list", {"token": "stolen"}),
        secret("e2e-pull", {".dockerconfigjson": pull}, "kubernetes.io/dockerconfigjson"),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "e2e-settings", "namespace": TASKS},
            "data": {"COLOUR": "blue"},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "e2e-data", "namespace": TASKS},
            "spec": claim,
        },
    ]
