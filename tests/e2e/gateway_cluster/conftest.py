"""A task namespace for the gateways of these tests, and gateways."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from scripts.chart import versions
from scripts.cluster import KUBECONFIG
from tests.e2e.gateway_cluster.support import (
    NAMESPACE,
    Cluster,
    Gateway,
    Start,
    ignore_conflict,
)

#: No two gateways of a process have the same name.
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(KUBECONFIG), client_configuration=configuration)
    with kubernetes.client.ApiClient(configuration) as client:
        core, rbac = kubernetes.client.CoreV1Api(client), kubernetes.client.RbacAuthorizationV1Api(client)
        labels = {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/enforce-version": versions.POD_SECURITY,
        }
        ignore_conflict(core.create_namespace, {"metadata": {"name": NAMESPACE, "labels": labels}})
        for name in ("gateway", "task"):
            ignore_conflict(core.create_namespaced_service_account, NAMESPACE, {"metadata": {"name": name}})
        # Exactly what docs/docker-gateway.md asks for.
        rules = [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch", "delete"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["pods/attach"], "verbs": ["get", "create"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": ["create", "get", "list", "patch", "delete"],
            },
        ]
        rbac.delete_namespaced_role("gateway", NAMESPACE) if _exists(rbac, "gateway") else None
        rbac.create_namespaced_role(NAMESPACE, {"metadata": {"name": "gateway"}, "rules": rules})
        binding = {
            "metadata": {"name": "gateway"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gateway"},
            "subjects": [{"kind": "ServiceAccount", "name": "gateway", "namespace": NAMESPACE}],
        }
        ignore_conflict(rbac.create_namespaced_role_binding, NAMESPACE, binding)
        token = core.create_namespaced_service_account_token(
            "gateway", NAMESPACE, {"spec": {"expirationSeconds": 7200}}
        )
        (directory / "token").write_text(token.status.token)
        yield Cluster(core, configuration.host, Path(configuration.ssl_ca_cert), directory / "token")
        core.delete_namespace(NAMESPACE)


def _exists(rbac: Any, role: str) -> bool:
    return any(each.metadata.name == role for each in rbac.list_namespaced_role(NAMESPACE).items)


@pytest.fixture(scope="module")
def starter(cluster: Cluster) -> Iterator[Start]:
    gateways: list[Gateway] = []

    def start(server: str = "", owner: str = "", **tasks: Any) -> Gateway:
        directory = Path(tempfile.mkdtemp(prefix="gw"))
        kubernetes_settings = {
            "server": server or cluster.server,
            "tokenFile": str(cluster.token),
            "caFile": str(cluster.ca),
        }
        settings = {
            "kubernetes": kubernetes_settings,
            "workerGroup": "test",
            "tasks": {"namespace": NAMESPACE, "serviceAccount": "task", "stdin": True, **tasks},
        }
        gateway = Gateway(cluster, owner or f"test-{os.getpid()}-{next(NUMBERS)}", directory, settings)
        gateways.append(gateway)
        gateway.start()
        return gateway

    yield start
    for gateway in gateways:
        gateway.close()


@pytest.fixture(scope="module")
def gateway(starter: Start) -> Gateway:
    return starter(ttlSeconds=600)
