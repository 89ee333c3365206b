"""Faults that the contracts of contracts/references.py find."""

from __future__ import annotations

from tests.render.faults.model import (
    API,
    DEPLOYMENT,
    SCHEDULER,
    Fault,
    add_variable,
    container,
    pod,
    put,
    variable,
)

FAULTS = (
    Fault(
        "references",
        "a Secret that is not there",
        DEPLOYMENT,
        SCHEDULER,
        add_variable("X", valueFrom={"secretKeyRef": {"name": "nowhere", "key": "x"}}),
        "needs the Secret nowhere",
    ),
    Fault(
        "references",
        "a key that a made Secret lacks",
        DEPLOYMENT,
        SCHEDULER,
        add_variable("X", valueFrom={"secretKeyRef": {"name": "airdock-postgres", "key": "uri"}}),
        "needs the key 'uri' of the Secret airdock-postgres, which has connection, password",
    ),
    Fault(
        "references",
        "a ConfigMap that is not there",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: [
            v["configMap"].update(name="gone") for v in pod(raw)["volumes"] if v["name"] == "config"
        ],
        "needs the ConfigMap gone",
    ),
    Fault(
        "references",
        "a service account that is not there",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: pod(raw).update(serviceAccountName="gone"),
        "needs the ServiceAccount gone",
    ),
    Fault(
        "references",
        "a binding without its role",
        "RoleBinding",
        "airdock-create-secrets",
        put("roleRef", "name", value="gone"),
        "roleRef names the Role gone",
    ),
    Fault(
        "references",
        "a binding's subject in another namespace",
        "RoleBinding",
        "airdock-create-secrets",
        lambda raw: raw["subjects"][0].update(namespace="default"),
        "its subject airdock-api-server in default is not rendered",
    ),
    Fault(
        "references",
        "a StatefulSet without its Service",
        "StatefulSet",
        "airdock-postgres",
        put("spec", "serviceName", value="gone"),
        "spec.serviceName names the Service gone",
    ),
    Fault(
        "made-secrets",
        "an unknown purpose",
        DEPLOYMENT,
        API,
        lambda raw: variable(raw, "create-secrets", "AIRDOCK_MAKE_REDIS_AS").update(
            name="AIRDOCK_MAKE_SMTP_AS"
        ),
        "create_secrets.py knows no purpose 'SMTP'",
    ),
    Fault(
        "made-secrets",
        "URLs of another release",
        "ConfigMap",
        "airdock-env",
        lambda raw: raw["data"].update(AIRDOCK_POSTGRES_HOST="other-postgres"),
        "names other-postgres:5432, which no Service of the release serves",
    ),
    Fault(
        "made-secrets",
        "a Secret that is not made where a group reads it",
        DEPLOYMENT,
        API,
        lambda raw: container(raw, "share-secrets")["command"].append("nowhere"),
        "the Secret nowhere/airdock-redis is made, and nobody reads it",
        "namespaces",
    ),
    Fault(
        "references",
        "a group without its Secrets",
        DEPLOYMENT,
        API,
        lambda raw: container(raw, "share-secrets")["command"].remove("team-pods"),
        "needs the Secret airdock-redis, which is neither rendered nor made",
        "namespaces",
    ),
    Fault(
        "made-secrets",
        "a broker's URL without its namespace",
        DEPLOYMENT,
        API,
        lambda raw: variable(raw, "share-secrets", "AIRDOCK_REDIS_HOST").update(value="airdock-redis"),
        "names airdock-redis:6379, which no Service of the release serves for team-pods",
        "namespaces",
    ),
)
