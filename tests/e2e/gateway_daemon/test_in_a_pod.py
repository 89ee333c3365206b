"""The gateway in a pod, whose limits hold the containers too."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import docker
import kubernetes
import pytest

from scripts.cluster import KUBECONFIG
from scripts.cluster.settings import NODE_ROOT
from tests.e2e.gateway_daemon.support import (
    NODE_SOCKET,
    create,
    native,
    needs_daemon,
    run,
)
from tests.support.paths import GATEWAY
from tests.support.waiting import wait_until

pytestmark = needs_daemon


@pytest.fixture
def in_a_pod() -> Iterator[Callable[[str], tuple[Any, docker.APIClient]]]:
    """Start gateways in pods of 160 MiB before the node's daemon; gives the pod and a client."""
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(KUBECONFIG), client_configuration=configuration)
    core = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
    name = f"gateway-daemon-{os.urandom(4).hex()}"
    core.create_namespace({"metadata": {"name": name}})
    code = {file.name: file.read_text() for file in GATEWAY.glob("*.py")}
    core.create_namespaced_config_map(name, {"metadata": {"name": "code"}, "data": code})

    def start(parent: str) -> tuple[Any, docker.APIClient]:
        # On the node under a path that this machine sees too.
        directory = f"/run/{name}-{parent}"
        settings = {
            "backend": "daemon",
            "socket": "/run/airdock/docker.sock",
            "daemon": {"cgroupParent": parent, "memory": "1Gi"},
        }
        core.create_namespaced_config_map(
            name, {"metadata": {"name": f"settings-{parent}"}, "data": {"s.json": json.dumps(settings)}}
        )
        uid = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
        container = {
            "name": "gateway",
            "image": "python:3.13-slim",
            "command": ["python", "-SE", "/opt/docker_gateway"],
            "env": [
                {"name": "AIRDOCK_GATEWAY_CONFIG", "value": "/etc/gateway/s.json"},
                {"name": "AIRDOCK_GATEWAY_OWNER", **uid},
            ],
            "resources": {"limits": {"memory": "160Mi", "cpu": "1"}, "requests": {"cpu": "10m"}},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9323}, "periodSeconds": 1},
            "volumeMounts": [
                {"name": "code", "mountPath": "/opt/docker_gateway"},
                {"name": "settings", "mountPath": "/etc/gateway"},
                {"name": "run", "mountPath": "/run/airdock"},
                {"name": "socket", "mountPath": "/run/docker-host/docker.sock"},
            ],
        }
        volumes = [
            {"name": "code", "configMap": {"name": "code"}},
            {"name": "settings", "configMap": {"name": f"settings-{parent}"}},
            {"name": "run", "hostPath": {"path": directory, "type": "DirectoryOrCreate"}},
            {"name": "socket", "hostPath": {"path": NODE_SOCKET, "type": "Socket"}},
        ]
        spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 20}
        pod = core.create_namespaced_pod(name, {"metadata": {"name": parent}, "spec": spec})

        def ready() -> bool:
            conditions = core.read_namespaced_pod(parent, name).status.conditions or []
            return any(c.type == "Ready" and c.status == "True" for c in conditions)

        wait_until(ready, 120, "the gateway's pod is ready")
        socket_path = NODE_ROOT / directory.lstrip("/") / "docker.sock"
        return (core, name, pod.metadata), docker.APIClient(f"unix://{socket_path}", timeout=60)

    yield start
    core.delete_namespace(name)
    for directory in (NODE_ROOT / "run").glob(f"{name}-*"):
        shutil.rmtree(directory)


#: Fills 400 MiB of memory.
GREEDY = ["dd", "if=/dev/zero", "of=/dev/null", "bs=400M", "count=1"]


@native
def test_the_pods_limits_hold_its_containers(in_a_pod: Any, raw: docker.APIClient) -> None:
    (core, namespace, pod), client = in_a_pod("auto")
    container = create(client, ["sleep", "1000"])
    client.start(container)
    host = raw.inspect_container(container)["HostConfig"]
    assert host["CgroupParent"].endswith(f"/pod{pod.uid}")
    assert host["OomScoreAdj"] == 1000
    # Below the container's own limit and above the pod's: the task dies, and the gateway lives on.
    code, _ = run(client, GREEDY, {"mem_limit": "800m"})
    assert code == 137
    status = core.read_namespaced_pod(pod.name, namespace).status.container_statuses[0]
    assert status.restart_count == 0
    core.delete_namespaced_pod(pod.name, namespace)

    def there() -> bool:
        return container in [each["Id"] for each in raw.containers()]

    wait_until(lambda: not there(), 60, "the container has ended with its pod")


@native
def test_what_the_pods_limits_do_not_hold(in_a_pod: Any) -> None:
    _, client = in_a_pod("none")
    assert run(client, GREEDY, {"mem_limit": "800m"})[0] == 0
