"""Secrets in the configuration, and objects in a namespace that others use."""

from __future__ import annotations

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


@for_objects("moved to the default namespace", "ServiceAccount", "Deployment", "StatefulSet")
def _(manifest: Dict) -> bool:
    return put(manifest["metadata"], "namespace", "default")
