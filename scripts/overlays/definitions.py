"""Which components and overlays there are, and the chart's values that each stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.chart import Manifest

Values = Mapping[str, Any]

#: The chart wants a worker group: the base is rendered with this one, which brings nothing beside its worker,
#: and left without it.
NO_GROUP = "none"
#: What all overlays share.
BASE: Values = {
    "dags": {"examples": True},
    # A new DAG file is seen after seconds and not, as by default, after five minutes.
    "airflow": {"config": {"dag_processor": {"refresh_interval": 10}}},
    "workers": {
        "default": None,
        NO_GROUP: {"mode": "socket", "queues": [NO_GROUP], "socket": {"gid": 0, "filter": False}},
    },
}


@dataclass(frozen=True)
class Component:
    """One decision. `values` are over BASE; `only` keeps a part of what they add, by object.

    `text` says what the component does and what it needs. `env`: variables of the ConfigMap airdock-env that
    belong to that part. `includes`: components that it brings with it.
    """

    text: str
    values: Values
    only: Callable[[Manifest], bool] = field(default=lambda manifest: True)
    env: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()


def _is_fence(manifest: Manifest) -> bool:
    return manifest.kind.startswith("ValidatingAdmissionPolicy")


def _is_gateway(manifest: Manifest) -> bool:
    return manifest.kind == "ConfigMap" and manifest.name == "airdock-docker-gateway"


def _is_dind_scripts(manifest: Manifest) -> bool:
    return manifest.kind == "ConfigMap" and manifest.name == "airdock-dind"


def _is_namespace(manifest: Manifest) -> bool:
    return manifest.kind == "Namespace"


def merged(*layers: Values) -> dict[str, Any]:
    """Values over one another: maps deep, all else replaced. A null stays, for Helm, but that of NO_GROUP."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if key == NO_GROUP and value is None:
                result.pop(key, None)
                continue
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged(result[key], value) if both else value
    return result


KUBERNETES: Values = {
    # One, as by default, without a field that would set it again: the component autoscaling changes no other.
    "workers": {NO_GROUP: None, "default": {"mode": "kubernetes", "queues": ["default"], "replicas": None}},
    "tasks": {"admission": {"enabled": False}},
}
FENCED: Values = {**KUBERNETES, "tasks": {"admission": {"enabled": True}}}


def _dind(**settings: str) -> Values:
    return {"workers": {NO_GROUP: None, "dind": {"mode": "dind", "queues": ["dind"], "dind": settings}}}


#: Variant of mode dind -> its component and what stands in its header.
DIND_VARIANTS = {
    "userNamespace": (
        "mode-dind-user-namespace",
        "A worker group `dind` whose daemon is root in a user namespace of its pod alone.",
    ),
    "rootless": ("mode-dind-rootless", "A worker group `dind` whose daemon runs as uid 1000."),
    "sysbox": ("mode-dind-sysbox", "A worker group `dind` in the sysbox runtime."),
}
#: The group of the nodes' Docker socket, as Docker's packages for Debian often have it.
SOCKET_GID = 999
SOCKET: Values = {
    "workers": {
        NO_GROUP: None,
        "socket": {"mode": "socket", "queues": ["socket"], "socket": {"gid": SOCKET_GID}},
    }
}
#: The names of the Secrets that the embedded stores' would have: so no other pod has to change.
DATABASE: Values = {"database": {"existingSecret": "airdock-postgres"}}
BROKER: Values = {"broker": {"existingSecret": "airdock-redis"}}
FAB: Values = {"auth": {"manager": "fab"}}
INGRESS: Values = {
    "ingress": {"enabled": True, "host": "airflow.example.com", "tlsSecretName": "airflow-tls"}
}
#: The Prometheus operator's usual namespace.
MONITORING: Values = {
    "workers": {**KUBERNETES["workers"], **SOCKET["workers"]},
    "metrics": {"podMonitor": {"enabled": True}},
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    },
}
AUTOSCALING: Values = merged(KUBERNETES, {"workers": {"default": {"autoscaling": {"enabled": True}}}})

