"""Names, addresses and paths of the native cluster; nothing else decides them."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

from scripts import tools

#: Name of the node, its state directory, interface and cgroup. The cluster's own tests set another
#: one (and AIRDOCK_NETWORK), so that they leave the user's cluster alone.
NODE = os.environ.get("AIRDOCK_INSTANCE") or "airdock"
#: Everything that the cluster leaves on the host's disk while it is up is under here.
STATE = Path("/var/lib") / NODE
#: The node's root file system.
NODE_ROOT = STATE / "node"
LOG = STATE / "log"
#: Admin kubeconfig, readable by root only.
KUBECONFIG = STATE / "kubeconfig"
#: Name of the context in it.
CONTEXT = f"{NODE}-native"
KUBERNETES_VERSION = tools.version_of("kubelet")

#: The host's end of the link to the node.
INTERFACE = f"{NODE}0"
#: The host's nftables table.
TABLE = NODE.replace("-", "_")


def _network(given: str) -> ipaddress.IPv4Network:
    """The network that the user names, or one sentence why it cannot be."""
    try:
        network = ipaddress.IPv4Network(given)
    except ValueError as error:
        sys.exit(f"cluster: AIRDOCK_NETWORK is no IPv4 network ({error}): use one such as 10.203.0.0/18.")
    if not 12 <= network.prefixlen <= 20:
        sys.exit(f"cluster: AIRDOCK_NETWORK={given} must be a /12 to a /20, such as 10.203.0.0/18.")
    return network


#: All addresses: a /18 of the range for benchmarks (RFC 2544), which hardly anybody routes.
#: A user in whose network it is taken sets AIRDOCK_NETWORK, for every command alike.
NETWORK = _network(os.environ.get("AIRDOCK_NETWORK") or "198.19.0.0/18")
_PODS, _SERVICES, _LINK, _ = NETWORK.subnets(new_prefix=NETWORK.prefixlen + 2)
POD_NETWORK = str(_PODS)
SERVICE_NETWORK = str(_SERVICES)
#: The cluster's DNS server, the tenth address as kubeadm chooses it.
DNS_ADDRESS = str(_SERVICES[10])
HOST_ADDRESS = str(_LINK[1])
NODE_ADDRESS = str(_LINK[2])
LINK_PREFIX = 30
API_SERVER = f"https://{NODE_ADDRESS}:6443"

#: Plain HTTP registry on the node: docker.io's mirror for containerd, the node's Docker and for
#: Docker daemons in pods. Reached as this from host, node and pods.
REGISTRY_PORT = 5000
REGISTRY = f"{NODE_ADDRESS}:{REGISTRY_PORT}"

#: The node's Docker daemon as the host sees it; on the node it is /var/run/docker.sock.
DOCKER_SOCKET = NODE_ROOT / "run/docker.sock"
#: Group of that socket on the node.
DOCKER_GID = 999

#: Cgroup that holds every process of the node, in each hierarchy of the host.
CGROUP = NODE
#: What the node has of its own, as options of unshare and nsenter.
NAMESPACE_OPTIONS = ("--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup")
