"""Every contract bites: each is shown manifests with the fault that it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from scripts.chart import Manifests
from tests.render.contracts import CONTRACTS
from tests.render.contracts.volumes import file_paths
from tests.render.scenarios import BY_NAME


@dataclass(frozen=True)
class Fault:
    """A change of one object of a scenario, and words that the contract's sentence must have."""

    contract: str
    what: str
    kind: str
    name: str
    change: Callable[[Any], object]
    says: str
    scenario: str = "modes"


def pod(raw: Any) -> Any:
    return raw["spec"]["template"]["spec"]


def container(raw: Any, name: str) -> Any:
    spec = pod(raw)
    return next(c for c in (*spec.get("initContainers", ()), *spec["containers"]) if c["name"] == name)


def variable(raw: Any, name: str, variable_name: str) -> Any:
    return next(v for v in container(raw, name)["env"] if v["name"] == variable_name)


def add_variable(name: str, **value: Any) -> Callable[[Any], object]:
    return lambda raw: pod(raw)["containers"][0]["env"].append({"name": name, **value})


def put(*path: str, value: Any) -> Callable[[Any], object]:
    """Sets a field by its path."""

    def change(raw: Any) -> None:
        for step in path[:-1]:
            raw = raw.setdefault(step, {})
        raw[path[-1]] = value

    return change


SCHEDULER, WORKER, API = "airdock-scheduler", "airdock-worker-dind", "airdock-api-server"
DEPLOYMENT, SERVICE, POLICY = "Deployment", "Service", "NetworkPolicy"
COMPONENT = "app.kubernetes.io/component"

