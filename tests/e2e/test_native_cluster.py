"""The native cluster: what works on it, and that the host is the same before and after.

It starts a second cluster of another name, so that one of the user's is left alone.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import tools
from scripts.cluster import calico, images
from scripts.cluster.nft import root as nft_root
from tests.e2e import host_state

NAME = "airdock-e2e"
STATE = Path("/var/lib") / NAME
KUBECONFIG = STATE / "kubeconfig"
DOCKER_SOCKET = STATE / "node/run/docker.sock"
NODE_ADDRESS = "198.19.96.2"
REGISTRY = f"{NODE_ADDRESS}:5000"
ENVIRONMENT = os.environ | {"AIRDOCK_INSTANCE": NAME, "AIRDOCK_NETWORK": "198.19.64.0/18"}
IMAGE = "airdock-e2e/busybox:1"
WARM_SECONDS = 60

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the native cluster needs root")


def cluster(command: str, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
    """Run `python -m scripts.cluster COMMAND` for the test's own cluster."""
    words = [sys.executable, "-m", "scripts.cluster", command]
    return subprocess.run(
        words, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout, check=False
    )


def start() -> float:
    """Start the cluster; seconds that it took."""
    began = time.monotonic()
    done = cluster("up")
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began


def test_nft_calls_protocols_by_name() -> None:
    """kube-proxy reads its own maps again after an hour, and takes what it does not know for leftovers."""
    script = """
    add table ip t
    add map ip t m { type inet_proto . inet_service : verdict ; }
    add element ip t m { tcp . 53 : accept, udp . 53 : accept }
    """
    both = 'chroot "$0" /usr/sbin/nft -f - && chroot "$0" /usr/sbin/nft list map ip t m'
    command = ["unshare", "--net", "sh", "-c", both, str(nft_root())]
    listed = subprocess.run(command, input=script, capture_output=True, text=True, check=True).stdout
    assert "tcp . 53" in listed and "udp . 53" in listed


def stop() -> None:
    """Take the cluster down."""
    done = cluster("down")
    assert done.returncode == 0, done.stderr


def node_process() -> int:
    """The host's id of the node's PID 1."""
    return int(json.loads((STATE / "supervisor.json").read_text())["process"])


def node_processes() -> set[str]:
    """Ids of all processes in the node's cgroup."""
    found: set[str] = set()
    for file in Path("/sys/fs/cgroup").glob(f"**/{NAME}/**/cgroup.procs"):
        found |= set(file.read_text().split())
    return found


def _command(process: str) -> str:
    with contextlib.suppress(OSError):
        return Path("/proc", process, "cmdline").read_text().replace("\0", " ")
    return ""


def everything_on_the_node() -> set[tuple[str, str]]:
    """All processes in the node's namespaces, also if one had got out of its cgroup."""
    found = host_state.processes_in(host_state.namespaces(node_processes()))
    assert len(found) > 10
    return found


def until(met: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for a condition, and fail when time is up."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.2)


def _works(attempt: Callable[[], Any]) -> bool:
    try:
        attempt()
    except AssertionError:
        return False
    return True


def kubectl(*words: str, stdin: str | None = None) -> str:
    command = [str(tools.pinned("kubectl")), f"--kubeconfig={KUBECONFIG}", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def docker(*words: str) -> str:
    command = [str(tools.pinned("docker")), "--host", f"unix://{DOCKER_SOCKET}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pod(name: str, script: str, **spec: Any) -> dict[str, Any]:
    """A pod that runs a shell script once."""
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script], **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **spec,
        },
    }


def run_pod(manifest: dict[str, Any]) -> str:
    """Run a pod to its end and return its log."""
    name = manifest["metadata"]["name"]
    kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
    ended = "jsonpath={.status.phase}"
    until(lambda: kubectl("get", "pod", name, f"--output={ended}") in ("Succeeded", "Failed"))
    log = kubectl("logs", name)
    assert kubectl("get", "pod", name, f"--output={ended}") == "Succeeded", log
    return log


