"""Faults that the contracts of contracts/ports.py find."""

from __future__ import annotations

from tests.render.faults.model import API, DEPLOYMENT, POLICY, SCHEDULER, SERVICE, Fault, container, variable

FAULTS = (
    Fault(
        "in-cluster-urls",
        "a URL without its namespace",
        DEPLOYMENT,
        "airdock-worker-pods",
        lambda raw: container(raw, "worker")["env"].append(
            {"name": "X", "value": "http://airdock-api-server:8080/"}
        ),
        "no Service of the release serves airdock-api-server:8080",
        "namespaces",
    ),
    Fault(
        "ports",
        "a probe of an unknown port",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["livenessProbe"]["httpGet"].update(port="metrics"),
        "livenessProbe asks port 'metrics'",
    ),
    Fault(
        "ports",
        "a Service of an unknown port",
        SERVICE,
        API,
        lambda raw: raw["spec"]["ports"][0].update(targetPort="web"),
        "goes to 'web', which no container of Deployment airdock/airdock-api-server declares",
    ),
    Fault(
        "ports",
        "a Service that sends before readiness",
        DEPLOYMENT,
        API,
        lambda raw: container(raw, "api-server").pop("readinessProbe"),
        "container api-server has no readinessProbe",
    ),
    Fault(
        "ports",
        "an Ingress to an unknown port",
        "Ingress",
        API,
        lambda raw: raw["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(
            port={"number": 80}
        ),
        "is no port of a rendered Service",
        "fab-ingress",
    ),
    Fault(
        "ports",
        "an HTTPRoute to an unknown port",
        "HTTPRoute",
        API,
        lambda raw: raw["spec"]["rules"][0]["backendRefs"][0].update(port=80),
        "its backend airdock-api-server port 80 is no port of a rendered Service",
        "behind-a-gateway",
    ),
    Fault(
        "ports",
        "a policy for an unknown port",
        POLICY,
        "airdock-postgres",
        lambda raw: raw["spec"]["ingress"][0]["ports"][0].update(port=5433),
        "lets in port 5433, which no container of StatefulSet airdock/airdock-postgres declares",
    ),
    Fault(
        "in-cluster-urls",
        "a URL with another port",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: variable(raw, "scheduler", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL").update(
            value="http://$(AIRDOCK_API_SERVER_HOST):9090/execution/"
        ),
        "no Service of the release serves airdock-api-server:9090",
    ),
)
