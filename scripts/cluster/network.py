"""The link between host and node, and the host's part of the way to the outside.

The host gets one interface, two routes, an nftables table and, where it does not forward yet,
forwarding on that interface and on the uplink alone (the global ip_forward would reset other
settings). The first two go with the node's network namespace; the rest is written down in
``network.json`` before it is changed, and undone by ``detach``.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import time
from pathlib import Path
from typing import Any

from scripts.cluster import nft
from scripts.cluster.errors import ClusterError
from scripts.cluster.run import run, works
from scripts.cluster.settings import (
    HOST_ADDRESS,
    INTERFACE,
    LINK_PREFIX,
    NETWORK,
    NODE_ADDRESS,
    POD_NETWORK,
    SERVICE_NETWORK,
    STATE,
    TABLE,
)

_RECORD = STATE / "network.json"
_TABLE = f"""
table ip {TABLE} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {NETWORK} ip daddr != {NETWORK} oifname != "{INTERFACE}" masquerade
  }}
}}
"""
_DEFAULT_MTU = 1500


def _ip(*words: str) -> Any:
    """What ``ip -json`` says."""
    return json.loads(run(["ip", "-json", *words]) or "[]")


def taken() -> str | None:
    """What on the host overlaps the cluster's addresses or interface, or None."""
    if Path(f"/sys/class/net/{INTERFACE}").exists():
        return f"the interface {INTERFACE}"
    for route in _ip("-4", "route", "show", "table", "all"):
        destination = route["dst"]
        if destination == "default" or "dev" not in route:
            continue
        network = ipaddress.IPv4Network(destination)
        if network.prefixlen and network.overlaps(NETWORK):
            return f"the route {destination} on {route['dev']}"
    return None


def _uplink() -> str | None:
    """The interface of the default route, if there is one."""
    routes = _ip("-4", "route", "show", "default")
    return str(routes[0]["dev"]) if routes else None


def mtu() -> int:
    """What fits through the uplink: link and pods get the same, so that nothing must be split."""
    uplink = _uplink()
    return int(Path(f"/sys/class/net/{uplink}/mtu").read_text()) if uplink else _DEFAULT_MTU


def attach(process: int) -> None:
    """Link the network namespace of ``process`` (the node's PID 1) to the host, as its ``eth0``."""
    size = str(mtu())
    peer = ["peer", "name", "eth0", "mtu", size, "netns", str(process)]
    run(["ip", "link", "add", INTERFACE, "mtu", size, "type", "veth", *peer])
    run(["ip", "address", "add", f"{HOST_ADDRESS}/{LINK_PREFIX}", "dev", INTERFACE])
    run(["ip", "link", "set", INTERFACE, "up"])
    for network in (POD_NETWORK, SERVICE_NETWORK):
        run(["ip", "route", "add", network, "via", NODE_ADDRESS, "dev", INTERFACE])


def _forwarding(interface: str) -> Path:
    return Path(f"/proc/sys/net/ipv4/conf/{interface}/forwarding")


def open_outside() -> str | None:
    """Let the node and its pods reach what the host reaches.

    Returns None, or one sentence why they cannot: the cluster itself does without.
    """
    uplink = _uplink()
    if uplink is None:
        return "The host has no default route, so pods reach nothing outside it."
    record: dict[str, Any] = {"boot": _boot(), "forwarding": {}, "iptables": []}
    if _forwarding(uplink).read_text().strip() == "0":
        record["forwarding"][uplink] = "0"
    rules = []
    if _iptables_drops():
        rules = [["-i", INTERFACE, "-j", "ACCEPT"], ["-o", INTERFACE, "-j", "ACCEPT"]]
        record["iptables"] = rules
    _RECORD.write_text(json.dumps(record))
    for interface in (INTERFACE, *record["forwarding"]):
        _forwarding(interface).write_text("1")
    for rule in rules:
        run(["iptables", "-w", "-I", "FORWARD", *rule])
    try:
        run(["chroot", nft.root(), "/usr/sbin/nft", "-f", "-"], stdin=_TABLE)
    except ClusterError as error:
        return f"Pods reach nothing outside this host: {error}"
    return None


def _iptables_drops() -> bool:
    """Whether a firewall (Docker's, ufw's) drops what is forwarded without a rule that allows it."""
    return shutil.which("iptables") is not None and "-P FORWARD DROP" in run(
        ["iptables", "-w", "-S", "FORWARD"]
    )


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def detach() -> None:
    """Undo ``attach`` and ``open_outside``, in full or what is left of them."""
    if Path(f"/sys/class/net/{INTERFACE}").exists():
        works(["ip", "link", "delete", INTERFACE])  # It may be going with its namespace meanwhile.
        end = time.monotonic() + 20
        while Path(f"/sys/class/net/{INTERFACE}").exists():
            if time.monotonic() > end:
                raise ClusterError(f"The interface {INTERFACE} does not go away.")
            time.sleep(0.05)
    if not _RECORD.exists():
        return
    record = json.loads(_RECORD.read_text())
    if record["boot"] == _boot():  # After a reboot nothing of it is left, and 0 may no longer be right.
        works(["chroot", nft.root(), "/usr/sbin/nft", "delete", "table", "ip", TABLE])
        for rule in record["iptables"]:
            works(["iptables", "-w", "-D", "FORWARD", *rule])
        for interface, value in record["forwarding"].items():
            if _forwarding(interface).exists():
                _forwarding(interface).write_text(value)
    _RECORD.unlink()
