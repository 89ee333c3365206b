"""Faults that the contracts of contracts/secrets.py find."""

from __future__ import annotations

from tests.render.faults.model import (
    DEPLOYMENT,
    SCHEDULER,
    WORKER,
    Fault,
    add_variable,
    container,
    pod,
    put,
    variable,
)

FAULTS = (
    Fault(
        "images",
        "an image of its own",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "wait-for-migrations").update(image="busybox:latest"),
        "the image 'busybox:latest' is none of .Values.images",
    ),
    Fault(
        "images",
        "another pull policy",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler").update(imagePullPolicy="Always"),
        "imagePullPolicy is 'Always', not its image's",
    ),
    Fault(
        "images",
        "an image inside a connection",
        DEPLOYMENT,
        "airdock-triggerer",
        lambda raw: variable(raw, "triggerer", "AIRFLOW_CONN_KUBERNETES_DEFAULT").update(
            value='{"extra": {"xcom_sidecar_container_image":"alpine:3"}}'
        ),
        "the image 'alpine:3' is none of .Values.images",
    ),
    Fault(
        "pull-secrets",
        "a pod that cannot pull",
        "StatefulSet",
        "airdock-postgres",
        lambda raw: pod(raw).pop("imagePullSecrets"),
        "imagePullSecrets are [], the values say ['registry-a', 'registry-b']",
        "maximal",
    ),
    Fault(
        "worker-secrets",
        "a worker with the database's URL",
        DEPLOYMENT,
        WORKER,
        add_variable("X", valueFrom={"secretKeyRef": {"name": "airdock-postgres", "key": "connection"}}),
        "a worker must not hold connection of the Secret airdock-postgres",
    ),
    Fault(
        "worker-secrets",
        "a worker with a whole Secret as a volume",
        DEPLOYMENT,
        WORKER,
        lambda raw: pod(raw)["volumes"].append({"name": "x", "secret": {"secretName": "airdock-fernet-key"}}),
        "a worker must not hold all keys of the Secret airdock-fernet-key",
    ),
    Fault(
        "worker-secrets",
        "a worker's sidecar with a whole Secret as variables",
        DEPLOYMENT,
        WORKER,
        lambda raw: container(raw, "docker").update(envFrom=[{"secretRef": {"name": "airdock-jwt-secret"}}]),
        "a worker must not hold all keys of the Secret airdock-jwt-secret",
    ),
    Fault(
        "no-secret-rendered",
        "a Secret",
        "ConfigMap",
        "airdock-scripts",
        put("kind", value="Secret"),
        "never rendered",
    ),
    Fault(
        "no-secret-rendered",
        "a password as a literal",
        DEPLOYMENT,
        SCHEDULER,
        add_variable("POSTGRES_PASSWORD", value="airflow"),
        "the variable POSTGRES_PASSWORD holds a literal",
    ),
    Fault(
        "no-secret-rendered",
        "a secret in airflow.cfg",
        "ConfigMap",
        "airdock-config",
        lambda raw: raw["data"].update({"airflow.cfg": raw["data"]["airflow.cfg"] + "fernet_key = x\n"}),
        "airflow.cfg holds fernet_key",
    ),
    Fault(
        "no-hooks",
        "a hook",
        "ConfigMap",
        "airdock-scripts",
        put("metadata", "annotations", value={"helm.sh/hook": "pre-install"}),
        "the annotation helm.sh/hook orders it",
    ),
    Fault(
        "no-hooks",
        "a Job",
        DEPLOYMENT,
        SCHEDULER,
        put("kind", value="Job"),
        "template is immutable",
    ),
)
