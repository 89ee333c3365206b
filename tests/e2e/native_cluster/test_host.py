"""The native cluster: the host is the same before and after."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.cluster import calico
from scripts.cluster.nft import root as nft_root
from tests.e2e.native_cluster import host_state
from tests.e2e.native_cluster.support import (
    ENVIRONMENT,
    IMAGE,
    STATE,
    cluster,
    docker,
    everything_on_the_node,
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


def test_the_host_is_the_same_after_down() -> None:
    stop()
    before = host_state.snapshot()
    start()
    push_image()
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
    wait_until(lambda: not host_state.living(processes), 20, "all processes of the node end")
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
    push_image()
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