COMPONENTS: Mapping[str, Component] = {
    "mode-kubernetes": Component(
        "A worker group `default` of mode kubernetes: its container tasks are pods in airdock-tasks.\n"
        "It needs the component docker-gateway, and that namespace: from the component task-namespace, or\n"
        "from an administrator.",
        KUBERNETES,
        lambda manifest: not _is_namespace(manifest) and not _is_gateway(manifest),
    ),
    "docker-gateway": Component(
        "What the components mode-kubernetes and mode-socket share: code of the Docker gateway.",
        {"workers": {NO_GROUP: {"socket": {"filter": True}}}},
        _is_gateway,
    ),
    "task-namespace": Component(
        "The namespace of task pods. If you may not create namespaces, leave it out, and let an\n"
        "administrator create the namespace with these labels.",
        KUBERNETES,
        _is_namespace,
    ),
    "admission-fence": Component(
        "Keeps task pods from the Secrets and service accounts of their namespace. If you may not create\n"
        "ValidatingAdmissionPolicies, leave it out, and let an administrator apply it.",
        FENCED,
        _is_fence,
        ("AIRDOCK_ADMISSION_FENCE",),
    ),
    "dind-scripts": Component(
        "Scripts that start and prune Docker daemons. The components mode-dind and mode-dind-* include it.",
        _dind(),
        _is_dind_scripts,
    ),
    "mode-dind": Component(
        "A worker group `dind`: a privileged Docker daemon in each worker's pod.\n"
        "Every DAG author can become root on the group's nodes.",
        _dind(),
        lambda manifest: not _is_dind_scripts(manifest),
        includes=("dind-scripts",),
    ),
    **{
        name: Component(
            f"{text}\nUse it instead of mode-dind. docs/dind.md says what the nodes need.",
            _dind(variant=variant),
            lambda manifest: not _is_dind_scripts(manifest),
            includes=("dind-scripts",),
        )
        for variant, (name, text) in DIND_VARIANTS.items()
    },
    "mode-socket": Component(
        "A worker group `socket` on the nodes' Docker daemon, behind a filter. It needs the component\n"
        "docker-gateway. The socket's group is 999. If your nodes have another one\n"
        "(stat -c %g /var/run/docker.sock), patch runAsGroup of the container docker-gateway.",
        SOCKET,
        lambda manifest: not _is_gateway(manifest),
    ),
    "external-database": Component(
        "Your PostgreSQL. Create the Secret airdock-postgres with the key `connection`, an SQLAlchemy URL.",
        DATABASE,
    ),
    "external-broker": Component(
        "Your Redis or Valkey. Create the Secret airdock-redis with the keys `broker-url` and\n"
        "`result-backend`.",
        BROKER,
    ),
    "fab": Component("Users, roles, OAuth and LDAP by Flask-AppBuilder: webserver_config.py.", FAB),
    "ingress": Component(
        "An Ingress for airflow.example.com with the certificate in the Secret airflow-tls. Patch the host.\n"
        "Merge AIRFLOW__API__BASE_URL into the ConfigMap airdock-env one level higher (docs/kustomize.md).",
        INGRESS,
    ),
    "monitoring": Component(
        "The Docker gateways' metrics, for a Prometheus operator in the namespace `monitoring`. For another\n"
        "namespace, patch the NetworkPolicy airdock-metrics.",
        MONITORING,
        lambda manifest: manifest.name == "airdock-metrics" or manifest.kind == "PodMonitor",
    ),
    "autoscaling": Component(
        "Workers of the component mode-kubernetes by demand, from none on. It needs KEDA in the namespace\n"
        "`keda`; for another namespace, patch the NetworkPolicy airdock-autoscaler.",
        AUTOSCALING,
        lambda manifest: manifest.name.endswith("-autoscaler") or manifest.kind == "ScaledObject",
    ),
}

_SPREAD = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
}


def _several(component: str) -> dict[str, Any]:
    """Two replicas on two nodes, where there are two."""
    labels = {"app.kubernetes.io/instance": "airdock", "app.kubernetes.io/component": component}
    spread = {**_SPREAD, "labelSelector": {"matchLabels": labels}}
    return {"replicas": 2, "topologySpreadConstraints": [spread]}


_SEVERAL = {"api-server": "apiServer", "scheduler": "scheduler", "triggerer": "triggerer"}
PRODUCTION: Values = {
    "dags": {"examples": False},
    "controlPlane": {key: _several(component) for component, key in _SEVERAL.items()}
    | {"dagProcessor": _several("dag-processor")},
    "workers": {
        "default": {
            **_several("worker"),
            "resources": {
                "requests": {"cpu": "1", "memory": "2Gi"},
                "limits": {"cpu": "4", "memory": "8Gi"},
            },
        }
    },
    "podDisruptionBudget": {"enabled": True},
    "tasks": {"networkPolicy": {"egress": "strict"}},
}


@dataclass(frozen=True)
class Overlay:
    """What people apply: components, values beyond theirs, and what Pod Security the namespace enforces."""

    text: str
    components: tuple[str, ...]
    pod_security: str
    values: Values = field(default_factory=dict)


TASKS = ("task-namespace", "admission-fence")
OVERLAYS: Mapping[str, Overlay] = {
    "kubernetes": Overlay(
        "Airflow whose container tasks are pods of the namespace airdock-tasks. Nothing in it is privileged.",
        ("docker-gateway", "mode-kubernetes", *TASKS),
        "restricted",
    ),
    "dind": Overlay(
        "Airflow with a Docker daemon in each worker's pod. The daemon is privileged.",
        ("mode-dind",),
        "privileged",
    ),
    "socket": Overlay(
        "Airflow on the nodes' Docker daemon, for clusters whose nodes have one.",
        ("docker-gateway", "mode-socket"),
        "privileged",
    ),
    "production": Overlay(
        "Several replicas, your database and your broker, users by Flask-AppBuilder, no examples. First\n"
        "create the Secrets airdock-postgres (connection) and airdock-redis (broker-url, result-backend).",
        ("docker-gateway", "mode-kubernetes", *TASKS, "external-database", "external-broker", "fab"),
        "restricted",
        PRODUCTION,
    ),
}


def paired_values(overlay: str) -> dict[str, Any]:
    """The values with which the chart renders what an overlay builds."""
    chosen = OVERLAYS[overlay]
    return merged(BASE, *(COMPONENTS[name].values for name in chosen.components), chosen.values)
