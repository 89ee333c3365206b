"""A value that cannot work is refused, by one message that names its key and never shows a template's inside.

The classes are those of real mistakes: shape, names and ranges, collisions, injection, contradictions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes.utils.quantity import parse_quantity

from scripts.chart import HELM3, HELM4, RenderError, render
from tests.render.scenarios import DIND, EXTERNAL_STORES, SOCKET, overlaid

#: What a user must never see: the inside of a template.
TRACE = re.compile(
    r"nil pointer|error calling|error converting YAML|wrong type for value|can't evaluate field|<nil>|%!|"
    r"executing \"|unexpected EOF|panic|runtime error|json: cannot|error unmarshaling|no template"
)
SECRET = {"env": {"X": {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}, "value": "x"}}}


@dataclass(frozen=True)
class Bad:
    """Values, and the words that the message must have: the key's path first."""

    what: str
    values: Any
    says: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)


def group(**settings: Any) -> dict[str, Any]:
    return {"workers": {"default": settings}}


SHAPE = (
    Bad("unknown key at the root", {"worker": {}}, ("additional properties 'worker'",)),
    Bad("unknown key in a group", group(replica=1), ("/workers/default", "'replica'")),
    Bad("unknown key in an image", {"images": {"airflow": {"name": "x"}}}, ("/images/airflow", "'name'")),
    Bad("unknown image", {"images": {"statsd": {}}}, ("/images", "'statsd'")),
    Bad("unknown key three levels down", group(dind={"mirror": "x"}), ("/workers/default/dind", "'mirror'")),
    Bad("unknown mode", group(mode="podman"), ("/workers/default/mode", "'dind'")),
    Bad("unknown auth manager", {"auth": {"manager": "ldap"}}, ("/auth/manager", "'fab'")),
    Bad("null section", {"images": None}, ("missing property 'images'",)),
    Bad("null section inside", {"controlPlane": {"scheduler": None}}, ("/controlPlane", "'scheduler'")),
    Bad("null workers", {"workers": None}, ("missing property 'workers'",)),
    Bad("null workerDefaults", {"workerDefaults": None}, ("missing property 'workerDefaults'",)),
    Bad(
        "null block of workerDefaults", {"workerDefaults": {"socket": None}}, ("/workerDefaults", "'socket'")
    ),
    Bad(
        "null inside workerDefaults",
        {"workerDefaults": {"tmp": {"sizeLimit": None}}},
        ("/workerDefaults/tmp",),
    ),
    Bad("null mode", {"workerDefaults": {"mode": None}}, ("/workerDefaults", "'mode'")),
    Bad(
        "null filter",
        {"workerDefaults": {"socket": {"filter": None}}},
        ("/workerDefaults/socket", "'filter'"),
    ),
    Bad(
        "null limits",
        {"workerDefaults": {"socket": {"limits": None}}},
        ("/workerDefaults/socket", "'limits'"),
    ),
    Bad(
        "null variant", {"workerDefaults": {"dind": {"variant": None}}}, ("/workerDefaults/dind", "'variant'")
    ),
    Bad("null quota", {"tasks": {"quota": {"hard": None}}}, ("/tasks/quota", "'hard'")),
    Bad("null dind", group(mode="dind", dind=None), ("/workers/default/dind", "null")),
    Bad("null socket", group(mode="socket", socket=None), ("/workers/default/socket", "null")),
    Bad("null tmp", group(mode="dind", tmp=None), ("/workers/default/tmp", "null")),
    Bad("null concurrency", group(concurrency=None), ("/workers/default/concurrency", "null")),
    Bad("null replicas", group(replicas=None), ("/workers/default/replicas", "null")),
    Bad("null config section", {"airflow": {"config": {"api": None}}}, ("/airflow/config/api", "null")),
    Bad("quoted boolean", {"ingress": {"enabled": "false"}}, ("/ingress/enabled", "boolean")),
    Bad("boolean as a number", {"dags": {"examples": 1}}, ("/dags/examples", "boolean")),
    Bad("quoted number", group(replicas="2"), ("/workers/default/replicas", "integer")),
    Bad("unquoted tag", {"images": {"airflow": {"tag": 2.10}}}, ("/images/airflow/tag", "string")),
    Bad("list for a map", {"workers": [{"mode": "dind"}]}, ("workers", "object")),
    Bad("map for a list", group(queues={"a": "b"}), ("/workers/default/queues", "array")),
    Bad("string for a list", group(queues="default"), ("/workers/default/queues", "array")),
    Bad("env as a list", group(env=[{"name": "A", "value": "b"}]), ("/workers/default/env",)),
    Bad("pull secrets as objects", {"imagePullSecrets": [{"name": "x"}]}, ("/imagePullSecrets/0", "string")),
    Bad("empty group's queues", group(queues=[]), ("/workers/default/queues",)),
    Bad("no queues", {"workers": {"default": {"queues": None}}}, ("workers.default.queues", "missing")),
    Bad("no group", {"workers": {"default": None}}, ("workers:", "no worker group")),
    Bad("empty image", {"images": {"redis": {"repository": ""}}}, ("/images/redis/repository",)),
)
RANGES = (
    Bad("negative replicas", group(replicas=-1), ("/workers/default/replicas",)),
    Bad("half a replica", group(replicas=1.5), ("/workers/default/replicas", "integer")),
    Bad("no concurrency", group(concurrency=0), ("/workers/default/concurrency",)),
    Bad("negative gid", group(socket={"gid": -1}), ("/workers/default/socket/gid",)),
    Bad(
        "a unit that there is not",
        group(resources={"limits": {"memory": "2GB"}}),
        ("/workers/default/resources/limits/memory", "2GB"),
    ),
    Bad("a size with a space", {"logs": {"sizeLimit": "5 Gi"}}, ("/logs/sizeLimit",)),
    Bad("a group in capitals", {"workers": {"Docker": {"queues": ["d"]}}}, ("/workers", "'Docker'")),
    Bad("a group of 21 letters", {"workers": {"d" * 21: {"queues": ["d"]}}}, ("/workers", "d" * 21)),
    Bad("a group with an underscore", {"workers": {"a_b": {"queues": ["d"]}}}, ("/workers", "'a_b'")),
    Bad("a variable with a dash", group(env={"a-b": "c"}), ("/workers/default/env", "'a-b'")),
    Bad("a Secret in capitals", {"secrets": {"admin": "Admin"}}, ("/secrets/admin", "Admin")),
    Bad("a task namespace of 64", {"tasks": {"namespace": "n" * 64}}, ("/tasks/namespace",)),
    Bad("a digest that is none", {"images": {"docker": {"digest": "sha256:1"}}}, ("/images/docker/digest",)),
    Bad("an illegal label", {"commonLabels": {"team": "data team"}}, ("/commonLabels/team", "data team")),
    Bad("an illegal pod label", group(podLabels={"a b": "c"}), ("/workers/default/podLabels", "'a b'")),
    Bad("a relative path", {"dags": {"path": "dags"}}, ("/dags/path",)),
    Bad(
        "an address range that is none", {"networkPolicy": {"apiServerCIDR": "10.0.0.1"}}, ("apiServerCIDR",)
    ),
    Bad(
        "a release name that no Service can have",
        {},
        ("fullnameOverride", "letter"),
        {"release": "1e3"},
    ),
    Bad(
        "a release name that no namespace can have",
        {},
        ('release name "my.release"', "dot"),
        {"release": "my.release"},
    ),
    Bad("a Kubernetes that is too old", {}, ("1.29", ">=1.30"), {"kube_version": "1.29.9"}),
    Bad(
        "an Airflow that is too old",
        {"images": {"airflow": {"tag": "2.11.0"}}},
        ("images.airflow.tag", "3.1"),
    ),
)
COLLISIONS = (
    Bad(
        "one queue in two modes",
        {"workers": {"a": {"mode": "dind", "queues": ["default"]}}},
        ("workers.", 'queue "default"', "mode"),
    ),
    Bad("a value and a source", group(**SECRET), ("/workers/default/env/X",)),
    Bad("a queue twice", group(queues=["a", "a"]), ("/workers/default/queues",)),
    Bad(
        "a worker exempt from the fence",
        {"tasks": {"admission": {"exemptUsers": ["system:serviceaccount:airdock:airdock-worker-default"]}}},
        ("tasks.admission.exemptUsers", "worker's service account"),
    ),
    Bad(
        "all accounts exempt from the fence",
        {"tasks": {"admission": {"exemptGroups": ["system:serviceaccounts"]}}},
        ("tasks.admission.exemptGroups", "the workers' service accounts"),
    ),
    Bad(
        "Docker tasks for a queue whose group serves no Docker",
        {**DIND, "airflow": {"queues": {"docker": "dcoker"}}},
        ("airflow.queues.docker", "dcoker", "one of: docker"),
    ),
    Bad(
        "pods for a queue without pods",
        {**DIND, "airflow": {"queues": {"kubernetes": "docker"}}},
        ("airflow.queues.kubernetes", "no worker group can run them"),
    ),
    Bad(
        "a mount without its volume",
        group(volumeMounts={"data": {"mountPath": "/data"}}),
        ("workers.default.volumeMounts.data", "does not exist", "workers.default.volumes"),
    ),
    Bad(
        "a mount at nothing",
        {"controlPlane": {"scheduler": {"volumes": {"x": {"emptyDir": {}}}, "volumeMounts": {"x": {}}}}},
        ("controlPlane.scheduler.volumeMounts.x.mountPath",),
    ),
    Bad(
        "a mount where the chart mounts",
        group(volumes={"x": {"emptyDir": {}}}, volumeMounts={"x": {"mountPath": "/tmp"}}),
        ("workers.default.volumeMounts.", "/tmp"),
    ),
    Bad(
        "a volume with two sources",
        group(mode="dind", dind={"dataVolume": {"emptyDir": {}, "hostPath": {"path": "/x"}}}),
        ("/workers/default/dind/dataVolume",),
    ),
    Bad(
        "a daemon with two volumes",
        group(mode="dind", dind={"dataVolume": {"emptyDir": {}}, "claim": {"size": "1Gi"}}),
        ("workers.default.dind.claim", "dataVolume"),
    ),
    Bad(
        "pruning that ends above where it begins",
        group(mode="dind", dind={"prune": {"lowThresholdPercent": 90}}),
        ("workers.default.dind.prune.lowThresholdPercent", "90", "80"),
    ),
    Bad(
        "a daemon's range in the cluster's",
        group(mode="dind", dind={"network": {"bip": "10.1.2.1/24", "clusterCIDRs": ["10.0.0.0/12"]}}),
        ("workers.default.dind.network.bip", "10.1.2.1/24", "10.0.0.0/12"),
    ),
    Bad(
        "Docker's own ranges in the cluster's",
        group(mode="dind", dind={"network": {"bip": "10.1.2.1/24", "clusterCIDRs": ["172.20.0.0/16"]}}),
        ("workers.default.dind.network.defaultAddressPools", "172.20.0.0/14", "172.20.0.0/16"),
    ),
    Bad(
        "networks larger than their pool",
        group(
            mode="dind",
            dind={"network": {"defaultAddressPools": [{"base": "10.1.0.0/16", "size": 12}]}},
        ),
        ("workers.default.dind.network.defaultAddressPools", "/12", "10.1.0.0/16"),
    ),
    Bad(
        "a user namespace on a Kubernetes without",
        group(mode="dind", dind={"variant": "userNamespace"}),
        ("workers.default.dind.variant", "1.33"),
        {"kube_version": "1.32.0"},
    ),
    Bad(
        "the selector's label",
        {"commonLabels": {"app.kubernetes.io/name": "x"}},
        ("/commonLabels/app.kubernetes.io", "name"),
    ),
    Bad(
        "two places for DAGs",
        {"dags": {"examples": True, "volume": {"emptyDir": {}}}},
        ("dags.volume:", "dags.examples"),
    ),
)
INJECTION = (
    Bad("a line break in a queue", group(queues=["a\nb: c"]), ("/workers/default/queues/0",)),
    Bad(
        "a line break in the user's name",
        {"auth": {"admin": {"username": "a\nb"}}},
        ("/auth/admin/username",),
    ),
    Bad("a template in a Secret's name", {"secrets": {"admin": "{{ .Values }}"}}, ("/secrets/admin",)),
    Bad("a comma in a queue", group(queues=["a,b"]), ("/workers/default/queues/0",)),
    Bad("a host with a path", {"ingress": {"host": "a.example.com/x"}}, ("/ingress/host",)),
    Bad("a mirror that is no URL", group(dind={"registryMirrors": ["mirror"]}), ("/dind/registryMirrors/0",)),
)
CONTRADICTIONS = (
    Bad(
        "socket without its gid", overlaid(SOCKET, {"workers": {"node": {"socket": {"gid": None}}}}), ("gid",)
    ),
    Bad("socket without a socket block", group(mode="socket"), ("workers.default.socket.gid", "stat -c")),
    Bad(
        "a sandbox around the socket",
        group(mode="socket", socket={"gid": 1}, runtimeClassName="gvisor"),
        ("workers.default.runtimeClassName",),
    ),
    Bad("an unknown executor", {"executor": "LocalExecutor"}, ("/executor", "'KubernetesExecutor'")),
    Bad(
        "a group by an executor that is not there",
        group(executor="KubernetesExecutor"),
        ("workers.default.executor", "KubernetesExecutor is not listed in executor"),
    ),
    Bad(
        "an executor without a group",
        {"executor": "CeleryExecutor,KubernetesExecutor"},
        ("executor: lists KubernetesExecutor",),
    ),
    Bad(
        "a pod for each task, of workers that stay",
        {
            "executor": "KubernetesExecutor",
            "workers": {
                "default": {"replicas": 2, "concurrency": 4, "namespace": "x", "createNamespace": True}
            },
        },
        tuple(
            f"workers.default.{key}" for key in ("replicas", "concurrency", "namespace", "createNamespace")
        ),
    ),
    Bad(
        "a claim for a pod that goes",
        overlaid(
            DIND,
            {"executor": "KubernetesExecutor", "workers": {"docker": {"dind": {"claim": {"size": "1Gi"}}}}},
        ),
        ("workers.docker.dind.claim", "KubernetesExecutor"),
    ),
    Bad(
        "one queue by two executors",
        {
            "executor": "CeleryExecutor,KubernetesExecutor",
            "workers": {"more": {"queues": ["default"], "executor": "KubernetesExecutor"}},
        },
        ("workers.more.queues", "CeleryExecutor"),
    ),
    Bad(
        "the executor of an Airflow that is elsewhere",
        {
            "executor": "KubernetesExecutor",
            "controlPlane": {"enabled": False, "executionApiUrl": "http://a.b:8080/execution/"},
            "broker": {"existingSecret": "broker"},
            "secrets": {"apiSecretKey": "api"},
        },
        ("executor: KubernetesExecutor runs in the scheduler",),
    ),
    Bad(
        "the release's namespace for pods of tasks",
        {"executor": "KubernetesExecutor", "kubernetesExecutor": {"namespace": "airdock"}},
        ("kubernetesExecutor.namespace", "airdock"),
    ),
    Bad(
        "the task namespace for pods of tasks",
        {"executor": "KubernetesExecutor", "kubernetesExecutor": {"namespace": "airdock-tasks"}},
        ("kubernetesExecutor.namespace", "airdock-tasks"),
    ),
    Bad(
        "a Celery group beside pods of tasks",
        {
            "executor": "CeleryExecutor,KubernetesExecutor",
            "kubernetesExecutor": {"namespace": "team"},
            "workers": {
                "default": {"namespace": "team"},
                "more": {"queues": ["more"], "executor": "KubernetesExecutor"},
            },
        },
        ("workers.default.namespace", "kubernetesExecutor.namespace"),
    ),
    Bad(
        "the release's namespace for tasks",
        {"tasks": {"namespace": "airdock"}},
        ("tasks.namespace", "airdock"),
    ),
    Bad("kube-system for tasks", {"tasks": {"namespace": "kube-system"}}, ("tasks.namespace",)),
    Bad(
        "kube-system for a group's tasks",
        group(tasks={"namespace": "kube-system"}),
        ("workers.default.tasks.namespace", "kube-system"),
    ),
    Bad(
        "a group's own worker exempt from its fence",
        group(tasks={"admission": {"exemptUsers": ["system:serviceaccount:airdock:airdock-worker-default"]}}),
        ("workers.default.tasks.admission.exemptUsers", "worker's service account"),
    ),
    Bad(
        "two sets of settings for the release's task namespace",
        {"workers": {"a": {"queues": ["a"], "tasks": {"admission": {"secrets": ["x"]}}}}},
        ("workers.default", "workers.a", '"airdock-tasks"', "different settings"),
    ),
    Bad(
        "two sets of settings for a further namespace",
        {
            "tasks": {"extraNamespaces": ["more"]},
            "workers": {"a": {"queues": ["a"], "tasks": {"namespace": "b", "extraNamespaces": ["more"]}}},
        },
        ("workers.default", "workers.a", '"more"', "different settings"),
    ),
    Bad("a typo in a group's tasks", group(tasks={"admision": {}}), ("/workers/default/tasks", "admision")),
    Bad(
        "a group's namespace with everybody",
        group(namespace="default"),
        ("workers.default.namespace", "broker's password"),
    ),
    Bad(
        "a group's namespace with task pods",
        {**group(namespace="shared"), "tasks": {"extraNamespaces": ["shared"]}},
        ("workers.default.namespace", "task pods"),
    ),
    Bad(
        "a claim for logs that other namespaces cannot mount",
        {**group(namespace="elsewhere"), "logs": {"claim": {"size": "1Gi"}}},
        ("workers.default.namespace", "logs.claim.existingClaim"),
    ),
    Bad(
        "a worker in another namespace exempt from the fence",
        {
            **group(namespace="elsewhere"),
            "tasks": {
                "admission": {
                    "exemptUsers": ["system:serviceaccount:elsewhere:airdock-worker-default"],
                    "exemptGroups": ["system:serviceaccounts:elsewhere"],
                }
            },
        },
        ("tasks.admission.exemptUsers", "tasks.admission.exemptGroups", "elsewhere"),
    ),
    Bad(
        "two Secrets for the database",
        overlaid(EXTERNAL_STORES, {"secrets": {"postgres": "x"}}),
        ("secrets.postgres", "database.existingSecret"),
    ),
    Bad(
        "two Secrets for the broker",
        overlaid(EXTERNAL_STORES, {"secrets": {"redis": "x"}}),
        ("secrets.redis", "broker.existingSecret"),
    ),
    Bad("an Ingress without a host", {"ingress": {"enabled": True}}, ("ingress.host",)),
    Bad(
        "a secret in the configuration",
        {"airflow": {"config": {"core": {"fernet_key": "x"}}}},
        ("core.fernet_key",),
    ),
    Bad(
        "a secret in the environment of all",
        {"airflow": {"env": {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://a:b@c/d"}}},
        ("airflow.env.AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",),
    ),
    Bad(
        "a PodMonitor behind closed doors",
        {"metrics": {"podMonitor": {"enabled": True}}},
        ("networkPolicy.metricsFrom", "metrics.podMonitor.enabled"),
    ),
    Bad(
        "a PodMonitor beside a group without queues",
        {
            "workers": {"other": {"mode": "kubernetes"}},
            "metrics": {"podMonitor": {"enabled": True}},
            "networkPolicy": {"metricsFrom": [{"podSelector": {}}]},
        },
        ("workers.other.queues",),
    ),
    Bad(
        "a PodMonitor of nothing",
        group(mode="dind") | {"metrics": {"podMonitor": {"enabled": True}}},
        ("metrics.podMonitor.enabled", "Docker gateway"),
    ),
    Bad(
        "a request above the limit that workerDefaults give",
        group(resources={"requests": {"memory": "8Gi"}}),
        ("workers.default.resources.requests.memory: 8Gi is higher than the limit, 4Gi",),
    ),
    Bad(
        "a request of workerDefaults above a group's limit",
        group(resources={"limits": {"cpu": "50m"}}),
        ("workers.default.resources.requests.cpu: 100m is higher than the limit, 50m",),
    ),
    Bad(
        "a request above the limit in every other block",
        {
            "controlPlane": {"scheduler": {"resources": {"requests": {"cpu": "2001m"}}}},
            "database": {"embedded": {"resources": {"requests": {"memory": 1073741825}}}},
            "broker": {"embedded": {"resources": {"limits": {"memory": "31Mi"}}}},
            "tasks": {"resources": {"requests": {"memory": "1Gi"}}},
            "workers": {
                "a": {"queues": ["a"], "tasks": {"namespace": "a", "resources": {"limits": {"cpu": 0}}}},
                "b": {
                    "mode": "dind",
                    "queues": ["b"],
                    "dockerGateway": {"resources": {"requests": {"cpu": 2}}},
                    "dind": {
                        "prune": {"resources": {"requests": {"memory": "1G"}}},
                        "resources": {"requests": {"nvidia.com/gpu": 2}, "limits": {"nvidia.com/gpu": 1}},
                    },
                },
            },
        },
        (
            "controlPlane.scheduler.resources.requests.cpu: 2001m is higher than the limit, 2,",
            "database.embedded.resources.requests.memory: 1073741825 is higher than the limit, 1Gi,",
            "broker.embedded.resources.requests.memory: 32Mi is higher than the limit, 31Mi,",
            "- tasks.resources.requests.memory: 1Gi is higher than the limit, 512Mi,",
            "workers.a.tasks.resources.requests.cpu: 100m is higher than the limit, 0,",
            "workers.b.dockerGateway.resources.requests.cpu: 2 is higher than the limit, 1,",
            "workers.b.dind.prune.resources.requests.memory: 1G is higher than the limit, 128Mi,",
            "workers.b.dind.resources.requests.nvidia.com/gpu: 2 is higher than the limit, 1,",
        ),
    ),
    Bad("workers for no Airflow", {"controlPlane": {"enabled": False}}, ("controlPlane.executionApiUrl",)),
)
ALL = (*SHAPE, *RANGES, *COLLISIONS, *INJECTION, *CONTRADICTIONS)


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.what)
def test_is_refused(bad: Bad, helm: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(bad.values, helm=helm, **bad.options)  # type: ignore[arg-type]
    message = str(caught.value)
    # Helm 3.x writes /a/b as a.b in some versions.
    missing = [
        word for word in bad.says if word not in message and word.strip("/").replace("/", ".") not in message
    ]
    assert not missing, f"the message does not say {missing}: {message}"
    assert not TRACE.search(message), f"the message shows a template's inside: {message}"


#: From the smallest to the largest, with some that are equal.
QUANTITIES = (
    0, "1m", "100m", "0.1", "999m", "1000m", "1", 1, "1001m", "1.5", 2, "999", "1k", 1000, "1Ki", "999k",
    "1M", "1Mi", "1024Ki", "1048577", 1048577, "1.1Mi", "999M", "1G", "1023Mi", "1Gi", "1024Mi", 1073741824,
    1073741825, "1.5G", "1T", "1Ti", "1024Gi", "1P", "1Pi", "1E", "1Ei",
)  # fmt: skip


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_quantities_compare_as_kubernetes_has_them(helm: str) -> None:
    """Each with those near it, by the Kubernetes client's own reading: all of a kind in one render."""
    pairs = [
        (request, limit)
        for index, request in enumerate(QUANTITIES)
        for limit in QUANTITIES[max(0, index - 4) : index + 5]
    ]
    groups: dict[str, Any] = {
        f"g{number}": {
            "queues": ["q"],
            "mode": "kubernetes",
            "resources": {"requests": {"example.com/x": request}, "limits": {"example.com/x": limit}},
        }
        for number, (request, limit) in enumerate(pairs)
    }
    above = {
        f"g{number}"
        for number, (request, limit) in enumerate(pairs)
        if parse_quantity(request) > parse_quantity(limit)
    }
    assert 0 < len(above) < len(pairs)
    with pytest.raises(RenderError) as caught:
        render({"workers": groups}, helm=helm)
    assert set(re.findall(r"- workers\.(g\d+)\.resources\.requests", str(caught.value))) == above


def test_all_problems_in_one_message() -> None:
    values = {
        "workers": {"a": {"mode": "socket", "queues": ["a"]}, "b": {"mode": "dind"}},
        "ingress": {"enabled": True},
        "tasks": {"namespace": "default"},
    }
    with pytest.raises(RenderError) as caught:
        render(values)
    message = str(caught.value)
    for key in ("workers.a.socket.gid", "workers.b.queues", "ingress.host", "tasks.namespace"):
        assert message.count(f"- {key}") == 1, f"{key} is not named once: {message}"
    assert "4 problem(s)" in message


def test_all_schema_problems_in_one_message() -> None:
    with pytest.raises(RenderError) as caught:
        render({"workers": {"default": {"mode": "x", "replicas": -1}}, "ingres": {}})
    for key in ("/workers/default/mode", "/workers/default/replicas", "'ingres'"):
        assert key in str(caught.value)
