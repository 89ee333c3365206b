"""The native cluster: what works on it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra

from scripts import tools
from scripts.cluster.nft import root as nft_root
from tests.e2e.native_cluster.support import (
    DOCKER_SOCKET,
    IMAGE,
    KUBECONFIG,
    NAME,
    NODE_ADDRESS,
    REGISTRY,
    STATE,
    cluster,
    command_of,
    docker,
    kubectl,
    needs_root,
    node_process,
    node_processes,
    pod,
    push_image,
    run_pod,
    start,
    stop,
)
from tests.support.waiting import wait_until

pytestmark = needs_root


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


@pytest.fixture(scope="module")
def up() -> Iterator[None]:
    """The test's own cluster, with one small image in its registry under a docker.io name."""
    start()
    push_image()
    yield
    stop()


@pytest.mark.usefixtures("up")
class TestNode:
    def test_status_says_ready(self) -> None:
        done = cluster("status")
        assert (done.returncode, done.stdout) == (0, "Ready\n")

    def test_a_second_up_changes_nothing(self) -> None:
        process = node_process()
        start()
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
        wait_until(lambda: not fetch(inside) and not fetch(outside), 20, "the policy holds")
        (felix,) = (process for process in node_processes() if command_of(process).startswith("calico-felix"))
        os.kill(int(felix), signal.SIGKILL)
        assert not fetch(inside)  # The rules are the kernel's.
        kubectl("delete", "networkpolicy", "closed")
        # By the Felix that came after.
        wait_until(lambda: fetch(inside) == fetch(outside) == "served\n", 30, "the policy is gone")

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
        wait_until(lambda: not written.exists(), 60, "the files of the claim are deleted")

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
        found = testinfra.get_host("local://").file(str(DOCKER_SOCKET))
        assert found.is_socket and (found.uid, found.gid, found.mode) == (0, 999, 0o660)

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
        wait_until(lambda: cluster("status").returncode == 0, 60, "the cluster is ready")
        wait_until(
            lambda: subprocess.run(["docker", "--host", f"unix://{DOCKER_SOCKET}", "version"]).returncode
            == 0,
            60,
            "dockerd answers",
        )
