"""The values that scenarios and tests render the chart with, and what a user created for them."""

from __future__ import annotations

from typing import Any


def overlaid(base: Any, over: Any) -> Any:
    """Maps deep, all else replaced, null removes: Helm's way with values, the chart's with worker groups."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = overlaid(result[key], value) if key in result else value
    return result


DIND: dict[str, Any] = {"workers": {"default": None, "docker": {"mode": "dind", "queues": ["docker"]}}}
#: Variants of mode dind that every Kubernetes takes.
DIND_VARIANTS: dict[str, Any] = {
    "workers": {
        "default": None,
        "rootless": {"mode": "dind", "queues": ["rootless"], "dind": {"variant": "rootless"}},
        "sysbox": {"mode": "dind", "queues": ["sysbox"], "dind": {"variant": "sysbox"}},
    }
}
#: A warm cache, private registries, and networks of its own.
DIND_FULL: dict[str, Any] = {
    "workers": {
        "default": None,
        "builds": {
            "mode": "dind",
            "queues": ["builds"],
            "volumes": {"data": {"persistentVolumeClaim": {"claimName": "data"}}},
            "volumeMounts": {"data": {"mountPath": "/data", "subPath": "builds"}},
            "dind": {
                "claim": {"size": "50Gi", "storageClassName": "fast"},
                "volumes": ["data"],
                "daemon": {"dns": ["10.0.0.53"], "log-opts": {"max-file": "3"}},
                "proxy": {"http": "http://proxy.example.com:3128", "containers": True},
                "init": {
                    "scripts": {"network": "docker network inspect etl || docker network create etl"},
                    "env": {"SAMPLE": {"valueFrom": {"secretKeyRef": {"name": "init", "key": "login"}}}},
                },
                "prune": {"unusedHours": 24},
                "registryCAs": {"registry.example.com:5000": {"name": "registry-ca", "key": "ca.crt"}},
                "pullSecret": "registry-logins",
                "pullBeforeStart": ["registry.example.com:5000/team/image:1"],
                "network": {
                    "bip": "10.200.0.1/24",
                    "defaultAddressPools": [{"base": "10.201.0.0/16", "size": 24}],
                    "clusterCIDRs": ["10.244.0.0/16", "10.96.0.0/12", "192.168.0.0/16"],
                },
            },
        },
    }
}
DIND_FULL_EXTERNAL = {
    ("Secret", "registry-logins"): frozenset({".dockerconfigjson"}),
    ("ConfigMap", "registry-ca"): frozenset({"ca.crt"}),
    ("PersistentVolumeClaim", "data"): frozenset(),
    ("Secret", "init"): frozenset({"login"}),
}
SOCKET: dict[str, Any] = {
    "workers": {"default": None, "node": {"mode": "socket", "queues": ["node"], "socket": {"gid": 999}}}
}
#: `make up` and the README: the three modes side by side, with the examples.
MODES: dict[str, Any] = {
    "dags": {"examples": True},
    "workers": {
        "default": {"mode": "kubernetes", "queues": ["default", "kubernetes"]},
        "dind": {"mode": "dind", "queues": ["dind"]},
        "socket": {"mode": "socket", "queues": ["socket"], "socket": {"gid": 999}},
    },
}
#: A parent chart's registry and pull Secrets, in both forms.
MIRROR: dict[str, Any] = {
    **MODES,
    "global": {
        "imageRegistry": "mirror.example.com:5000/team",
        "imagePullSecrets": [{"name": "mirror"}, "other"],
    },
    "images": {"airflow": {"repository": "ghcr.io/team/airflow"}, "redis": {"digest": "sha256:" + "7" * 64}},
    "imagePullSecrets": ["mirror", {"name": "own"}],
}
MIRROR_SECRETS = {("Secret", name): frozenset[str]() for name in ("mirror", "other", "own")}
#: Groups in namespaces of their own: two that share one, one that is as strict as the release's.
NAMESPACES: dict[str, Any] = {
    "dags": {"examples": True},
    "podDisruptionBudget": {"enabled": True},
    "workers": {
        "default": {"queues": ["default"]},
        "pods": {"queues": ["pods"], "namespace": "team-pods"},
        "dind": {
            "mode": "dind",
            "queues": ["dind"],
            "namespace": "team-docker",
            "dind": {"claim": {"size": "1Gi"}},
        },
        "socket": {
            "mode": "socket",
            "queues": ["socket"],
            "namespace": "team-docker",
            "socket": {"gid": 999},
        },
        "sysbox": {
            "mode": "dind",
            "queues": ["sysbox"],
            "namespace": "team-sysbox",
            "dind": {"variant": "sysbox"},
        },
    },
}
REMOTE_LOGS = {"remote": {"baseLogFolder": "s3://bucket/logs", "connectionId": "logs"}}
#: A pod for each task, and no Celery; a group of each mode.
KUBERNETES_EXECUTOR: dict[str, Any] = {**MODES, "executor": "KubernetesExecutor", "logs": REMOTE_LOGS}
#: A group of pods beside Celery workers, in a namespace that is there.
BOTH_EXECUTORS: dict[str, Any] = {
    "executor": "CeleryExecutor,KubernetesExecutor",
    "kubernetesExecutor": {
        "namespace": "given-executor",
        "createNamespace": False,
        "allowedOverrides": ["resources", "nodeSelector"],
    },
    "logs": {"claim": {"existingClaim": "shared-logs"}},
    "secrets": {"redis": "kept-redis"},
    "workers": {
        "default": {"queues": ["default"]},
        "away": {"queues": ["away"], "namespace": "team-away"},
        "pods": {"queues": ["pods", "more"], "executor": "KubernetesExecutor"},
    },
}
#: The node's socket in the worker itself.
RAW_SOCKET: dict[str, Any] = {**SOCKET, "workerDefaults": {"socket": {"filter": False}}}
#: DockerOperator's containers as pods, with and without a token for the worker itself; no gateway.
GATEWAY: dict[str, Any] = {
    "workers": {
        "docker": {"queues": ["docker"], "kubernetesOperators": False},
        "plain": {"queues": ["plain"], "dockerGateway": {"enabled": False}},
    },
}
#: A task namespace for one group, with settings of its own; one that two share; the release's for the others.
TASK_NAMESPACES: dict[str, Any] = {
    "workers": {
        "default": {"tasks": {"resources": {"limits": {"cpu": "3"}}}},
        "blue": {
            "queues": ["blue"],
            "tasks": {
                "namespace": "blue-tasks",
                "quota": {"hard": {"pods": "5", "requests.cpu": None}},
                "admission": {"secrets": ["warehouse"], "exemptUsers": ["debugger"]},
                "rbac": {"events": False, "deferrable": True},
                "imagePullSecrets": ["registry"],
                "userNamespaces": "off",
                "user": 1234,
            },
        },
        "green": {"queues": ["green"], "tasks": {"namespace": "green-tasks"}},
        "lime": {
            "queues": ["lime"],
            "dockerGateway": {"enabled": False},
            "tasks": {"namespace": "green-tasks", "checkSeconds": 5},
        },
        "plain": {"queues": ["plain"], "kubernetesOperators": False},
    },
}
EXTERNAL_STORES: dict[str, Any] = {
    "database": {"existingSecret": "airflow-database"},
    "broker": {"existingSecret": "airflow-broker"},
}
STORES_SECRETS = {
    ("Secret", "airflow-database"): frozenset({"connection"}),
    ("Secret", "airflow-broker"): frozenset({"broker-url", "result-backend"}),
}
#: As an operator of PostgreSQL makes them, with TLS.
TLS_STORES: dict[str, Any] = {
    "database": {
        "existingSecret": "cluster-app",
        "keys": {"host": "host", "port": "port", "user": "user", "password": "password", "name": "dbname"},
        "tls": {
            "mode": "verify-full",
            "ca": {"secret": "cluster-ca"},
            "clientCertificate": {"secret": "cluster-client"},
        },
        "cleanup": {"enabled": True, "tables": ["log", "xcom"]},
    },
    "broker": {
        "existingSecret": "airflow-broker",
        "keys": {"brokerUrl": "url", "resultBackend": "results"},
        "tls": {"enabled": True, "ca": {"configMap": "queue-ca", "key": "bundle.pem"}},
    },
}
TLS_STORES_SECRETS = {
    ("Secret", "cluster-app"): frozenset({"host", "port", "user", "password", "dbname"}),
    ("Secret", "cluster-ca"): frozenset({"ca.crt"}),
    ("Secret", "cluster-client"): frozenset({"tls.crt", "tls.key"}),
    ("Secret", "airflow-broker"): frozenset({"url", "results"}),
    ("ConfigMap", "queue-ca"): frozenset({"bundle.pem"}),
}
#: A Deployment and a StatefulSet by demand, the latter in another namespace, and a group of fixed size.
AUTOSCALED: dict[str, Any] = {
    "workers": {
        "default": {"autoscaling": {"enabled": True, "min": 1, "max": 3, "cooldownSeconds": 60}},
        "docker": {
            "mode": "dind",
            "queues": ["docker", "images"],
            "concurrency": 2,
            "namespace": "docker",
            "dind": {"claim": {"size": "5Gi"}},
            "autoscaling": {"enabled": True},
        },
        "fixed": {"queues": ["fixed"]},
    },
    "controlPlane": {"apiServer": {"autoscaling": {"enabled": True, "min": 2, "max": 6}}},
}
BACKUP: dict[str, Any] = {"database": {"embedded": {"backup": {"enabled": True, "claim": "backups"}}}}
BACKUP_CLAIM = {("PersistentVolumeClaim", "backups"): frozenset[str]()}
METRICS: dict[str, Any] = {
    "metrics": {
        "airflow": {"enabled": True},
        "podMonitor": {"enabled": True},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    },
}
POOLER: dict[str, Any] = {"database": {"pooler": {"enabled": True}, "cleanup": {"enabled": True}}}
GIVEN_SECRETS: dict[str, Any] = {
    "secrets": {
        "admin": "given-admin",
        "apiSecretKey": "given-api",
        "fernetKey": "given-fernet",
        "jwtSecret": "given-jwt",
        "postgres": "given-postgres",
        "redis": "given-redis",
    }
}
#: Worker groups that join an Airflow which another chart deployed.
ATTACHED: dict[str, Any] = {
    **MODES,
    "dags": {},
    "controlPlane": {
        "enabled": False,
        "executionApiUrl": "http://airflow-api-server.airflow:8080/execution/",
    },
    "broker": {"existingSecret": "airflow-broker"},
    "secrets": {"apiSecretKey": "given-api"},
    "networkPolicy": {
        "logsFrom": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"component": "api-server"}}}]
    },
}
GIVEN = {
    ("Secret", "given-admin"): frozenset({"username", "password"}),
    ("Secret", "given-api"): frozenset({"api-secret-key"}),
    ("Secret", "given-fernet"): frozenset({"fernet-key"}),
    ("Secret", "given-jwt"): frozenset({"jwt-secret"}),
    ("Secret", "given-postgres"): frozenset({"password", "connection"}),
    ("Secret", "given-redis"): frozenset({"password", "broker-url", "result-backend"}),
}
FAB_INGRESS: dict[str, Any] = {
    "auth": {"manager": "fab", "admin": {"username": "ada", "email": "ada@example.com"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "host": "airflow.example.com",
        "path": "/team-a",
        "tlsSecretName": "airflow-tls",
        "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "8m"},
    },
}
INGRESS_SECRETS = {("Secret", "airflow-tls"): frozenset({"tls.crt", "tls.key"})}

#: Sign-on by OpenID Connect, and a local user.
OIDC: dict[str, Any] = {
    "auth": {
        "manager": "fab",
        "users": {"ci": {"roles": ["Op"], "secret": "airflow-ci"}},
        "oidc": {
            "issuer": "https://keycloak.example.com/realms/company",
            "clientId": "airflow",
            "clientSecret": {"secret": "airflow-oidc"},
            "roles": {"airflow-admins": ["Admin"]},
        },
    },
    "ingress": {"enabled": True, "host": "airflow.example.com", "tlsSecretName": "airflow-tls"},
}
OIDC_SECRETS = {
    **INGRESS_SECRETS,
    ("Secret", "airflow-oidc"): frozenset({"client-secret"}),
    ("Secret", "airflow-ci"): frozenset({"password"}),
}

#: Every block that passes something through to a pod, for a component that mounts nothing of its own there.
POD: dict[str, Any] = {
    "env": {
        "PLAIN": "1",
        "NUMBER": 1000000,
        "FLAG": False,
        "FROM": {"valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
    },
    "volumes": {"scratch": {"emptyDir": {"sizeLimit": "1Gi"}}},
    "volumeMounts": {"scratch": {"mountPath": "/scratch"}},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "airflow", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": {"a": "b"}},
                    },
                }
            ]
        }
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"a": "b"}},
        }
    ],
    "priorityClassName": "high",
    "podLabels": {"team": "data"},
    "podAnnotations": {"example.com/scrape": "true"},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
    "terminationGracePeriodSeconds": 90,
    "resources": {"requests": {"cpu": "0.5", "memory": 1000000000}, "limits": {"cpu": 1, "memory": "1.5Gi"}},
}

MAXIMAL: dict[str, Any] = {
    **FAB_INGRESS,
    "images": {
        "airflow": {
            "repository": "registry.example.com:5000/airflow",
            "tag": "3.2.0",
            "pullPolicy": "Always",
        },
        "docker": {"digest": "sha256:" + "0123456789abcdef" * 4},
    },
    "imagePullSecrets": ["registry-a", "registry-b"],
    "airflow": {
        "config": {
            "core": {"parallelism": 64, "default_timezone": "Europe/Berlin"},
            "logging": {"logging_level": "DEBUG", "log_format": "%(asctime)s [%(levelname)s]"},
            "secrets": {"backend_kwargs": {"path": "a b", "nested": [1, True]}},
        },
        "env": {"AIRFLOW_VAR_COLOUR": "green", "PYTHONDONTWRITEBYTECODE": "1"},
        "connections": {
            "plain": "http://example.com",
            "parts": {"conn_type": "http", "host": "example.com", "password": 'p@ss"w%rd'},
            "kept": {"valueFrom": {"secretKeyRef": {"name": "connections", "key": "kept"}}},
        },
        "localSettings": "def task_policy(task):\n    task.retries = 1\n",
    },
    "dags": {
        "bundles": [
            {
                "name": "main",
                "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
                "kwargs": {"repo_url": "https://git.example.com/dags.git", "tracking_ref": "main"},
            },
            {
                "name": "local",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {},
            },
        ],
        "volume": {"persistentVolumeClaim": {"claimName": "dags"}},
        "path": "/opt/airflow/other-dags",
    },
    "controlPlane": {
        name: {**POD, "replicas": 2} for name in ("apiServer", "scheduler", "dagProcessor", "triggerer")
    },
    "database": {"embedded": {**POD, "storage": {"size": "10Gi", "storageClassName": "fast"}}},
    "broker": {"embedded": {**POD, "storage": {"size": "2Gi", "storageClassName": "fast"}}},
    "workerDefaults": {
        "nodeSelector": {"disk": "hdd", "pool": "workers"},
        "tolerations": [{"operator": "Exists"}],
    },
    "workers": {
        "default": {**POD, "replicas": 0, "concurrency": 1},
        "builds": {
            **POD,
            "mode": "dind",
            "queues": ["builds", "compose"],
            "tmp": {"sizeLimit": "5Gi"},
            "dind": {
                "dataVolume": {
                    "ephemeral": {
                        "volumeClaimTemplate": {
                            "spec": {
                                "accessModes": ["ReadWriteOnce"],
                                "resources": {"requests": {"storage": "50Gi"}},
                            }
                        }
                    }
                },
                "registryMirrors": ["https://mirror.example.com"],
                "insecureRegistries": ["registry.local:5000"],
                "resources": {"limits": {"cpu": "4", "memory": "8Gi"}},
            },
        },
        "legacy": {
            **POD,
            "mode": "socket",
            "queues": ["legacy"],
            "socket": {
                "gid": 0,
                "path": "/run/docker.sock",
                "allowed": {"images": ["registry.example.com/*"], "binds": ["/srv/data"], "gpus": True},
                "limits": {"memory": 1000000000, "cpu": "1.5", "pids": 0},
            },
        },
    },
    "tasks": {
        "namespace": "data-tasks",
        "keepNamespace": False,
        "userNamespaces": "on",
        "networkPolicy": {
            "egress": "strict",
            "egressRules": [
                {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
            ],
        },
    },
    "networkPolicy": {
        "egress": "strict",
        "egressRules": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
        "metadataAddresses": ["169.254.0.0/16", "fd00:ec2::/32"],
        "dns": [{"ipBlock": {"cidr": "10.96.0.10/32"}}],
        "apiServerCIDR": "10.96.0.1/32",
        "cilium": "always",
        "uiFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
        "metricsFrom": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ],
    },
    "metrics": {
        "airflow": {
            "enabled": True,
            "seriesTtl": "2h",
            "mappings": [{"match": "airflow.rows.*", "name": "rows_total", "labels": {"table": "$1"}}],
        },
        "podMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True, "labels": {"dashboards": "airflow"}},
        "rules": {"enabled": True, "labels": {"release": "prometheus"}, "queueWaitMinutes": 30},
    },
    "podDisruptionBudget": {"enabled": True, "maxUnavailable": "50%"},
    "logs": {
        "claim": {"size": "20Gi", "storageClassName": "shared"},
        **REMOTE_LOGS,
    },
    "commonLabels": {"example.com/team": "data", "cost-centre": "42"},
    "extraObjects": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "{{ .Release.Name }}-extra", "namespace": "{{ .Release.Namespace }}"},
            "data": {"fullname": '{{ include "airdock.fullname" . }}'},
        }
    ],
}
MAXIMAL_EXTERNAL = {
    **INGRESS_SECRETS,
    ("Secret", "registry-a"): frozenset(),
    ("Secret", "registry-b"): frozenset(),
    ("Secret", "connections"): frozenset({"kept"}),
    ("PersistentVolumeClaim", "dags"): frozenset(),
}

#: All modes, two groups of one mode that share a queue, and one whose name is as long as allowed.
GROUPS: dict[str, Any] = {
    "logs": {"remote": {"baseLogFolder": "gs://bucket/logs"}},
    "workerDefaults": {"mode": "dind", "concurrency": 4, "env": {"SHARED": "yes"}},
    "workers": {
        "default": {"replicas": 3},
        "a": {"queues": ["docker"]},
        "b": {"queues": ["docker", "gpu"], "env": {"SHARED": "", "OWN": "0"}},
        "c": {
            "queues": ["big"],
            "mode": "kubernetes",
            "terminationGracePeriodSeconds": None,
            "env": {"SHARED": None},
        },
        "twenty-letters-long0": {"queues": ["long"], "mode": "socket", "socket": {"gid": 998}},
    },
}
LONG = "release-with-a-name-of-fifty-three-letters-as-allowed"
assert len(LONG) == 53
