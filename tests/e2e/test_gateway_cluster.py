"""The Docker gateway's cluster backend on a real cluster: the gateway as a process here, docker-py before it.

Airflow's own operators run in test_gateway_differential.py.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import kubernetes
import pytest
from docker.errors import APIError
from docker.types import DeviceRequest, Mount
from kubernetes.client.exceptions import ApiException

from scripts import tools
from scripts.cluster import KUBECONFIG, supervisor

PACKAGE = Path(__file__).resolve().parents[2] / "charts/airdock/files/docker_gateway"
NAMESPACE = "gateway-test"
BUSYBOX, PYTHON = "busybox:1.37", "python:3.13-slim"
OWNER = "airdock.dev/gateway"
#: Ends with 0 when asked to end, as many servers do: the hard case for exit codes.
POLITE = ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"]
#: The longest that a pod takes from `start` to its first line here, with others at work.
PATIENCE = 90.0

pytestmark = pytest.mark.skipif(not KUBECONFIG.exists(), reason="needs the native cluster")


def wait_until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)
    return value


@dataclass
class Cluster:
    """The task namespace that the tests have to themselves, and an account that may do what it must."""

    core: Any
    server: str
    ca: Path
    token: Path

    def pods(self, owner: str) -> list[Any]:
        return list(self.core.list_namespaced_pod(NAMESPACE, label_selector=f"{OWNER}={owner}").items)

    def pod(self, owner: str) -> Any:
        return wait_until(lambda: self.pods(owner), PATIENCE, "a pod")[0]


def ignore_conflict(create: Callable[..., Any], *arguments: Any) -> None:
    try:
        create(*arguments)
    except ApiException as error:
        if error.status != 409:
            raise


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(KUBECONFIG), client_configuration=configuration)
    with kubernetes.client.ApiClient(configuration) as client:
        core, rbac = kubernetes.client.CoreV1Api(client), kubernetes.client.RbacAuthorizationV1Api(client)
        labels = {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/enforce-version": "v1.36",
        }
        ignore_conflict(core.create_namespace, {"metadata": {"name": NAMESPACE, "labels": labels}})
        for name in ("gateway", "task"):
            ignore_conflict(core.create_namespaced_service_account, NAMESPACE, {"metadata": {"name": name}})
        # Exactly what docs/docker-gateway.md asks for.
        rules = [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch", "delete"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
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


@dataclass
class Gateway:
    """A gateway process."""

    cluster: Cluster
    owner: str
    directory: Path
    settings: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    clients: list[docker.APIClient] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    def start(self) -> None:
        file = self.directory / "gateway.json"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        file.write_text(
            json.dumps(
                {
                    **self.settings,
                    "socket": str(self.socket),
                    "healthHost": "127.0.0.1",
                    "healthPort": self.port,
                }
            )
        )
        environment = {
            "AIRDOCK_GATEWAY_CONFIG": str(file),
            "AIRDOCK_GATEWAY_OWNER": self.owner,
            "MALLOC_ARENA_MAX": "2",
        }
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-SE", str(PACKAGE)], env=environment, stderr=log
            )
        wait_until(lambda: self.get("readyz") == "ok\n", 20, "the gateway is ready: " + self.log())

    def get(self, path: str) -> str:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer,
        ):
            return str(answer.read().decode())
        return ""

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def pods_ended(self) -> bool:
        return all(pod.status.phase in ("Succeeded", "Failed") for pod in self.cluster.pods(self.owner))

    def metric(self, name: str) -> float:
        return sum(
            float(line.split()[-1])
            for line in self.get("metrics").splitlines()
            if line.startswith(f"airdock_gateway_{name}")
        )

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(30)

    def client(self) -> docker.APIClient:
        client = docker.APIClient(f"unix://{self.socket}", timeout=60)
        self.clients.append(client)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()
        if self.process and self.process.poll() is None:
            self.kill(signal.SIGTERM)
        self.cluster.core.delete_collection_namespaced_pod(
            NAMESPACE, label_selector=f"{OWNER}={self.owner}", grace_period_seconds=0
        )


Start = Callable[..., Gateway]


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
            "tasks": {"namespace": NAMESPACE, "serviceAccount": "task", **tasks},
        }
        gateway = Gateway(cluster, owner or f"test-{os.getpid()}-{len(gateways)}", directory, settings)
        gateways.append(gateway)
        gateway.start()
        return gateway

    yield start
    for gateway in gateways:
        gateway.close()


@pytest.fixture(scope="module")
def gateway(starter: Start) -> Gateway:
    return starter(ttlSeconds=600)


@dataclass
class Task:
    """What DockerOperator does with one container, step by step."""

    client: docker.APIClient
    id: str
    stream: Any = None
    output: bytes = b""

    def attach(self) -> None:
        self.stream = self.client.attach(self.id, stdout=True, stderr=True, stream=True)

    def start(self) -> None:
        self.client.start(self.id)

    def read(self) -> bytes:
        for chunk in self.stream:
            self.output += chunk
        return self.output

    def read_until(self, text: bytes) -> None:
        for chunk in self.stream:
            self.output += chunk
            if text in self.output:
                return
        pytest.fail(f"the output ended without {text!r}: {self.output!r}")

    def wait(self) -> int:
        return int(self.client.wait(self.id)["StatusCode"])


def create(
    client: docker.APIClient,
    command: Any,
    image: str = BUSYBOX,
    host: dict[str, Any] | None = None,
    **config: Any,
) -> Task:
    options = {"cpu_shares": 1024, **(host or {})}
    return Task(
        client,
        client.create_container(image, command, host_config=client.create_host_config(**options), **config)[
            "Id"
        ],
    )


def begin(client: docker.APIClient, command: Any, *arguments: Any, **options: Any) -> Task:
    task = create(client, command, *arguments, **options)
    task.attach()
    task.start()
    return task


def run(client: docker.APIClient, command: Any, *arguments: Any, **options: Any) -> tuple[int, bytes]:
    task = begin(client, command, *arguments, **options)
    task.read()
    return task.wait(), task.output


def fails(task: Task) -> str:
    """Read to the end and give the reason of a /wait that is no exit code."""
    task.read()
    with pytest.raises(APIError) as error:
        task.wait()
    assert error.value.status_code == 500
    return str(error.value.explanation)


# ---- output and exit codes


def test_output_and_exit_codes(gateway: Gateway) -> None:
    client = gateway.client()
    assert run(client, ["sh", "-c", "echo one; echo; printf last"]) == (0, b"one\n\nlast")
    # The order between the two streams is the runtime's.
    code, output = run(client, ["sh", "-c", "echo one; echo two >&2"])
    assert (code, sorted(output.split())) == (0, [b"one", b"two"])
    assert run(client, ["sh", "-c", "exit 3"]) == (3, b"")
    assert run(client, ["sh", "-c", "exit 137"]) == (137, b"")
    assert run(client, ["echo", "$(HOME) $X $$"], environment={"A": "b"}) == (0, b"$(HOME) $X $$\n")


def test_bytes_come_through(gateway: Gateway) -> None:
    script = (
        "import sys\n"
        r"sys.stdout.buffer.write(b'\x1b[31mred\x1b[0m \xff \xc3\xa4\n' + b'x' * 40000 + b'\na\rb\n')"
    )
    code, output = run(gateway.client(), ["python", "-c", script], PYTHON)
    assert (code, output) == (0, b"\x1b[31mred\x1b[0m \xff \xc3\xa4\n" + b"x" * 40000 + b"\na\rb\n")


def test_a_terminal(gateway: Gateway) -> None:
    code, output = run(gateway.client(), ["sh", "-c", "test -t 1 && echo terminal"], tty=True)
    assert (code, output.split()) == (0, [b"terminal"])


def test_a_quarter_million_lines(gateway: Gateway) -> None:
    code, output = run(gateway.client(), ["sh", "-c", "seq 250000"])
    assert code == 0
    assert output.split() == [b"%d" % number for number in range(1, 250001)]


def test_attached_after_its_end(gateway: Gateway) -> None:
    client = gateway.client()
    task = create(client, ["echo", "early"])
    task.start()
    assert task.wait() == 0
    assert client.attach(task.id, logs=True) == b"early\n"


def test_out_of_memory_is_137(gateway: Gateway) -> None:
    client = gateway.client()
    task = begin(client, ["python", "-c", "x = b'x' * (256 << 20)"], PYTHON, host={"mem_limit": "32m"})
    task.read()
    assert task.wait() == 137
    assert client.inspect_container(task.id)["State"]["OOMKilled"] is True


def test_a_command_that_is_not_there(gateway: Gateway) -> None:
    assert "nosuchthing" in fails(begin(gateway.client(), ["nosuchthing"]))


def test_the_environment_of_a_task(gateway: Gateway) -> None:
    script = (
        'id -u; pwd; hostname; echo "$A"; df -k /dev/shm | tail -1; grep -c "1.2.3.4" /etc/hosts;'
        ' cat /etc/resolv.conf; touch "$HOME/x" /tmp/airflow/y && echo writable; env | grep -c SERVICE_HOST;'
        " ls /var/run/secrets 2>&1; grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    )
    mount = Mount("/tmp/airflow", "/run/airdock-tmp/airflowtmpxyz", "bind")
    host = {"mounts": [mount], "extra_hosts": {"other": "1.2.3.4"}, "dns": ["9.9.9.9"], "shm_size": 1 << 20}
    _, output = run(
        gateway.client(),
        ["sh", "-c", script],
        host=host,
        hostname="myhost",
        working_dir="/tmp",
        environment={"A": "$(HOME)"},
    )
    lines = output.decode().splitlines()
    assert lines[:4] == ["50000", "/tmp", "myhost", "$(HOME)"]
    text = output.decode()
    assert " 1024 " in lines[4]
    assert lines[5] == "1"
    assert "nameserver 9.9.9.9" in text
    assert "writable" in text
    assert "No such file" in text
    assert "CapEff:\t0000000000000000" in text
    assert "NoNewPrivs:\t1" in text


def test_user_namespaces(starter: Start) -> None:
    client = starter(userNamespaces="on").client()
    script = "id -u; touch /root-was-here && echo written; cat /proc/self/uid_map"
    for user in (None, "root"):
        code, output = run(client, ["sh", "-c", script], user=user)
        lines = output.decode().split("\n")
        assert (code, lines[:2]) == (0, ["0", "written"])
        assert lines[2].split()[1] != "0"


def test_user_namespaces_where_every_node_can(cluster: Cluster, starter: Start) -> None:
    """``auto`` asks the nodes; without the right to, it is as if one of them could not."""
    refused = starter(userNamespaces="auto").client()
    with pytest.raises(APIError, match=r"tasks\.userNamespaces"):
        create(refused, ["id", "-u"], user="root")
    name = f"{NAMESPACE}-list-nodes"
    with kubernetes.client.ApiClient(cluster.core.api_client.configuration) as client:
        rbac = kubernetes.client.RbacAuthorizationV1Api(client)
        rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
        ignore_conflict(rbac.create_cluster_role, {"metadata": {"name": name}, "rules": rules})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "gateway", "namespace": NAMESPACE}],
        }
        ignore_conflict(rbac.create_cluster_role_binding, binding)
        try:
            client = starter(userNamespaces="auto").client()
            code, output = run(client, ["sh", "-c", "id -u; cat /proc/self/uid_map"], user="root")
        finally:
            rbac.delete_cluster_role_binding(name)
            rbac.delete_cluster_role(name)
    lines = output.decode().split("\n")
    assert (code, lines[0]) == (0, "0")
    assert lines[1].split()[1] != "0"


def test_gpus(cluster: Cluster, starter: Start) -> None:
    """The node says that it has two, as a device plugin makes it; there is no device behind them here."""
    node = cluster.core.list_node().items[0].metadata.name

    def advertise(count: str | None) -> None:
        cluster.core.patch_node_status(node, {"status": {"capacity": {"nvidia.com/gpu": count}}})

    advertise("2")
    try:
        wait_until(
            lambda: cluster.core.read_node(node).status.allocatable.get("nvidia.com/gpu") == "2", 60, "GPUs"
        )
        gateway = starter(scheduleTimeoutSeconds=3)

        def with_gpus(count: int) -> Task:
            requests = [DeviceRequest(count=count, capabilities=[["gpu"]])]
            return begin(gateway.client(), ["echo", "ran"], host={"device_requests": requests})

        task = with_gpus(2)
        assert (task.read(), task.wait()) == (b"ran\n", 0)
        (pod,) = cluster.pods(gateway.owner)
        assert pod.spec.containers[0].resources.limits["nvidia.com/gpu"] == "2"
        assert "Insufficient nvidia.com/gpu" in fails(with_gpus(3))
    finally:
        advertise(None)


# ---- the cluster ends a pod: never an exit code


def polite(gateway: Gateway) -> tuple[Task, Any]:
    """Give a running container that will answer SIGTERM with exit code 0, and its pod."""
    task = begin(gateway.client(), POLITE)
    task.read_until(b"ready")
    return task, wait_until(
        lambda: [
            p
            for p in gateway.cluster.pods(gateway.owner)
            if p.metadata.annotations["airdock.dev/container-id"] == task.id
        ],
        10,
        "the container's pod",
    )[0]


def test_deleted(gateway: Gateway) -> None:
    task, pod = polite(gateway)
    gateway.cluster.core.delete_namespaced_pod(pod.metadata.name, NAMESPACE)
    assert "deleted" in fails(task)


def test_evicted(gateway: Gateway) -> None:
    task, pod = polite(gateway)
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod.metadata.name}}
    gateway.cluster.core.create_namespaced_pod_eviction(pod.metadata.name, NAMESPACE, body)
    assert "EvictionByEvictionAPI" in fails(task)


def test_drained(gateway: Gateway) -> None:
    task, _pod = polite(gateway)
    node = gateway.cluster.core.list_node().items[0].metadata.name
    kubectl = [str(tools.path("kubectl")), f"--kubeconfig={KUBECONFIG}"]
    # A whole drain but for the pods of others.
    command = ["drain", node, f"--pod-selector={OWNER}={gateway.owner}", "--force", "--delete-emptydir-data"]
    try:
        subprocess.run([*kubectl, *command], check=True, capture_output=True)
        assert "EvictionByEvictionAPI" in fails(task)
    finally:
        subprocess.run([*kubectl, "uncordon", node], check=True, capture_output=True)
    wait_until(lambda: gateway.pods_ended(), 30, "its container has ended")


@pytest.mark.slow
def test_its_node_falls_silent(starter: Start) -> None:
    """The kubelet stops, as on a node that hangs: its pods are deleted, and nobody says how they ended."""
    unreachable = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
    gateway = starter(
        pod={
            "tolerations": [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
                for key in unreachable
            ]
        }
    )
    task, _pod = polite(gateway)
    kubelet = node_process("kubelet")
    os.kill(kubelet, signal.SIGSTOP)
    try:
        # 50 s until the node counts as lost, 60 s and the pod's grace until the gateway gives it up.
        with pytest.raises(APIError, match="its node does not say how its container ended") as error:
            task.wait()
        assert error.value.status_code == 500
    finally:
        os.kill(kubelet, signal.SIGCONT)
    wait_until(
        lambda: not gateway.cluster.pods(gateway.owner), 60, "the kubelet that is back ends the container"
    )
    wait_until(lambda: ready(gateway.cluster.core.list_node().items[0]), 60, "the node is ready again")


def ready(node: Any) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)


def node_process(name: str) -> int:
    """Give the process id, as the host has it, of a service of the native node."""
    children = Path(f"/proc/{supervisor.running()}/task/{supervisor.running()}/children").read_text().split()
    return next(int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == name)


def test_past_its_deadline(starter: Start) -> None:
    gateway = starter(pod={"activeDeadlineSeconds": 4})
    assert "DeadlineExceeded" in fails(begin(gateway.client(), POLITE))


def test_no_node_takes_it(starter: Start) -> None:
    gateway = starter(scheduleTimeoutSeconds=3, pod={"nodeSelector": {"nothing": "here"}})
    assert "no node takes the pod" in fails(begin(gateway.client(), ["true"]))
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 30, "the pod is deleted")


def test_an_image_that_cannot_be_pulled(starter: Start) -> None:
    gateway = starter(pullTimeoutSeconds=3)
    client = gateway.client()
    assert client.images(name="nowhere/nothing:1")
    assert "image cannot be pulled" in fails(begin(client, ["true"], "nowhere/nothing:1"))


# ---- refusals at create


def test_admission_speaks_at_create(starter: Start) -> None:
    client = starter(pod={"hostNetwork": True}).client()
    path = "/run/airdock-tmp/airflowtmpxyz"
    with pytest.raises(APIError) as error:
        create(client, ["true"], host={"mounts": [Mount("/tmp/airflow", path, "bind")]})
    assert error.value.status_code == 403
    assert "violates PodSecurity" in error.value.explanation
    assert path not in str(error.value)


def test_quota_speaks_at_create(gateway: Gateway) -> None:
    core = gateway.cluster.core
    core.create_namespaced_resource_quota(
        NAMESPACE, {"metadata": {"name": "q"}, "spec": {"hard": {"limits.memory": "1Ti"}}}
    )
    try:
        wait_until(
            lambda: core.read_namespaced_resource_quota("q", NAMESPACE).status.hard, 20, "the quota counts"
        )
        with pytest.raises(APIError, match="exceeded quota"):
            create(gateway.client(), ["true"], host={"mem_limit": "2000g"})
    finally:
        core.delete_namespaced_resource_quota("q", NAMESPACE)


# ---- ends that the task asks for, or its death


def test_stop_answers_at_once(gateway: Gateway) -> None:
    task, pod = polite(gateway)
    began = time.monotonic()
    gateway.client().stop(task.id)
    assert time.monotonic() - began < 0.5
    assert "stopped" in fails(task)
    wait_until(
        lambda: pod.metadata.name not in [p.metadata.name for p in gateway.cluster.pods(gateway.owner)],
        20,
        "the pod is gone",
    )


def test_the_tasks_death_ends_the_container(gateway: Gateway) -> None:
    script = f"""
