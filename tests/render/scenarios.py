"""What the chart is rendered with: every scenario is held to every contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scripts.chart import CHART, HELM4, KUBE_VERSIONS, Manifests, load_yaml, render
from tests.render.values import (
    ATTACHED,
    AUTOSCALED,
    BACKUP,
    BACKUP_CLAIM,
    BOTH_EXECUTORS,
    DIND,
    DIND_FULL,
    DIND_FULL_EXTERNAL,
    DIND_VARIANTS,
    EXTERNAL_STORES,
    FAB_INGRESS,
    GATEWAY,
    GIVEN,
    GIVEN_SECRETS,
    GROUPS,
    INGRESS_SECRETS,
    KUBERNETES_EXECUTOR,
    LONG,
    MAXIMAL,
    MAXIMAL_EXTERNAL,
    METRICS,
    MIRROR,
    MIRROR_SECRETS,
    MODES,
    NAMESPACES,
    OIDC_SECRETS,
    POOLER,
    RAW_SOCKET,
    SOCKET,
    STORES_SECRETS,
    TASK_NAMESPACES,
    TLS_STORES,
    TLS_STORES_SECRETS,
    overlaid,
)
from tests.support.paths import EXAMPLES


@dataclass(frozen=True)
class Scenario:
    """Values, and what a cluster brings that the chart does not make."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    release: str = "airdock"
    namespace: str = "airdock"
    #: (kind, name) -> keys of objects that the user made beforehand, in each namespace with pods of the
    #: release; an empty set for objects without keys.
    external: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def render(self, kube_version: str = KUBE_VERSIONS[-1], helm: str = HELM4) -> Manifests:
        """The manifests for one Kubernetes and one Helm version."""
        return render(
            self.values,
            release=self.release,
            namespace=self.namespace,
            kube_version=kube_version,
            helm=helm,
        )

    @cached_property
    def effective(self) -> dict[str, Any]:
        """The chart's own values with the scenario's over them, as Helm merges them."""
        defaults = load_yaml((CHART / "values.yaml").read_text(), "values.yaml")[0]
        merged: dict[str, Any] = overlaid(defaults, json.loads(json.dumps(self.values)))
        return merged


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("default"),
    Scenario("modes", MODES),
    Scenario("tests", overlaid(MODES, {"tests": {"enabled": True}})),
    Scenario("dind", DIND),
    Scenario("dind-variants", DIND_VARIANTS),
    Scenario("dind-full", DIND_FULL, external=DIND_FULL_EXTERNAL),
    Scenario("socket", SOCKET),
    Scenario("raw-socket", RAW_SOCKET),
    Scenario("gateway", GATEWAY),
    Scenario("task-namespaces", TASK_NAMESPACES),
    Scenario("external-stores", EXTERNAL_STORES, external=STORES_SECRETS),
    Scenario("tls-stores", TLS_STORES, external=TLS_STORES_SECRETS),
    Scenario("external-database", {"database": EXTERNAL_STORES["database"]}, external=STORES_SECRETS),
    Scenario("external-broker", {"broker": EXTERNAL_STORES["broker"]}, external=STORES_SECRETS),
    Scenario("given-secrets", GIVEN_SECRETS, external=GIVEN),
    Scenario("fab-ingress", FAB_INGRESS, external=INGRESS_SECRETS),
    Scenario(
        "plain-ingress",
        {
            "ingress": {"enabled": True, "host": "*.example.com"},
            "airflow": {"config": {"api": {"base_url": "http://airflow.example.com"}}},
        },
    ),
    Scenario(
        "base-url", {"airflow": {"config": {"api": {"base_url": "https://airflow.example.com/deep/down/"}}}}
    ),
    Scenario("logs-claim", {"logs": {"claim": {"size": "10Gi"}}}),
    Scenario(
        "logs-existing-claim",
        {"logs": {"claim": {"existingClaim": "shared-logs"}}},
        external={("PersistentVolumeClaim", "shared-logs"): frozenset()},
    ),
    Scenario("git-bundles", {"dags": {"bundles": MAXIMAL["dags"]["bundles"]}}),
    Scenario(
        "dag-volume",
        {"dags": {"volume": {"configMap": {"name": "my-dags"}}, "path": "/dags"}},
        external={("ConfigMap", "my-dags"): frozenset()},
    ),
    Scenario("attached", ATTACHED, external={**STORES_SECRETS, **GIVEN}),
    Scenario(
        "minimal",
        {
            **EXTERNAL_STORES,
            **{"secrets": {**GIVEN_SECRETS["secrets"], "postgres": "", "redis": ""}},
            "tasks": {"createNamespace": False, "namespace": "given-tasks"},
            "networkPolicy": {"enabled": False},
        },
        external={**STORES_SECRETS, **GIVEN},
    ),
    Scenario("namespaces", NAMESPACES),
    Scenario(
        "namespaces-given",
        {
            **ATTACHED,
            "workerDefaults": {"namespace": "elsewhere", "createNamespace": False},
            "logs": {"claim": {"existingClaim": "shared-logs"}},
        },
        external={**STORES_SECRETS, **GIVEN, ("PersistentVolumeClaim", "shared-logs"): frozenset()},
    ),
    Scenario(
        "namespaces-external",
        overlaid(NAMESPACES, EXTERNAL_STORES),
        external=STORES_SECRETS,
    ),
    Scenario("kubernetes-executor", KUBERNETES_EXECUTOR),
    Scenario(
        "both-executors",
        BOTH_EXECUTORS,
        external={
            ("PersistentVolumeClaim", "shared-logs"): frozenset(),
            ("Secret", "kept-redis"): frozenset({"password", "broker-url", "result-backend"}),
        },
    ),
    Scenario(
        "extending-pods",
        load_yaml((EXAMPLES / "values" / "extending-pods.yaml").read_text(), "extending-pods.yaml")[0],
        external={
            ("ConfigMap", "company-ca"): frozenset({"ca.crt"}),
            ("ConfigMap", "company-proxy"): frozenset(),
        },
    ),
    Scenario(
        "behind-a-proxy",
        load_yaml((EXAMPLES / "values" / "behind-a-proxy.yaml").read_text(), "behind-a-proxy.yaml")[0],
    ),
    Scenario(
        "private-ca",
        load_yaml((EXAMPLES / "values" / "private-ca.yaml").read_text(), "private-ca.yaml")[0],
        external={("ConfigMap", "company-ca"): frozenset({"ca.crt"})},
    ),
    Scenario(
        "git-dags",
        load_yaml((EXAMPLES / "values" / "git-dags.yaml").read_text(), "git-dags.yaml")[0],
        external={
            ("Secret", "dags-platform"): frozenset({"ssh-privatekey"}),
            ("Secret", "dags-reports"): frozenset({"token"}),
        },
    ),
    Scenario(
        "other-clusters",
        load_yaml((EXAMPLES / "values" / "other-clusters.yaml").read_text(), "other-clusters.yaml")[0],
        external={("Secret", "gpu-kubeconfig"): frozenset({"kubeconfig"})},
    ),
    Scenario(
        "behind-an-ingress",
        load_yaml((EXAMPLES / "values" / "behind-an-ingress.yaml").read_text(), "behind-an-ingress.yaml")[0],
        external=INGRESS_SECRETS | {("Secret", "airflow-org-tls"): frozenset({"tls.crt", "tls.key"})},
    ),
    Scenario(
        "behind-a-gateway",
        load_yaml((EXAMPLES / "values" / "behind-a-gateway.yaml").read_text(), "behind-a-gateway.yaml")[0],
    ),
    Scenario(
        "openshift",
        load_yaml((EXAMPLES / "values" / "openshift.yaml").read_text(), "openshift.yaml")[0],
    ),
    Scenario(
        "openshift-executor",
        {
            "openshift": True,
            "executor": "KubernetesExecutor",
            "workers": {"default": {"securityContextConstraints": "nonroot-v2"}},
        },
    ),
    Scenario(
        "sign-on",
        load_yaml((EXAMPLES / "values" / "sign-on.yaml").read_text(), "sign-on.yaml")[0],
        external=OIDC_SECRETS,
    ),
    Scenario("autoscaling", AUTOSCALED),
    Scenario("backup", BACKUP, external=BACKUP_CLAIM),
    Scenario("backup-pooler", overlaid(BACKUP, POOLER), external=BACKUP_CLAIM),
    Scenario("metrics", overlaid(MODES, METRICS)),
    Scenario("metrics-of-namespaces", overlaid(NAMESPACES, METRICS)),
    Scenario("metrics-of-attached", overlaid(ATTACHED, METRICS), external={**STORES_SECRETS, **GIVEN}),
    Scenario("pooler", {**POOLER, "podDisruptionBudget": {"enabled": True}}),
    Scenario("pooler-url", overlaid(EXTERNAL_STORES, POOLER), external=STORES_SECRETS),
    Scenario(
        "connection-pooler",
        load_yaml((EXAMPLES / "values" / "connection-pooler.yaml").read_text(), "connection-pooler.yaml")[0],
        external={
            ("Secret", "airflow-db-app"): frozenset({"host", "port", "username", "password", "dbname"}),
            ("Secret", "airflow-db-ca"): frozenset({"ca.crt"}),
        },
    ),
    Scenario("maximal", MAXIMAL, external=MAXIMAL_EXTERNAL),
    Scenario("mirror", MIRROR, external=MIRROR_SECRETS),
    Scenario("groups", GROUPS),
    Scenario(
        "no-replicas",
        {"controlPlane": {"triggerer": {"replicas": 0}}, "workers": {"default": {"replicas": 0}}},
    ),
    Scenario(
        "longest-names", {**GROUPS, **FAB_INGRESS}, release=LONG, namespace="n" * 63, external=INGRESS_SECRETS
    ),
    Scenario("long-fullname", {"fullnameOverride": "f" * 63, "logs": {"claim": {"size": "1Gi"}}}),
    Scenario("name-override", {**MODES, "nameOverride": "flow"}, release="prod"),
    Scenario("release-off", {**MODES, "fullnameOverride": ""}, release="off", namespace="yes"),
    Scenario("release-number", {**MODES, "fullnameOverride": "n"}, release="1e3", namespace="0x10"),
    Scenario("release-contains-chart", MODES, release="my-airdock-2", namespace="null"),
    Scenario("same-name-and-namespace", MODES, release="data", namespace="data"),
)
BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
#: Rendered with Helm 3 too.
HELM3_SCENARIOS = tuple(
    BY_NAME[name]
    for name in (
        "default",
        "modes",
        "gateway",
        "task-namespaces",
        "namespaces",
        "kubernetes-executor",
        "extending-pods",
        "maximal",
        "groups",
        "minimal",
        "attached",
    )
)