@pytest.fixture(scope="module")
def up() -> Iterator[None]:
    """The test's own cluster, with one small image in its registry under a docker.io name."""
    start()
    _push_image()
    yield
    stop()


def _push_image() -> None:
    busybox = next(image for image in images.images() if image.name == images.HELPER)
    with tempfile.NamedTemporaryFile() as layer, tarfile.open(layer.name, "w") as tar:
        for path, file in busybox.files.items():
            tar.add(file, path)
        for path, target in busybox.links.items():
            link = tarfile.TarInfo(path)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link, io.BytesIO())
        tar.close()
        append = ["append", "--insecure", "--oci-empty-base", "--new_layer", layer.name]
        subprocess.run([str(tools.path("crane")), *append, "--new_tag", f"{REGISTRY}/{IMAGE}"], check=True)


@pytest.mark.usefixtures("up")
class TestNode:
    def test_status_says_ready(self) -> None:
        done = cluster("status")
        assert (done.returncode, done.stdout) == (0, "Ready\n")

    def test_a_second_up_is_quick_and_changes_nothing(self) -> None:
        process = node_process()
        assert start() < 5
        assert node_process() == process

    def test_a_pod_runs_an_image_of_the_registry_under_its_docker_io_name(self) -> None:
        assert run_pod(pod("hello", "echo hello")) == "hello\n"

    def test_a_pod_reaches_registry_and_api_server(self) -> None:
        connect = "nc -w 3 kubernetes.default.svc 443 </dev/null && echo there"
        script = f"wget -qO- http://{REGISTRY}/v2/_catalog && {connect}"
        assert run_pod(pod("egress", script)).endswith("there\n")

    def test_a_service_is_reached_by_name_from_another_pod(self) -> None:
        server = pod("web", "mkdir /www && echo served > /www/index.html && httpd -f -p 8080 -h /www")
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        for manifest in (server, service):
            kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
        kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
        fetch = (
            "for i in 1 2 3 4 5; do timeout 3 wget -qO- http://web.default.svc && exit; sleep 1; done; exit 1"
        )
        assert run_pod(pod("client", fetch)) == "served\n"

    def test_a_network_policy_holds_and_nothing_else_is_closed(self) -> None:
        serve = "mkdir /www && echo served > /www/index.html && httpd -f -p 8080 -h /www"
        port = {"ports": [{"containerPort": 8080, "hostPort": 8099}]}
        for manifest in (pod("closed", serve, container=port), pod("asking", "sleep 600")):
            kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
        kubectl("wait", "--for=condition=Ready", "pod/closed", "pod/asking", "--timeout=60s")
        address = kubectl("get", "pod", "closed", "--output=jsonpath={.status.podIP}")

        def fetch(url: str) -> str:
            command = ("exec", "asking", "--", "timeout", "2", "wget", "-qO-", url)
            done = subprocess.run(
                [str(tools.pinned("kubectl")), f"--kubeconfig={KUBECONFIG}", *command],
                capture_output=True,
                text=True,
            )
            return done.stdout

        inside, outside = f"http://{address}:8080", f"http://{NODE_ADDRESS}:8099"
        assert fetch(inside) == fetch(outside) == "served\n"
        with contextlib.closing(http.client.HTTPConnection(NODE_ADDRESS, 8099, timeout=5)) as host:
            host.request("GET", "/")
            assert host.getresponse().read() == b"served\n"
        assert docker("run", "--rm", IMAGE, "wget", "-qO-", inside) == "served\n"
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "closed"},
            "spec": {"podSelector": {"matchLabels": {"app": "closed"}}, "policyTypes": ["Ingress"]},
        }
        kubectl("apply", "--filename=-", stdin=json.dumps(policy))
        until(lambda: not fetch(inside) and not fetch(outside), 20)
        (felix,) = (process for process in node_processes() if _command(process).startswith("calico-felix"))
        os.kill(int(felix), signal.SIGKILL)
        assert not fetch(inside)  # The rules are the kernel's.
        kubectl("delete", "networkpolicy", "closed")
        until(lambda: fetch(inside) == fetch(outside) == "served\n", 30)  # By the Felix that came after.

    def test_a_claim_is_bound_writable_by_any_user_and_deleted_with_its_files(self) -> None:
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
        }
        kubectl("apply", "--filename=-", stdin=json.dumps(claim))
        volume = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        writer = pod(
            "writer",
            "echo kept > /data/file && cat /data/file",
            volumes=volume,
            securityContext={"runAsUser": 50000},
            container={"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        )
        assert run_pod(writer) == "kept\n"
        (written,) = (STATE / "node/var/lib/local-path").glob("*/file")
        kubectl("delete", "pod/writer", "persistentvolumeclaim/data", "--wait=true")
        until(lambda: not written.exists())

    def test_exec_and_port_forward_work(self) -> None:
        kubectl("apply", "--filename=-", stdin=json.dumps(pod("shell", "sleep 600")))
        kubectl("wait", "--for=condition=Ready", "pod/shell", "--timeout=60s")
        assert kubectl("exec", "shell", "--", "echo", "inside") == "inside\n"

    def test_the_nodes_docker_runs_an_image_of_the_registry(self) -> None:
        assert docker("run", "--rm", IMAGE, "echo", "hello") == "hello\n"

    def test_a_docker_container_reaches_the_registry(self) -> None:
        assert "repositories" in docker(
            "run", "--rm", IMAGE, "wget", "-qO-", f"http://{REGISTRY}/v2/_catalog"
        )

    def test_a_docker_container_can_have_an_init_and_limits(self) -> None:
        assert (
            docker("run", "--rm", "--init", "--memory=64m", "--cpus=1", IMAGE, "echo", "hello") == "hello\n"
        )

    def test_the_docker_socket_is_the_groups(self) -> None:
        socket = pod(
            "socket",
            "stat -c '%F %a %g' /docker.sock",
            volumes=[{"name": "docker", "hostPath": {"path": "/var/run/docker.sock", "type": "Socket"}}],
            container={"volumeMounts": [{"name": "docker", "mountPath": "/docker.sock"}]},
        )
        assert run_pod(socket) == "socket 660 999\n"

    def test_a_pod_can_have_a_user_namespace(self) -> None:
        inside = run_pod(pod("users", "cat /proc/self/uid_map", hostUsers=False)).split()
        assert inside[0] == "0"
        assert inside[1] != "0"

    def test_a_pod_that_mounts_the_nodes_root_sees_nothing_of_the_hosts(self, tmp_path: Path) -> None:
        secret = tmp_path / "of-the-host"
        secret.write_text("seen")
        root = pod(
            "root",
            f"cat /node{secret}; ls /node/root /node/home; echo written > /node/etc/of-the-node && echo done",
            volumes=[{"name": "root", "hostPath": {"path": "/"}}],
            container={"volumeMounts": [{"name": "root", "mountPath": "/node"}]},
        )
        log = run_pod(root)
        assert "seen" not in log
        assert log.endswith("done\n")
        assert not Path("/etc/of-the-node").exists()
        assert (STATE / "node/etc/of-the-node").read_text() == "written\n"

    def test_a_killed_service_comes_back(self) -> None:
        found = subprocess.run(
            ["pgrep", "--full", f"^kubelet .*{NAME}|^dockerd --config"], capture_output=True
        )
        ours = [int(pid) for pid in found.stdout.split() if pid.decode() in node_processes()]
        assert ours
        for process in ours:
            os.kill(process, signal.SIGKILL)
        until(lambda: cluster("status").returncode == 0)
        until(
            lambda: subprocess.run(["docker", "--host", f"unix://{DOCKER_SOCKET}", "version"]).returncode == 0
        )


def test_the_host_is_the_same_after_down() -> None:
    stop()
    before = host_state.snapshot()
    assert start() < WARM_SECONDS
    _push_image()
    docker("run", "--detach", "--name", "paused", IMAGE, "sleep", "1000")
    docker("pause", "paused")  # On cgroup v1 it could not be killed like this.
    during = host_state.snapshot()
    processes = everything_on_the_node()
    assert all(kind in host_state.difference(before, during) for kind in ("interfaces", "routes", "rules"))
    stop()
    assert host_state.living(processes) == set()
    assert host_state.difference(before, host_state.snapshot()) == ""
    assert cluster("status").returncode == 1


def test_killing_the_nodes_first_process_ends_all_of_it_and_up_starts_anew() -> None:
    stop()
    before = host_state.snapshot()
    start()
    processes = everything_on_the_node()
    os.kill(node_process(), signal.SIGKILL)
    until(lambda: not host_state.living(processes), 20)
    assert not node_processes()
    assert "not running" in cluster("status").stdout
    start()
    assert cluster("status").returncode == 0
    stop()
    assert host_state.difference(before, host_state.snapshot()) == ""


@pytest.mark.parametrize("seconds", [1, 4, 9])
def test_up_works_after_one_that_was_killed_halfway(seconds: float) -> None:
    stop()
    before = host_state.snapshot()
    process = subprocess.Popen([sys.executable, "-m", "scripts.cluster", "up"], env=ENVIRONMENT)
    time.sleep(seconds)
    process.kill()
    process.wait()
    start()
    assert cluster("status").returncode == 0
    stop()
    assert host_state.difference(before, host_state.snapshot()) == ""


def test_down_deletes_no_directory_with_something_strange_in_it() -> None:
    stop()
    STATE.mkdir()
    (STATE / "notes").write_text("mine")
    try:
        for command in ("down", "up"):
            done = cluster(command)
            assert done.returncode == 1
            assert "notes" in done.stderr
        assert (STATE / "notes").read_text() == "mine"
    finally:
        (STATE / "notes").unlink()
        STATE.rmdir()


def test_down_without_a_cluster_changes_nothing() -> None:
    stop()
    before = host_state.snapshot()
    stop()
    assert host_state.difference(before, host_state.snapshot()) == ""


def test_an_interface_in_the_way_is_named_and_left_alone() -> None:
    stop()
    subprocess.run(["ip", "link", "add", "dummy-e2e", "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", "198.19.70.1/24", "dev", "dummy-e2e"], check=True)
        subprocess.run(["ip", "link", "set", "dummy-e2e", "up"], check=True)
        before = host_state.snapshot()
        done = cluster("up")
        assert done.returncode == 1
        assert "dummy-e2e" in done.stderr
        assert "AIRDOCK_NETWORK" in done.stderr
        assert host_state.difference(before, host_state.snapshot()) == ""
    finally:
        subprocess.run(["ip", "link", "delete", "dummy-e2e"], check=True)


#: What a host with a kubelet, a containerd, a Docker, an etcd and a registry of its own has.
HOSTS_FILES = (
    "/etc/cni/net.d/10-hosts.conflist",
    "/etc/containerd/config.toml",
    "/etc/docker/daemon.json",
    "/etc/kubernetes/admin.conf",
    "/opt/cni/bin/ptp",
    "/var/lib/containerd/hosts",
    "/var/lib/docker/hosts",
    "/var/lib/etcd/hosts",
    "/var/lib/kubelet/config.yaml",
    "/var/log/pods/hosts",
)
HOSTS_PORTS = (2379, 2380, 5000, 6443, 10248, 10250, 10256, 10257, 10259)
HOSTS_SOCKETS = ("/run/containerd/containerd.sock", "/run/docker.sock")
HOSTS_FIREWALL = """table inet hosts-e2e {
  chain input { type filter hook input priority 0; iifname "airdock-e2e0" ct state new drop; }
  chain forward { type filter hook forward priority 0; iifname "airdock-e2e0" drop; }
}"""


@pytest.fixture
def hosts_own() -> Iterator[None]:
    """The host runs all that by itself, and a firewall that lets nothing of the node in or through."""
    stop()
    made: list[Path] = []
    with contextlib.ExitStack() as undo:
        for name in (*HOSTS_FILES, *HOSTS_SOCKETS):
            missing = [place for place in (Path(name), *Path(name).parents) if not place.exists()]
            made += missing
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            if name in HOSTS_FILES and Path(name) in missing:
                Path(name).write_text("the host's\n")
            elif Path(name) in missing:
                listener = undo.enter_context(socket.socket(socket.AF_UNIX))
                listener.bind(name)
                listener.listen()
        for port in HOSTS_PORTS:
            listener = undo.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):  # The host really runs one.
                listener.bind(("0.0.0.0", port))
                listener.listen()
        nft("-f", "-", stdin=HOSTS_FIREWALL)
        try:
            yield
        finally:
            nft("delete", "table", "inet", "hosts-e2e")
            for place in made:
                place.rmdir() if place.is_dir() else place.unlink()


def nft(*words: str, stdin: str = "") -> str:
    command = ["chroot", str(nft_root()), "/usr/sbin/nft", *words]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


@pytest.mark.usefixtures("hosts_own")
def test_a_hosts_own_kubelet_docker_and_firewall_are_left_alone() -> None:
    files = {name: (Path(name).read_bytes(), Path(name).stat().st_mtime_ns) for name in HOSTS_FILES}
    before = host_state.snapshot()
    start()
    _push_image()
    assert run_pod(pod("beside", "echo hello")) == "hello\n"
    assert docker("run", "--rm", IMAGE, "echo", "hello") == "hello\n"
    stop()
    assert host_state.difference(before, host_state.snapshot()) == ""
    assert {name: (Path(name).read_bytes(), Path(name).stat().st_mtime_ns) for name in HOSTS_FILES} == files


LEAKS = {
    "interfaces": ("ip link add leak-e2e type bridge", "ip link delete leak-e2e"),
    "mount_points": ("mkdir -p /mnt && mount -t tmpfs leak-e2e /mnt", "umount /mnt"),
    "files": ("touch /etc/leak-e2e", "rm /etc/leak-e2e"),
    "cgroups": (
        "for d in /sys/fs/cgroup/*/cgroup.procs; do mkdir ${d%/*}/leak-e2e; break; done",
        "rmdir /sys/fs/cgroup/*/leak-e2e",
    ),
    "sysctls": (
        "echo 1 > /proc/sys/net/ipv4/conf/lo/log_martians",
        "echo 0 > /proc/sys/net/ipv4/conf/lo/log_martians",
    ),
    "rules": ("$NFT add table leak_e2e", "$NFT delete table leak_e2e"),
    "ipsets": ("$IPSET create leak-e2e hash:ip", "$IPSET destroy leak-e2e"),
    "routes": ("ip route add unreachable 198.19.255.0/24", "ip route delete unreachable 198.19.255.0/24"),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_the_comparison_would_see_a_leak(kind: str) -> None:
    make, undo = LEAKS[kind]
    programs = {
        "NFT": f"chroot {nft_root()} /usr/sbin/nft",
        "IPSET": f"chroot {calico.root()} /usr/sbin/ipset",
    }
    before = host_state.snapshot()
    subprocess.run(["sh", "-c", make], check=True, env=os.environ | programs)
    try:
        assert kind in host_state.difference(before, host_state.snapshot())
    finally:
        subprocess.run(["sh", "-c", undo], check=True, env=os.environ | programs)