import docker, sys, time
c = docker.APIClient("unix://{gateway.socket}")
i = c.create_container("{BUSYBOX}", ["sleep", "1000"], host_config=c.create_host_config())["Id"]
s = c.attach(i, stream=True); c.start(i); print(i, flush=True); next(iter(s))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    container = process.stdout.readline().strip()

    def own() -> list[Any]:
        return [
            p
            for p in gateway.cluster.pods(gateway.owner)
            if p.metadata.annotations["airdock.dev/container-id"] == container
        ]

    wait_until(lambda: own() and own()[0].status.phase == "Running", PATIENCE, "the pod runs")
    process.kill()
    process.wait()
    wait_until(lambda: not own(), 30, "the orphan is gone")


def test_removal(gateway: Gateway) -> None:
    client = gateway.client()
    task, pod = polite(gateway)
    with pytest.raises(APIError) as error:
        client.remove_container(task.id)
    assert error.value.status_code == 409
    client.remove_container(task.id, force=True)
    with pytest.raises(APIError) as error:
        client.inspect_container(task.id)
    assert error.value.status_code == 404
    wait_until(
        lambda: pod.metadata.name not in [p.metadata.name for p in gateway.cluster.pods(gateway.owner)],
        20,
        "the pod is gone",
    )


def test_ended_pods_are_collected(starter: Start) -> None:
    gateway = starter(ttlSeconds=3)
    assert run(gateway.client(), ["true"]) == (0, b"")
    assert gateway.cluster.pods(gateway.owner)
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 30, "the pod is collected")


