"""The Docker gateway as a filter before a real Docker daemon: what works through it, and what around it.

The daemon is the node's of the native cluster, or AIRDOCK_DOCKER_SOCKET; it must have busybox:1.37 or get it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import kubernetes
import pytest
from docker.errors import APIError
from docker.types import Mount

from scripts.cluster import DOCKER_SOCKET, KUBECONFIG
from scripts.cluster.settings import NODE_ROOT
from tests.e2e.dockerd import Dockerd

PACKAGE = Path(__file__).resolve().parents[2] / "charts/airdock/files/docker_gateway"
SOCKET = Path(os.environ.get("AIRDOCK_DOCKER_SOCKET") or DOCKER_SOCKET)
#: The same socket as the daemon's machine sees it.
NODE_SOCKET = os.environ.get("AIRDOCK_DOCKER_SOCKET") or "/var/run/docker.sock"
BUSYBOX = "busybox:1.37"
OWNER = "airdock.dev/gateway"
#: No bridge: the test daemon may have none, and no test needs one.
NETWORK = os.environ.get("AIRDOCK_DOCKER_NETWORK") or "default"


def usable() -> bool:
    try:
        return stat.S_ISSOCK(SOCKET.stat().st_mode)
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not usable(), reason=f"there is no Docker daemon at {SOCKET}")


native = pytest.mark.skipif(SOCKET != DOCKER_SOCKET, reason="needs the native cluster's node")


def wait_until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)
    return value


class Gateway:
    """A gateway process before the daemon."""

    def __init__(self, raw: docker.APIClient, owner: str, **rules: Any) -> None:
        self.raw, self.owner = raw, owner
        self.directory = Path(tempfile.mkdtemp(prefix="gw"))
        self.socket = self.directory / "docker.sock"
        self.rules = {"socket": str(SOCKET), **rules}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        file = self.directory / "gateway.json"
        settings = {
            "backend": "daemon",
            "socket": str(self.socket),
            "healthHost": "127.0.0.1",
            "healthPort": port,
        }
        file.write_text(json.dumps({**settings, "daemon": self.rules}))
        environment = {"AIRDOCK_GATEWAY_CONFIG": str(file), "AIRDOCK_GATEWAY_OWNER": self.owner}
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-SE", str(PACKAGE)], env=environment, stderr=log
            )

        self.port = port
        wait_until(lambda: self.get("readyz") == "ok\n", 20, "the gateway is ready")

    def get(self, path: str) -> str:
        """Give what the health port answers, with any status."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    def client(self) -> docker.APIClient:
        return docker.APIClient(f"unix://{self.socket}", timeout=60)

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(40)

    def left(self) -> list[dict[str, Any]]:
        return list(self.raw.containers(all=True, filters={"label": f"{OWNER}={self.owner}"}))

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill(signal.SIGTERM)
        for each in self.left():
            self.raw.remove_container(each["Id"], force=True)


@pytest.fixture(scope="module")
def raw() -> Iterator[docker.APIClient]:
    """The daemon itself, as the raw mount gives it."""
    client = docker.APIClient(f"unix://{SOCKET}", timeout=60)
    if not client.images(name=BUSYBOX):
        client.pull(BUSYBOX)
    yield client
    client.close()


Start = Callable[..., Gateway]


@pytest.fixture(scope="module")
def starter(raw: docker.APIClient) -> Iterator[Start]:
    gateways: list[Gateway] = []

    def start(**rules: Any) -> Gateway:
        gateway = Gateway(raw, f"test-{os.getpid()}-{len(gateways)}", **rules)
        gateways.append(gateway)
        gateway.start()
        return gateway

    yield start
    for gateway in gateways:
        gateway.close()


@pytest.fixture(scope="module")
def gateway(starter: Start) -> Gateway:
    return starter(memory="256Mi", pids=64)


def create(client: docker.APIClient, command: Any, host: dict[str, Any] | None = None, **config: Any) -> str:
    options = {"cpu_shares": 1024, "network_mode": NETWORK, **(host or {})}
    return str(
        client.create_container(BUSYBOX, command, host_config=client.create_host_config(**options), **config)[
            "Id"
        ]
    )


def run(
    client: docker.APIClient, command: Any, host: dict[str, Any] | None = None, **config: Any
) -> tuple[int, bytes]:
    container = create(client, command, host, **config)
    stream = client.attach(container, stdout=True, stderr=True, stream=True)
    client.start(container)
    output = b"".join(stream)
    return int(client.wait(container)["StatusCode"]), output


