"""Faults that the contracts of contracts/volumes.py find."""

from __future__ import annotations

from tests.render.faults.model import API, DEPLOYMENT, SCHEDULER, WORKER, Fault, container, pod

FAULTS = (
    Fault(
        "mounts",
        "a mount without its volume",
        DEPLOYMENT,
        WORKER,
        lambda raw: container(raw, "worker")["volumeMounts"].append({"name": "x", "mountPath": "/x"}),
        "mounts the volume 'x', which the pod lacks",
    ),
    Fault(
        "mounts",
        "a volume that nobody mounts",
        DEPLOYMENT,
        WORKER,
        lambda raw: pod(raw)["volumes"].append({"name": "x", "emptyDir": {}}),
        "no container mounts the volume 'x'",
    ),
    Fault(
        "mounts",
        "a mount inside a ConfigMap",
        DEPLOYMENT,
        WORKER,
        lambda raw: container(raw, "worker")["volumeMounts"].append(
            {"name": "tmp", "mountPath": "/opt/airdock/cache"}
        ),
        "lies inside the read-only mount /opt/airdock",
    ),
    Fault(
        "paths",
        "a script that is not mounted",
        DEPLOYMENT,
        API,
        lambda raw: container(raw, "migrate").update(command=["python", "/opt/scripts/database.py"]),
        "/opt/scripts/database.py is on no mount",
    ),
    Fault(
        "paths",
        "a script that the ConfigMap lacks",
        DEPLOYMENT,
        API,
        lambda raw: container(raw, "migrate").update(command=["python", "/opt/airdock/migrate.py"]),
        "which has no migrate.py",
    ),
    Fault(
        "paths",
        "a file in airflow.cfg",
        "ConfigMap",
        "airdock-config",
        lambda raw: raw["data"].update(
            {"airflow.cfg": raw["data"]["airflow.cfg"].replace("/tmp/passwords.json", "/run/passwords.json")}
        ),
        "[core] simple_auth_manager_passwords_file: /run/passwords.json is on no mount",
    ),
    Fault(
        "temporary-directory",
        "no writable /tmp",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: [
            m.update(readOnly=True) for m in container(raw, "scheduler")["volumeMounts"] if m["name"] == "tmp"
        ],
        "/tmp is on no writable mount",
    ),
)