# ---- faults


def test_the_gateway_is_killed(starter: Start) -> None:
    gateway = starter()
    task, _ = polite(gateway)
    gateway.kill()
    gateway.start()
    task.read()
    with pytest.raises(APIError) as error:
        gateway.client().wait(task.id)
    assert error.value.status_code == 500
    assert "restarted" in error.value.explanation
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 30, "its pod is gone")


#: Where a task is when its gateway is killed: what DockerOperator has done by then.
STEPS = ("created", "started", "running", "ended", "waited for")


@pytest.mark.parametrize("step", STEPS)
def test_the_gateway_is_killed_when_a_task_is(starter: Start, step: str) -> None:
    gateway = starter(ttlSeconds=5, leaseSeconds=20)
    client = gateway.client()
    task = create(client, POLITE if step in ("started", "running") else ["echo", "ready"])
    task.attach()
    if step != "created":
        task.start()
    if step in ("running", "ended", "waited for"):
        task.read_until(b"ready")
    if step in ("ended", "waited for"):
        task.read()
        wait_until(lambda: gateway.pods_ended(), PATIENCE, "the pod has ended")
    if step == "waited for":
        assert task.wait() == 0
    gateway.kill()
    gateway.start()
    with contextlib.suppress(Exception):
        task.read()
    client = gateway.client()
    # What the operator does next: nothing of it may look like a success.
    if step == "created":
        with pytest.raises(APIError):
            client.start(task.id)
    if step == "waited for":
        with contextlib.suppress(APIError):
            client.remove_container(task.id, force=True)
    else:
        with pytest.raises(APIError) as error:
            client.wait(task.id)
        assert error.value.status_code in (404, 500)
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 60, "no pod is left")