def test_output_exit_codes_and_files(gateway: Gateway) -> None:
    client = gateway.client()
    assert client.images(name=BUSYBOX)
    assert run(client, ["sh", "-c", "echo one; echo; printf last"]) == (0, b"one\n\nlast")
    assert run(client, ["sh", "-c", "exit 3"]) == (3, b"")
    assert run(client, ["sh", "-c", "test -t 1 && echo tty"], tty=True)[1].split() == [b"tty"]
    container = create(client, ["sh", "-c", "echo -n result > /tmp/out"])
    client.start(container)
    client.wait(container)
    chunks, found = client.get_archive(container, "/tmp/out")
    assert found["size"] == 6
    assert b"result" in b"".join(chunks)
    with pytest.raises(APIError) as error:
        client.get_archive(container, "/nothing")
    assert error.value.status_code == 404
    client.remove_container(container)
    with pytest.raises(APIError):
        client.inspect_container(container)


def test_the_temporary_directory(gateway: Gateway) -> None:
    mount = Mount("/tmp/airflow", "/run/airdock-tmp/airflowtmpxyz", "bind")
    host = {"mounts": [mount]}
    assert run(
        gateway.client(),
        ["sh", "-c", "ls -A /tmp/airflow; echo 1 > /tmp/airflow/x && cat /tmp/airflow/x"],
        host,
    ) == (0, b"1\n")


def test_what_is_forced_on_a_container(gateway: Gateway) -> None:
    container = create(gateway.client(), ["true"])
    host = gateway.raw.inspect_container(container)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (256 << 20, 256 << 20, 64)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    status = run(gateway.client(), ["grep", "NoNewPrivs", "/proc/self/status"])[1]
    assert status == b"NoNewPrivs:\t1\n"


def test_containers_of_others_are_not_there(gateway: Gateway) -> None:
    client, raw = gateway.client(), gateway.raw
    other = raw.create_container(BUSYBOX, ["sleep", "100"], name=f"other-{os.getpid()}")["Id"]
    try:
        for name in (other, other[:12], f"other-{os.getpid()}"):
            for call in (
                client.inspect_container,
                client.start,
                client.stop,
                client.wait,
                client.remove_container,
            ):
                with pytest.raises(APIError) as error:
                    call(name)
                assert error.value.status_code == 404
            for attempt in (
                lambda n: client.attach(n, stream=True),
                lambda n: client.get_archive(n, "/etc/passwd"),
            ):
                with pytest.raises(APIError) as error:
                    attempt(name)
                assert error.value.status_code == 404
        assert raw.inspect_container(other)["State"]["Status"] == "created"
    finally:
        raw.remove_container(other, force=True)


MOUNT = "mkdir /m && mount -t tmpfs none /m"
#: HostConfig and a command that succeeds only if the attack does.
ATTACKS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "root of the node": ({"binds": ["/:/host:ro"]}, ["test", "-e", "/host/proc/1"]),
    "root of the node as a mount": (
        {"mounts": [Mount("/host", "/", "bind", read_only=True)]},
        ["test", "-e", "/host/proc/1"],
    ),
    "the Docker socket": ({"binds": [f"{NODE_SOCKET}:/d.sock"]}, ["test", "-S", "/d.sock"]),
    "privileged": (
        {"privileged": True},
        ["sh", "-c", MOUNT],
    ),
    "a capability": (
        {"cap_add": ["SYS_ADMIN"], "security_opt": ["apparmor=unconfined", "seccomp=unconfined"]},
        ["sh", "-c", MOUNT],
    ),
    "host pids": ({"pid_mode": "host"}, ["sh", "-c", "test $$ -gt 1"]),
    "host network": ({"network_mode": "host"}, ["true"]),
    "a volume over the root": (
        {
            "mounts": [
                Mount(
                    "/host",
                    None,
                    "volume",
                    driver_config={"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}},
                )
            ]
        },
        ["test", "-d", "/host/usr", "-a", "-d", "/host/proc"],
    ),
    "a device": ({"devices": ["/dev/zero:/dev/other:r"]}, ["test", "-c", "/dev/other"]),
    "no seccomp": (
        {"security_opt": ["seccomp=unconfined"]},
        ["grep", "-q", "Seccomp:.*0", "/proc/self/status"],
    ),
    "more memory": ({"mem_limit": "8g"}, ["true"]),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_work_around_the_filter_and_not_through_it(gateway: Gateway, name: str) -> None:
    host, proof = ATTACKS[name]
    host = {"network_mode": NETWORK, **host}
    container = gateway.raw.create_container(
        BUSYBOX, proof, host_config=gateway.raw.create_host_config(**host)
    )["Id"]
    try:
        gateway.raw.start(container)
        assert gateway.raw.wait(container)["StatusCode"] == 0, "the attack itself does not work here"
    finally:
        gateway.raw.remove_container(container, force=True, v=True)
    before = len(gateway.left())
    with pytest.raises(APIError) as error:
        create(gateway.client(), proof, host)
    assert error.value.status_code == 403
    assert ": " in error.value.explanation
    assert len(gateway.left()) == before


def test_another_spelling_is_not_passed_on(gateway: Gateway) -> None:
    body = json.dumps({"Image": BUSYBOX, "Cmd": ["true"], "HostConfig": {"privileged": True}}).encode()
    head = b"POST /v1.47/containers/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answers = []
    for path in (SOCKET, gateway.socket):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(path))
            sock.sendall(request)
            answers.append(sock.recv(65536).split(b" ")[1])
    assert answers == [b"201", b"400"], "the daemon takes what the filter must refuse"
    for each in gateway.raw.containers(all=True, filters={"status": "created", "ancestor": BUSYBOX}):
        if OWNER not in each["Labels"]:
            gateway.raw.remove_container(each["Id"])