FAULTS = (
    Fault(
        "selectors",
        "a selector without the component",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: raw["spec"]["selector"]["matchLabels"].pop(COMPONENT),
        "also matches the pods of Deployment airdock/airdock-api-server",
    ),
    Fault(
        "selectors",
        "a selector that misses its pods",
        DEPLOYMENT,
        SCHEDULER,
        put("spec", "selector", "matchLabels", "x", value="y"),
        "does not match its own pods",
    ),
    Fault(
        "selectors",
        "a Service without pods",
        SERVICE,
        API,
        put("spec", "selector", COMPONENT, value="web"),
        "matches no pod",
    ),
    Fault(
        "selectors",
        "a Service over another component",
        SERVICE,
        API,
        put("spec", "selector", COMPONENT, value="worker"),
        "selects the pods of Deployment airdock/airdock-worker-",
    ),
    Fault(
        "selectors",
        "a policy over all pods",
        POLICY,
        SCHEDULER,
        put("spec", "podSelector", value={}),
        "an empty selector takes every pod",
    ),
    Fault(
        "network-peers",
        "a peer that is not there",
        POLICY,
        "airdock-postgres",
        lambda raw: raw["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"].update(
            {COMPONENT: "web"}
        ),
        "matches no pod of the release",
    ),
    Fault(
        "labels",
        "an object without its component",
        SERVICE,
        API,
        lambda raw: raw["metadata"]["labels"].pop(COMPONENT),
        "lacks the label(s) app.kubernetes.io/component",
    ),
    Fault(
        "labels",
        "the chart's version on pods",
        DEPLOYMENT,
        SCHEDULER,
        put("spec", "template", "metadata", "labels", "helm.sh/chart", value="airdock-1"),
        "a new version would restart them",
    ),
    Fault(
        "labels",
        "a pod without commonLabels",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: raw["spec"]["template"]["metadata"]["labels"].pop("cost-centre"),
        "its pods lack commonLabels.cost-centre",
        "maximal",
    ),
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
        "network-peers",
        "a peer in the wrong namespace",
        POLICY,
        "airdock-api-server",
        lambda raw: [
            peer["namespaceSelector"]["matchLabels"].update({"kubernetes.io/metadata.name": "nowhere"})
            for peer in raw["spec"]["ingress"][0]["from"]
            if "namespaceSelector" in peer
        ],
        "matches no pod of the release in nowhere",
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
    Fault(
        "object-names",
        "a name in capitals",
        SERVICE,
        API,
        put("metadata", "name", value="Airdock"),
        "is no DNS label of at most 63",
    ),
    Fault(
        "object-names",
        "a Service that starts with a digit",
        SERVICE,
        API,
        put("metadata", "name", value="1airdock"),
        "must start with a letter",
    ),
    Fault(
        "object-names",
        "a StatefulSet whose pods' label would be too long",
        "StatefulSet",
        "airdock-postgres",
        put("metadata", "name", value="p" * 53),
        "(53 characters) is no DNS label of at most 52",
    ),
    Fault(
        "object-names",
        "two objects of one name",
        "ConfigMap",
        "airdock-scripts",
        put("metadata", "name", value="airdock-config"),
        "ConfigMap airdock/airdock-config: is rendered 2 times",
    ),
    Fault(
        "object-names",
        "a label that is a number",
        SERVICE,
        API,
        put("metadata", "labels", "x", value=1),
        "the label x has the value 1",
    ),
    Fault(
        "object-names",
        "an object without a namespace",
        SERVICE,
        API,
        lambda raw: raw["metadata"].pop("namespace"),
        "lacks its namespace",
    ),
    Fault(
        "part-names",
        "a port's name of 16 letters",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["ports"][0].update(name="health-and-state"),
        "the port name 'health-and-state' is illegal",
    ),
    Fault(
        "part-names",
        "a container in capitals",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler").update(name="Scheduler"),
        "'Scheduler' is no DNS label",
    ),
    Fault(
        "duplicates",
        "a variable twice",
        DEPLOYMENT,
        SCHEDULER,
        add_variable("PYTHONUNBUFFERED", value="1"),
        "the variable 'PYTHONUNBUFFERED' occurs 2 times",
    ),
    Fault(
        "duplicates",
        "two mounts at one path",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["volumeMounts"].append(
            {"name": "logs", "mountPath": "/tmp/"}
        ),
        "the mount path '/tmp' occurs 2 times",
    ),
    Fault(
        "duplicates",
        "a volume twice",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: pod(raw)["volumes"].append({"name": "tmp", "emptyDir": {}}),
        "the volume 'tmp' occurs 2 times",
    ),
    Fault(
        "duplicates",
        "a volume with two sources",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: pod(raw)["volumes"][0].update(emptyDir={}, hostPath={"path": "/"}),
        "needs exactly one source",
    ),
    Fault(
        "duplicates",
        "a port twice",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["ports"].append({"name": "again", "containerPort": 8974}),
        "the port (8974, 'TCP') occurs 2 times",
    ),
    Fault(
        "duplicates",
        "a value and a source",
        DEPLOYMENT,
        SCHEDULER,
        add_variable("X", value="x", valueFrom={"fieldRef": {"fieldPath": "metadata.name"}}),
        "the variable X has a value and a valueFrom",
    ),
    Fault(
        "variable-references",
        "a variable before its time",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["env"].insert(0, {"name": "A", "value": "$(AIRFLOW_CONFIG)"}),
        "A refers to $(AIRFLOW_CONFIG), which is not set before it",
    ),
    Fault(
        "quantities",
        "a request above its limit",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["resources"]["requests"].update(cpu="3000m"),
        "requests more cpu (3.000) than its limit (2)",
    ),
    Fault(
        "quantities",
        "a unit that there is not",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["resources"]["limits"].update(memory="2GB"),
        "resources.limits.memory: '2GB' is no quantity",
    ),
    Fault(
        "quantities",
        "a claim of nothing",
        "PersistentVolumeClaim",
        "airdock-logs",
        put("spec", "resources", "requests", "storage", value="0"),
        "storage: '0' is not positive",
        "logs-claim",
    ),
    Fault(
        "field-values",
        "a port out of range",
        SERVICE,
        API,
        lambda raw: raw["spec"]["ports"][0].update(port=70000),
        "port 70000",
    ),
    Fault(
        "field-values",
        "a bogus hostPath type",
        DEPLOYMENT,
        "airdock-worker-socket",
        lambda raw: [v["hostPath"].update(type="Sock") for v in pod(raw)["volumes"] if "hostPath" in v],
        "hostPath.type 'Sock'",
    ),
    Fault(
        "field-values",
        "an address range that is none",
        POLICY,
        "airdock-dag-processor",
        lambda raw: [
            peer["ipBlock"].update({"except": ["10.0.0.0/33"]})
            for rule in raw["spec"]["egress"]
            for peer in rule.get("to", ())
            if "ipBlock" in peer
        ],
        "ipBlock: '10.0.0.0/33'",
    ),
    Fault(
        "field-values",
        "a host with a space",
        "Ingress",
        API,
        lambda raw: raw["spec"]["rules"][0].update(host="a b.example.com"),
        "the host 'a b.example.com' is no DNS name",
        "fab-ingress",
    ),
    Fault(
        "field-values",
        "a probe with two handlers",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["livenessProbe"].update(exec={"command": ["true"]}),
        "needs exactly one handler and has exec, httpGet",
    ),
    Fault(
        "field-values",
        "a relative mount",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["volumeMounts"][0].update(mountPath="tmp"),
        "mountPath 'tmp' is no absolute path",
    ),
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


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.contract}: {fault.what}")
def test_contract_names_the_fault(fault: Fault) -> None:
    scenario = BY_NAME[fault.scenario]
    objects = scenario.render().changed()
    (hit,) = [
        raw for _, raw in objects if raw["kind"] == fault.kind and raw["metadata"]["name"] == fault.name
    ]
    fault.change(hit)
    found = list(CONTRACTS[fault.contract](Manifests.of(objects), scenario))
    assert any(fault.says in sentence for sentence in found), (
        f"the contract {fault.contract} does not say {fault.says!r} about {fault.what}; it says: {found}"
    )


def test_every_contract_has_a_fault() -> None:
    assert {fault.contract for fault in FAULTS} == set(CONTRACTS)


def test_words_of_shells_and_urls_are_no_file_paths() -> None:
    text = (
        "DOCKER_HOST=unix:///run/a.sock http://host:80/x/ --dir=/data,/more 'mkdir -p \"/x y\"' a/b 1/2 //c"
    )
    assert list(file_paths(text)) == ["/run/a.sock", "/data", "/more", "/x"]
    assert not list(file_paths("postgresql://u@host:5432/db redis://host:6379/0"))