def test_its_node_is_gone(starter: Start) -> None:
    # Bound to a node that is no part of the cluster, as a pod is whose node was taken away.
    gateway = starter(pod={"nodeName": "gone"})
    task = begin(gateway.client(), POLITE)
    # The garbage collector's patience is 40 seconds, and it looks every 20.
    assert "node no longer exists" in fails(task)
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 60, "no pod is left")


def test_the_gateway_ends_with_its_worker(starter: Start) -> None:
    gateway = starter()
    polite(gateway)
    gateway.kill(signal.SIGTERM)
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), 30, "its pod is gone")


def test_what_a_dead_gateway_left_is_swept_by_another(starter: Start) -> None:
    dead, alive = starter(leaseSeconds=8, ttlSeconds=5), starter(leaseSeconds=8, ttlSeconds=5)
    polite(dead)
    dead.kill()
    wait_until(lambda: not dead.cluster.pods(dead.owner), 60, "its pod is gone")
    assert '"event": "sweep"' in alive.log()


class Proxy:
    """Stands between gateway and API server: plain HTTP on this side, so that connections can be cut."""

    def __init__(self, cluster: Cluster) -> None:
        self._address = urlsplit(cluster.server)
        self._context = ssl.create_default_context(cafile=str(cluster.ca))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.away = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self.away:
                client.close()
            else:
                threading.Thread(target=self._pump, args=(client,), daemon=True).start()

    def _pump(self, client: socket.socket) -> None:
        host, port = self._address.hostname or "", self._address.port or 443
        with client, contextlib.suppress(OSError), socket.create_connection((host, port)) as plain:
            upstream = self._context.wrap_socket(plain, server_hostname=host)
            self._open += [client, plain]
            while True:
                ready = [upstream] if upstream.pending() else select.select([client, upstream], [], [])[0]
                for source in ready:
                    if not (data := source.recv(65536)):
                        return
                    (upstream if source is client else client).sendall(data)


