"""Values that contradict other ones."""

from __future__ import annotations

from tests.render.bad_values.model import Bad, group, pooler
from tests.render.values import ATTACHED, BACKUP, DIND, EXTERNAL_STORES, SOCKET, TLS_STORES, overlaid

CONTRADICTIONS = (
    Bad(
        "a test of workers without an API",
        overlaid(ATTACHED, {"tests": {"enabled": True}}),
        ("tests.enabled", "check-airflow"),
    ),
    Bad(
        "a test without a user",
        {"tests": {"enabled": True}, "auth": {"manager": "own.Manager"}},
        ("tests.existingSecret", "own.Manager"),
    ),
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
        "a worker among the controllers",
        {"tasks": {"admission": {"controllers": ["system:serviceaccount:airdock:airdock-worker-default"]}}},
        ("tasks.admission.controllers", "worker's service account"),
    ),
    Bad(
        "runtime class of the gateway's pods",
        {"tasks": {"pod": {"runtimeClassName": "gvisor"}}},
        ("tasks.pod.runtimeClassName", "tasks.admission.runtimeClasses"),
    ),
    Bad(
        "affinity of the gateway's pods",
        {
            "tasks": {
                "pod": {
                    "affinity": {
                        "podAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": [
                                {"topologyKey": "zone", "namespaceSelector": {}}
                            ]
                        }
                    }
                }
            }
        },
        ("tasks.pod.affinity: the admission policy rejects",),
    ),
    Bad(
        "claims of no storage class",
        {"tasks": {"rbac": {"claims": True}}},
        ("tasks.rbac.claims: ", "tasks.admission.storageClasses", "kubectl get storageclass"),
    ),
    Bad(
        "ephemeral volumes of no storage class",
        group(tasks={"admission": {"volumeTypes": ["csi", "ephemeral"]}}),
        ("workers.default.tasks.admission.volumeTypes: ", "workers.default.tasks.admission.storageClasses"),
    ),
    Bad(
        "a network policy as a custom resource",
        {
            "tasks": {
                "rbac": {
                    "rules": [
                        {
                            "apiGroups": ["cilium.io"],
                            "resources": ["ciliumnetworkpolicies"],
                            "verbs": ["create"],
                        }
                    ]
                }
            }
        },
        ('tasks.rbac.rules: with "ciliumnetworkpolicies"', "tasks.networkPolicy"),
    ),
    Bad(
        "quota without defaults",
        {"tasks": {"limitRange": {"enabled": False}}},
        ("tasks.quota.hard: limits.ephemeral-storage", "tasks.limitRange.limits"),
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
        "a backup without a claim",
        {"database": {"embedded": {"backup": {"enabled": True}}}},
        ("database.embedded.backup.enabled: needs a claim", "database.embedded.backup.claim"),
    ),
    Bad(
        "a backup of an external database",
        overlaid(EXTERNAL_STORES, BACKUP),
        ("database.embedded.backup.enabled", "database.existingSecret names an external one"),
    ),
    Bad(
        "two Secrets for the database",
        overlaid(EXTERNAL_STORES, {"secrets": {"postgres": "x"}}),
        ("secrets.postgres", "database.existingSecret"),
    ),
    Bad(
        "a part of the database's Secret is missing",
        overlaid(TLS_STORES, {"database": {"keys": {"user": ""}}}),
        ("database.keys.user", "database.keys.host"),
    ),
    Bad(
        "parts of the database's Secret without a host",
        overlaid(EXTERNAL_STORES, {"database": {"keys": {"password": "password"}}}),
        ("database.keys.password", "database.keys.host"),
    ),
    Bad(
        "keys of no Secret",
        {"database": {"keys": {"connection": "uri"}}},
        ("database.keys", "database.existingSecret"),
    ),
    Bad(
        "a certificate to compare with nothing",
        overlaid(EXTERNAL_STORES, {"database": {"tls": {"mode": "verify-full"}}}),
        ("database.tls.ca",),
    ),
    Bad(
        "a CA that has no effect",
        overlaid(EXTERNAL_STORES, {"database": {"tls": {"ca": {"secret": "ca"}}}}),
        ("database.tls.mode",),
    ),
    Bad(
        "a CA of the broker that has no effect",
        overlaid(EXTERNAL_STORES, {"broker": {"tls": {"ca": {"secret": "ca"}}}}),
        ("broker.tls.enabled",),
    ),
    Bad(
        "two CAs",
        overlaid(TLS_STORES, {"database": {"tls": {"ca": {"configMap": "ca"}}}}),
        ("database.tls.ca",),
    ),
    Bad(
        "a password of no pooler",
        {"secrets": {"pooler": "x"}},
        ("secrets.pooler", "database.pooler.enabled"),
    ),
    *(
        Bad(f"{key} of the pooler", pooler(config={key: "1"}), (f"database.pooler.config.{key}: ", way))
        for key, way in (
            ("default_pool_size", "database.pooler.poolSize"),
            ("max_client_conn", "database.pooler.maxClientConnections"),
            ("server_tls_sslmode", "database.tls"),
            ("auth_type", "Remove it"),
        )
    ),
    Bad(
        "two settings in one of the pooler",
        pooler(config={"verbose": "1\nauth_type = any"}),
        ("/database/pooler/config/verbose", "does not match pattern"),
    ),
    Bad("TLS of the embedded broker", {"broker": {"tls": {"enabled": True}}}, ("broker.existingSecret",)),
    Bad(
        "TLS of the embedded database",
        {"database": {"tls": {"mode": "require"}}},
        ("database.existingSecret",),
    ),
    Bad(
        "two Secrets for the broker",
        overlaid(EXTERNAL_STORES, {"secrets": {"redis": "x"}}),
        ("secrets.redis", "broker.existingSecret"),
    ),
    Bad("an Ingress without a host", {"ingress": {"enabled": True}}, ("ingress.host",)),
    Bad(
        "an Ingress for any host",
        {"ingress": {"enabled": True, "host": "*.example.com"}},
        ("ingress.host: is a wildcard", "airflow.config.api.base_url"),
    ),
    *(
        Bad(
            f"an Ingress that leaves out {base}",
            {
                "ingress": {"enabled": True, "host": "a.b", "path": path},
                "airflow": {"config": {"api": {"base_url": base}}},
            },
            (f"ingress.path: {path} does not include", "airflow.config.api.base_url"),
        )
        for path, base in (
            ("/airflow", "https://a.b"),
            ("/airflow", "https://a.b/airflow-2/"),
            ("/a/b/", "https://a.b/a"),
        )
    ),
    Bad(
        "two bundles of one name",
        {"dags": {"bundles": [{"name": "a", "classpath": "x.Y"}] * 2}},
        ('dags.bundles: two entries have the name "a"',),
    ),
    *(
        Bad(f"a NUL character in {key}", values, (f"- {key}: contains a NUL character", "1 problem(s)"))
        for key, values in (
            ("airflow.env.X", {"airflow": {"env": {"X": "a\0b"}}}),
            ("airflow.config.core.x", {"airflow": {"config": {"core": {"x": "\0"}}}}),
            ("workers.default.env.X", group(env={"X": "a\0"})),
            (
                "dags.bundles[0].kwargs.a[1]",
                {"dags": {"bundles": [{"name": "a", "classpath": "x.Y", "kwargs": {"a": ["", "\0"]}}]}},
            ),
        )
    ),
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
        "a secret in the environment of a component",
        {"controlPlane": {"scheduler": {"env": {"AIRFLOW__CORE__FERNET_KEY": "x"}}}},
        ("controlPlane.scheduler.env.AIRFLOW__CORE__FERNET_KEY", "secrets.fernetKey"),
    ),
    Bad(
        "a secret in the environment of a group",
        {"workerDefaults": {"env": {"AIRFLOW__CELERY__BROKER_URL": "redis://:a@b"}}},
        ("workers.default.env.AIRFLOW__CELERY__BROKER_URL", "broker.existingSecret"),
    ),
    Bad(
        "a secret in webserver_config.py",
        {"auth": {"manager": "fab", "webserverConfig": "X = [{'remote_app': {'client_secret': 'x'}}]\n"}},
        ("auth.webserverConfig", "client_secret", "controlPlane.apiServer.env"),
    ),
    Bad(
        "a password in webserver_config.py",
        {"auth": {"manager": "fab", "webserverConfig": 'AUTH_LDAP_BIND_PASSWORD = "x"\n'}},
        ("auth.webserverConfig", "AUTH_LDAP_BIND_PASSWORD"),
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
            "tasks": {"resources": {"requests": {"memory": "5Gi"}}},
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
            "- tasks.resources.requests.memory: 5Gi is higher than the limit, 4Gi,",
            "workers.a.tasks.resources.requests.cpu: 100m is higher than the limit, 0,",
            "workers.b.dockerGateway.resources.requests.cpu: 2 is higher than the limit, 1,",
            "workers.b.dind.prune.resources.requests.memory: 1G is higher than the limit, 128Mi,",
            "workers.b.dind.resources.requests.nvidia.com/gpu: 2 is higher than the limit, 1,",
        ),
    ),
    Bad(
        "DAG files that no bundle reads",
        {
            "dags": {
                "volume": {"persistentVolumeClaim": {"claimName": "dags"}},
                "bundles": [{"name": "a", "classpath": "airflow.providers.git.bundles.git.GitDagBundle"}],
            }
        },
        ("dags.volume:", "LocalDagBundle"),
    ),
    Bad(
        "an expression for another program",
        {
            "extraObjects": [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "good"},
                    "data": {"x": "{{ .Release.Name }}"},
                },
                {
                    "apiVersion": "monitoring.coreos.com/v1",
                    "kind": "PrometheusRule",
                    "metadata": {"name": "alerts"},
                    "spec": {"summary": "pod {{ $labels.pod }} restarts"},
                },
            ]
        },
        ("extraObjects[1]", "PrometheusRule alerts", "{{ $labels.pod }}", "{{`{{ ... }}`}}"),
    ),
    Bad(
        "a key of a connection that Airflow does not have",
        {"airflow": {"connections": {"a": {"conn_type": "http", "pasword": "x"}}}},
        ("airflow.connections.a:", "pasword"),
    ),
    Bad(
        "a connection from nowhere",
        {"airflow": {"connections": {"a": {"valuefrom": {"secretKeyRef": {"name": "a", "key": "b"}}}}}},
        ("airflow.connections.a:", "valuefrom"),
    ),
    Bad(
        "settings of Airflow beside the chart's own",
        {
            "airflow": {
                "config": {"core": {"executor": "LocalExecutor"}, "celery": {"worker_concurrency": 2}},
                "env": {"AIRFLOW__CORE__DAGS_FOLDER": "/x"},
                "connections": {"kubernetes_default": "kubernetes://"},
            },
            "dags": {"examples": True, "bundles": [{"name": "b", "classpath": "a.GitDagBundle"}]},
        },
        (
            "airflow.config.core.executor: contradicts executor,",
            "airflow.config.celery.worker_concurrency: contradicts workers.<name>.concurrency,",
            "airflow.env.AIRFLOW__CORE__DAGS_FOLDER: contradicts dags.path,",
            "airflow.connections.kubernetes_default",
            "dags.examples: with dags.bundles",
        ),
    ),
    Bad(
        "an option of Airflow in capitals, which the check for secrets would miss",
        {"airflow": {"config": {"core": {"FERNET_KEY": "x"}}}},
        ("/airflow/config/core", "'FERNET_KEY'"),
    ),
    Bad(
        "a section of Airflow in capitals, which Airflow never reads",
        {"airflow": {"config": {"Core": {"parallelism": 1}}}},
        ("/airflow/config", "'Core'"),
    ),
    Bad(
        "tags and digests in the wrong keys",
        {
            "images": {
                "airflow": {"repository": "registry.example.com:5000/airflow:3.1.0"},
                "redis": {"tag": "8@sha256:" + "0" * 64},
                "docker": {"repository": "docker@sha256:" + "0" * 64},
            }
        },
        ("images.airflow.repository", "images.redis.tag", "images.docker.repository", "3 problem(s)"),
    ),
    Bad("workers for no Airflow", {"controlPlane": {"enabled": False}}, ("controlPlane.executionApiUrl",)),
)
