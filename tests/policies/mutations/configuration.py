"""Secrets in the configuration, and objects in a namespace that others use."""

from __future__ import annotations

import json
from typing import Any

from tests.policies.mutations.registry import Dict, for_objects, put

# Configuration


def _config(name: str, text: str) -> None:
    def mutate(manifest: Dict) -> bool:
        data = manifest.get("data", {})
        return "airflow.cfg" in data and put(data, "airflow.cfg", data["airflow.cfg"] + text)

    for_objects(name, "ConfigMap")(mutate)


_config("password in airflow.cfg", "\n[smtp]\nsmtp_password = hunter2\n")
_config("database in airflow.cfg", "\n[database]\nsql_alchemy_conn = postgresql://a:hunter2@db/a\n")
_config("Fernet key in airflow.cfg", "\n[core]\nfernet_key = dGhpcyBpcyBub3QgYSBrZXk=\n")


# What the Docker gateway allows on the node's daemon


def _daemon(name: str, key: str, value: Any) -> None:
    def mutate(manifest: Dict) -> bool:
        data = manifest.get("data", {})
        settings = json.loads(data.get("settings.json", "{}"))
        if "daemon" not in settings or not put(settings["daemon"], key, value):
            return False
        return put(data, "settings.json", json.dumps(settings))

    for_objects(name, "ConfigMap")(mutate)


_daemon("a directory of the node for Docker containers", "binds", ["/data", {"path": "/etc/cron.d"}])
_daemon("the node's root for Docker containers", "binds", ["/"])
_daemon("Docker containers without a limit of memory", "memory", "0")
_daemon("Docker containers without a limit of CPU", "cpu", "0m")
_daemon("Docker containers without a limit of processes", "pids", 0)


@for_objects("moved to the default namespace", "ServiceAccount", "Deployment", "StatefulSet")
def _(manifest: Dict) -> bool:
    return put(manifest["metadata"], "namespace", "default")