def test_connections_to_the_api_server_break(cluster: Cluster, starter: Start) -> None:
    proxy = Proxy(cluster)
    client = starter(server=proxy.url).client()
    task = begin(
        client,
        [
            "sh",
            "-c",
            "for i in $(seq 3000); do echo $i; [ $((i % 10)) = 0 ] && sleep 0.02; done; exit 5",
        ],
    )
    stop = threading.Event()

    def cutter() -> None:
        while not stop.wait(0.7):
            proxy.cut()

    threading.Thread(target=cutter, daemon=True).start()
    task.read()
    stop.set()
    assert task.wait() == 5
    assert task.output.split() == [b"%d" % number for number in range(1, 3001)]


def test_the_api_server_is_away_for_half_a_minute(cluster: Cluster, starter: Start) -> None:
    proxy = Proxy(cluster)
    gateway = starter(server=proxy.url)
    client = gateway.client()
    task = begin(
        client, ["sh", "-c", "i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo $i; sleep 1; done; exit 5"]
    )
    task.read_until(b"3\n")
    second = create(client, ["echo", "second"])
    second.attach()
    proxy.away = True
    proxy.cut()
    back = threading.Timer(30, lambda: setattr(proxy, "away", False))
    back.start()
    second.start()  # waits for the server
    assert not back.is_alive()
    task.read()
    assert task.wait() == 5
    assert task.output.split() == [b"%d" % number for number in range(1, 21)]
    assert second.read() == b"second\n"
    assert second.wait() == 0