def test_stop_and_the_tasks_death(gateway: Gateway) -> None:
    client = gateway.client()
    container = create(client, ["sleep", "1000"])
    client.start(container)
    began = time.monotonic()
    client.stop(container, timeout=1)
    assert time.monotonic() - began < 0.5
    assert client.wait(container)["StatusCode"] == 137

    container = create(client, ["sleep", "1000"])
    stream = client.attach(container, stream=True)
    client.start(container)
    wait_until(lambda: gateway.raw.inspect_container(container)["State"]["Running"], 10, "it runs")
    stream.close()
    wait_until(
        lambda: not gateway.raw.inspect_container(container)["State"]["Running"], 30, "the orphan has ended"
    )


def test_the_gateways_end_leaves_nothing(starter: Start) -> None:
    gateway = starter()
    client = gateway.client()
    client.start(create(client, ["sleep", "1000"]))
    run(client, ["true"])
    assert len(gateway.left()) == 2
    gateway.kill(signal.SIGTERM)
    assert not gateway.left()
    assert not [v for v in gateway.raw.volumes()["Volumes"] or [] if gateway.owner in v["Name"]]


def test_a_killed_gateway_finds_its_containers(starter: Start) -> None:
    gateway = starter()
    client = gateway.client()
    container = create(client, ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"])
    client.start(container)
    gateway.kill()
    gateway.start()
    wait_until(lambda: not gateway.raw.inspect_container(container)["State"]["Running"], 30, "it was ended")
    with pytest.raises(APIError) as error:
        gateway.client().wait(container)
    assert error.value.status_code == 500


def test_what_a_dead_gateway_left_is_swept_by_another(starter: Start) -> None:
    dead, alive = starter(leaseSeconds=8), starter(leaseSeconds=8)
    client = dead.client()
    client.start(create(client, ["sleep", "1000"]))
    dead.kill()
    wait_until(lambda: not dead.left(), 60, "its container is gone")
    assert '"event": "sweep"' in (alive.directory / "log").read_text()


# ---- the daemon goes away

#: Ends with 0 when asked to end: a daemon that goes down answers with that as its exit code.
POLITE = ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"]


@pytest.fixture
def dockerd(raw: docker.APIClient) -> Iterator[Dockerd]:
    """A daemon that may be killed, with the image of these tests."""
    daemon = Dockerd(f"e2e-{os.getpid()}")
    daemon.start()
    client = daemon.client()
    client.load_image(b"".join(raw.get_image(BUSYBOX)))
    client.close()
    yield daemon
    daemon.close()


def begun(client: docker.APIClient, command: Any) -> tuple[str, Any]:
    """Start a container that prints `ready`, and give its output when it has."""
    container = create(client, command, {"network_mode": "none"})
    stream = client.attach(container, stdout=True, stderr=True, stream=True)
    client.start(container)
    assert b"ready" in next(iter(stream))
    return container, stream


def infrastructure(client: docker.APIClient, container: str, stream: Any) -> str:
    """Read to the end, as DockerOperator does, and give why there is no exit code."""
    with contextlib.suppress(Exception):
        b"".join(stream)
    with pytest.raises(APIError) as error:
        client.wait(container)
    assert error.value.status_code == 500
    return str(error.value.explanation)


@native
@pytest.mark.parametrize("signal_name", ["TERM", "KILL"])
def test_the_daemon_ends(dockerd: Dockerd, signal_name: str) -> None:
    raw = dockerd.client()
    gateway = Gateway(raw, f"test-{os.getpid()}-{signal_name}", socket=str(dockerd.socket))
    gateway.start()
    try:
        client = gateway.client()
        container, stream = begun(client, POLITE)
        waiting: list[Any] = []

        def wait() -> None:
            try:
                waiting.append(gateway.client().wait(container))
            except Exception as error:
                waiting.append(error)

        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.3)
        dockerd.kill(signal_name)
        assert "Docker daemon" in infrastructure(client, container, stream)
        waiter.join(30)
        assert isinstance(waiting[0], APIError), waiting
        # As it is for a client of the daemon itself, which the case is worth for:
        wait_until(lambda: gateway.get("readyz") != "ok\n", 20, "it is noticed")
        dockerd.start()
        wait_until(lambda: gateway.get("readyz") == "ok\n", 20, "the new daemon is noticed")
        assert run(client, ["echo", "next"], {"network_mode": "none"}) == (0, b"next\n")
        wait_until(
            lambda: not dockerd.client().inspect_container(container)["State"]["Running"],
            30,
            "nothing runs on",
        )
    finally:
        gateway.close()
        raw.close()


