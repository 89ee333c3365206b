"""Names, addresses and paths of the native cluster; nothing else decides them."""

from __future__ import annotations

from pathlib import Path

#: Everything that the cluster leaves on the host's disk is under here.
STATE = Path("/var/lib/airdock")
#: Admin kubeconfig, readable by root only.
KUBECONFIG = STATE / "kubeconfig"
#: Name of the context in it.
CONTEXT = "airdock-native"
#: Name of the one node.
NODE = "airdock"

#: Point-to-point link between host and node (a /30 in the range that RFC 6598 sets aside for such
#: inner networks, so that it does not meet a user's 10.x or 192.168.x).
HOST_ADDRESS = "100.127.250.1"
NODE_ADDRESS = "100.127.250.2"
LINK_NETWORK = "100.127.250.0/30"
POD_NETWORK = "100.127.192.0/20"
SERVICE_NETWORK = "100.127.240.0/21"
#: The cluster's DNS server, the tenth address as kubeadm chooses it.
DNS_ADDRESS = "100.127.240.10"

#: Plain HTTP registry on the node: docker.io's mirror for containerd, the node's Docker and for
#: Docker daemons in pods. Reached as this from host, node and pods.
REGISTRY_PORT = 5000
REGISTRY = f"{NODE_ADDRESS}:{REGISTRY_PORT}"

#: The node's /var/run, seen from the host.
RUN = STATE / "run"
#: The node's Docker daemon, for the host; on the node it is /var/run/docker.sock.
DOCKER_SOCKET = RUN / "docker.sock"
#: Group of that socket on the node.
DOCKER_GID = 999