# ---- retrieve_output


def retrieve(gateway: Gateway, script: str, path: str, **host: Any) -> bytes | None:
    """Do as DockerOperator does: an API error means that there is no result."""
    client = gateway.client()
    task = begin(
        client, ["python", "-c", script], PYTHON, labels={"airdock.dev/retrieve-output": path}, host=host
    )
    task.read()
    assert task.wait() == 0, task.output
    try:
        chunks, found = client.get_archive(task.id, path)
    except APIError as error:
        assert error.status_code == 404
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        file = tar.extractfile(found["name"])
        assert file is not None
        data = file.read()
    assert found["size"] == len(data)
    return data


def test_retrieval(gateway: Gateway) -> None:
    assert retrieve(gateway, "open('/tmp/o', 'wb').write(bytes(range(256)))", "/tmp/o") == bytes(range(256))
    assert retrieve(gateway, "pass", "/tmp/o") is None
    assert retrieve(gateway, "open('/tmp/o', 'w')", "/tmp/o") == b""
    mount = Mount("/tmp/airflow", "/x/airflowtmpabc", "bind")
    assert (
        retrieve(gateway, "open('/tmp/airflow/o', 'w').write('x')", "/tmp/airflow/o", mounts=[mount]) == b"x"
    )
    large = 5 * 1024 * 1024
    assert retrieve(gateway, f"open('/tmp/o', 'wb').write(b'x' * {large})", "/tmp/o") == b"x" * large