@native
def test_a_polite_container_has_exit_code_0_when_its_daemon_ends(dockerd: Dockerd) -> None:
    client = dockerd.client()
    container, _ = begun(client, POLITE)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(dockerd.client().wait, container)
        time.sleep(0.3)
        dockerd.kill("TERM")
        assert answer.result(30)["StatusCode"] == 0, "what the gateway guards against is not there"


@native
def test_stopped_by_somebody_else(dockerd: Dockerd) -> None:
    raw = dockerd.client()
    gateway = Gateway(raw, f"test-{os.getpid()}-stopped", socket=str(dockerd.socket))
    gateway.start()
    try:
        client = gateway.client()
        container, stream = begun(client, POLITE)
        raw.stop(container)
        assert raw.wait(container)["StatusCode"] == 0
        assert "stopped from outside" in infrastructure(client, container, stream)
    finally:
        gateway.close()
        raw.close()


@native
def test_a_stale_socket_is_noticed(dockerd: Dockerd, tmp_path: Path) -> None:
    mounted = tmp_path / "docker.sock"
    mounted.touch()
    # As the kubelet mounts a hostPath of type Socket.
    subprocess.run(["mount", "--bind", dockerd.socket, mounted], check=True)
    raw = dockerd.client()
    gateway = Gateway(raw, f"test-{os.getpid()}-stale", socket=str(mounted))
    try:
        gateway.start()
        assert gateway.get("healthz") == "ok\n"
        dockerd.kill("TERM")
        dockerd.start()
        wait_until(lambda: "made a new socket" in gateway.get("healthz"), 15, "the liveness probe fails")
    finally:
        gateway.close()
        subprocess.run(["umount", mounted], check=True)
        raw.close()


# ---- in a pod


@pytest.fixture
def in_a_pod() -> Iterator[Callable[[str], tuple[Any, docker.APIClient]]]:
    """Start gateways in pods of 160 MiB before the node's daemon; gives the pod and a client."""
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(KUBECONFIG), client_configuration=configuration)
    core = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
    name = f"gateway-daemon-{os.urandom(4).hex()}"
    core.create_namespace({"metadata": {"name": name}})
    code = {file.name: file.read_text() for file in PACKAGE.glob("*.py")}
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


def test_many_at_once(gateway: Gateway) -> None:
    def one(number: int) -> tuple[int, bytes]:
        client = gateway.client()
        try:
            return run(client, ["sh", "-c", f"for i in $(seq 50); do echo {number}-$i; done; exit {number}"])
        finally:
            client.close()

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(one, range(20)))
    for number, (code, output) in enumerate(results):
        assert code == number
        assert output.split() == [f"{number}-{i}".encode() for i in range(1, 51)]
