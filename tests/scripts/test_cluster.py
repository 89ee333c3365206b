"""The native cluster's decisions that need no cluster: what it refuses, and what stale state means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from scripts.cluster import cgroups, mounts, network, node, preflight, settings, supervisor
from scripts.cluster.errors import ClusterError
from scripts.tools.build import ROOT

Usage = namedtuple("Usage", "total used free")
CGROUPS = [mounts.Mount(Path("/"), "cgroup2", ("rw",))]


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here touches a cluster that runs on this machine."""
    monkeypatch.setattr(supervisor, "_RECORD", tmp_path / "supervisor.json")
    monkeypatch.setattr(network, "_RECORD", tmp_path / "network.json")
    monkeypatch.setattr(network, "INTERFACE", "airdock-none0")
    monkeypatch.setattr(preflight, "STATE", tmp_path / "state")


@pytest.fixture
def good_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host on which a cluster could start."""
    monkeypatch.setattr(preflight.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(preflight, "works", lambda _command: True)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: CGROUPS)
    monkeypatch.setattr(preflight, "_read_only_cgroups", lambda: False)
    monkeypatch.setattr(preflight.os, "access", lambda *_: True)
    monkeypatch.setattr(network, "taken", lambda: None)
    monkeypatch.setattr(mounts, "mounts", lambda: [mounts.Mount(Path("/"), "ext4", ())])
    monkeypatch.setattr(preflight, "built", lambda _tool: True)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _place: Usage(100, 0, 100 * 1024**3))


@pytest.mark.usefixtures("good_host")
class TestPreflight:
    def test_a_good_host_passes(self) -> None:
        preflight.host()

    def refusal(self) -> str:
        with pytest.raises(ClusterError) as refused:
            preflight.host()
        message = str(refused.value)
        assert "\n" not in message
        assert message.endswith(".")
        return message

    def test_a_missing_program_is_named_with_its_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preflight.shutil, "which", lambda name: None if name == "ip" else name)
        assert "iproute2" in self.refusal()

    def test_a_root_that_may_not_make_namespaces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preflight, "works", lambda command: command[0] != "unshare")
        assert "namespaces" in self.refusal()

    def test_no_cgroups(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cgroups, "hierarchies", list)
        assert "cgroup" in self.refusal()

    def test_cgroups_that_are_read_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preflight, "_read_only_cgroups", lambda: True)
        assert "read-only" in self.refusal()

    def test_a_file_system_that_layers_cannot_be_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inner = mounts.Mount(preflight.STATE.parent, "overlay", ())
        monkeypatch.setattr(mounts, "mounts", lambda: [mounts.Mount(Path("/"), "ext4", ()), inner])
        assert "is on overlay" in self.refusal()

    def test_addresses_in_use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(network, "taken", lambda: "the route 198.19.0.0/16 on tun0")
        assert "198.19.0.0/16 on tun0" in self.refusal()

    def test_too_little_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _place: Usage(100, 0, 3 * 1024**3))
        assert "3.0 GiB are free" in self.refusal()

    def test_too_little_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preflight, "_MEMORY_GIB", 1e6)
        assert "memory" in self.refusal()

    def test_no_go_is_said_before_anything_is_built(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preflight, "built", lambda _tool: False)

        def no_go() -> None:
            raise ClusterError("Go is needed.")

        monkeypatch.setattr(preflight, "check_go", no_go)
        assert self.refusal() == "Go is needed."


@pytest.mark.parametrize(
    ("system", "user", "words"), [("Darwin", 0, "needs Linux"), ("Linux", 1000, "needs root")]
)
def test_another_system_or_user_is_refused(
    system: str, user: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight.platform, "system", lambda: system)
    monkeypatch.setattr(preflight.os, "geteuid", lambda: user)
    with pytest.raises(ClusterError, match=f"{words}.*CLUSTER=current"):
        preflight.system()


def routes(*found: dict[str, Any]) -> Any:
    """A stand-in for what `ip -json` answers."""
    return lambda *_words: list(found)


@pytest.mark.parametrize(
    ("destination", "in_the_way"),
    [
        ("198.19.7.0/24", True),
        ("198.18.0.0/15", True),
        ("198.19.32.2", True),
        ("198.19.64.0/18", False),
        ("10.0.0.0/8", False),
        ("default", False),
        ("0.0.0.0/0", False),
    ],
)
def test_only_a_route_into_the_clusters_addresses_is_in_the_way(
    destination: str, in_the_way: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_ip", routes({"dst": destination, "dev": "tun0"}))
    assert (network.taken() is not None) is in_the_way


def test_addresses_are_apart() -> None:
    code = (
        "from scripts.cluster import settings as s; import ipaddress as i;"
        "print(s.NODE_ADDRESS, i.ip_network(s.POD_NETWORK).overlaps(i.ip_network(s.SERVICE_NETWORK)))"
    )
    environment = os.environ | {"AIRDOCK_NETWORK": "10.203.0.0/18"}
    shown = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=environment, text=True)
    assert shown.split() == ["10.203.32.2", "False"]


@pytest.mark.parametrize("given", ["10.203.0.1/18", "10.203.0.0/24", "fd00::/18", "mine"])
def test_a_network_that_cannot_be_is_one_sentence(given: str) -> None:
    command = [sys.executable, "-m", "scripts.cluster", "status"]
    environment = os.environ | {"AIRDOCK_NETWORK": given}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "10.203.0.0/18" in done.stderr


def record(process: int, started: str) -> None:
    """Write what `start` writes."""
    supervisor._RECORD.write_text(json.dumps({"process": process, "started": started}))


def test_a_process_that_got_the_id_of_a_dead_node_is_not_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "processes", lambda: {os.getpid()})
    record(os.getpid(), supervisor._started(os.getpid()))
    assert supervisor.running() == os.getpid()
    record(os.getpid(), "1")
    assert supervisor.running() is None
    record(2**30, "1")
    assert supervisor.running() is None
    supervisor._RECORD.write_text("{half")
    assert supervisor.running() is None


@pytest.mark.parametrize(("same_boot", "restored"), [(True, "0"), (False, "1")])
def test_forwarding_is_put_back_unless_the_host_was_rebooted(
    same_boot: bool, restored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "forwarding"
    setting.write_text("1")
    monkeypatch.setattr(network, "_forwarding", lambda _interface: setting)
    monkeypatch.setattr(network, "works", lambda _command: True)
    monkeypatch.setattr(network.nft, "root", lambda: tmp_path)
    boot = network._boot() if same_boot else "earlier"
    network._RECORD.write_text(json.dumps({"boot": boot, "forwarding": {"eth0": "0"}, "iptables": []}))
    network.detach()
    assert setting.read_text() == restored
    assert not network._RECORD.exists()


@pytest.mark.parametrize(
    ("line", "loopback"),
    [
        ("nameserver 127.0.0.53", True),
        ("nameserver ::1", True),
        ("nameserver 192.0.2.1", False),
        ("nameserver fe80::1%eth0", False),
        ("search example.org", False),
    ],
)
def test_a_resolver_on_the_hosts_loopback_is_of_no_use_to_the_node(line: str, loopback: bool) -> None:
    assert node._on_loopback(line) is loopback


def test_nothing_is_deleted_through_a_mount_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "usr" / "kept"
    kept.parent.mkdir()
    kept.write_text("the host's")
    monkeypatch.setattr(mounts, "mounts", lambda: [mounts.Mount(tmp_path / "usr", "ext4", ())])
    monkeypatch.setattr(mounts, "run", lambda _command: "")
    with pytest.raises(ClusterError, match="cannot be unmounted"):
        mounts.remove_tree(tmp_path)
    assert kept.exists()


def test_mount_points_with_spaces_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    line = r"36 35 98:0 /mnt /a\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
    monkeypatch.setattr(mounts.Path, "read_text", lambda _self: line)
    assert mounts.mounts() == [mounts.Mount(Path("/a b"), "ext3", ("rw", "errors=continue"))]


def test_the_configuration_names_no_value_that_is_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "NODE_ROOT", tmp_path)
    monkeypatch.setattr(node, "pinned", lambda name: node.CACHE / name / name)
    monkeypatch.setattr(network, "mtu", lambda: 1400)
    node._configure()
    daemon = json.loads((tmp_path / "etc/docker/daemon.json").read_text())
    assert daemon["registry-mirrors"] == [f"http://{settings.REGISTRY}"]
    assert daemon["mtu"] == 1400