def test_a_result_that_cannot_come_back_breaks_the_connection(gateway: Gateway) -> None:
    for script in (
        f"open('/tmp/o', 'wb').write(b'x' * {5 * 1024 * 1024 + 1})",
        "import os; os.close(os.open('/tmp/o', os.O_CREAT, 0))",
    ):
        with pytest.raises(Exception, match="Connection aborted"):
            retrieve(gateway, script, "/tmp/o")
    client = gateway.client()
    task = begin(client, ["true"])
    task.read()
    task.wait()
    with pytest.raises(Exception, match="Connection aborted"):
        client.get_archive(task.id, "/tmp/o")


# ---- numbers


def test_requests_per_task(gateway: Gateway) -> None:
    client = gateway.client()

    def requests() -> float:
        kinds = ("POST pods", "GET pods", "GET log")
        return sum(gateway.metric(f'kubernetes_requests_total{{request="{kind}"}}') for kind in kinds)

    before = requests()
    for _ in range(5):
        assert run(client, ["true"]) == (0, b"")
    # Dry run, create, log, the log's end; nothing printed: the end once more. One more for all of them: the
    # watch begins anew every few minutes.
    assert requests() - before <= 5 * 5 + 1
    before = requests()
    for _ in range(5):
        assert run(client, ["echo", "a"]) == (0, b"a\n")
    assert requests() - before <= 5 * 4 + 1


def test_idle_memory(starter: Start) -> None:
    gateway = starter()
    assert gateway.process
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    resident = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
    assert resident < 30 * 1024, f"{resident} KiB"


def test_a_hundred_at_once(starter: Start) -> None:
    # They share one small node: no requests, so that all of them run side by side.
    gateway = starter(
        resources={"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}}
    )

    def one(number: int) -> tuple[int, bytes]:
        client = docker.APIClient(f"unix://{gateway.socket}", timeout=60)
        try:
            return run(
                client,
                [
                    "sh",
                    "-c",
                    f"for i in $(seq 50); do echo {number}-$i; done; sleep 5; echo end; exit {number}",
                ],
            )
        finally:
            client.close()

    with ThreadPoolExecutor(100) as pool:
        results = list(pool.map(one, range(100)))
    for number, (code, output) in enumerate(results):
        assert code == number
        assert output.split() == [*(f"{number}-{i}".encode() for i in range(1, 51)), b"end"]
