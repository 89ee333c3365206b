"""A single Kubernetes node on this Linux host, in namespaces of its own.

python -m scripts.cluster up | down | status

"""

from scripts.cluster.settings import CONTEXT, DOCKER_SOCKET, KUBECONFIG, NODE, REGISTRY

__all__ = ["CONTEXT", "DOCKER_SOCKET", "KUBECONFIG", "NODE", "REGISTRY"]
