"""The cluster that `make up`, `make e2e` and `make bench` work on, and the programs that talk to it."""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts import tools
from scripts.check.cluster import Cluster, CommandError, KubeError, run
from scripts.cluster import CONTEXT, KUBECONFIG, REGISTRY
from scripts.live.airflow_api import Airflow, PortForward

RELEASE = "airdock"
NAMESPACE = os.environ.get("AIRDOCK_NAMESPACE") or RELEASE
#: The namespace of task pods, as the chart names it for this release.
TASKS = f"{RELEASE}-tasks" if NAMESPACE == RELEASE else f"{NAMESPACE}-{RELEASE}-tasks"

#: Contexts of clusters on the user's own machine: kind, k3d, minikube, Docker Desktop, Rancher Desktop.
LOCAL = re.compile(r"(kind|k3d)-|(minikube|docker-desktop|rancher-desktop)\Z")

#: Settings of a dind group whose daemons pull from the native cluster's registry in Docker Hub's place.
NATIVE_DIND = {"registryMirrors": [f"http://{REGISTRY}"], "insecureRegistries": [REGISTRY]}


class UpError(KubeError):
    """What keeps `make up` from going on; the message is for the user and names the way out."""


@dataclass(frozen=True)
class Group:
    """A worker group of the installed release.

    Attributes:
        name: its key under `workers` in the values.
        mode: kubernetes, dind or socket.
        queue: the one of its queues that the example DAGs use.
        serves: "docker" if its workers answer the Docker API, "kubernetes" if they may start pods.
    """

    name: str
    mode: str
    queue: str
    serves: frozenset[str]


@dataclass(frozen=True)
class Target(Cluster):
    """One cluster, as `make up` and the tests use it.

    Attributes:
        native: whether it is the cluster that `make up` starts by itself.
    """

    native: bool

    @cached_property
    def helm_command(self) -> list[str]:
        """`helm` with the options that choose this cluster."""
        return [str(tools.path("helm")), *self._options, f"--kube-context={self.context}"]

    @property
    def as_typed(self) -> str:
        """`kubectl` as a user would type it to reach this cluster."""
        return f"kubectl --kubeconfig {self.kubeconfig}" if self.kubeconfig else "kubectl"

    def helm(self, *arguments: str, stdin: str | None = None, timeout: float = 1200) -> str:
        """Run helm and give its output.

        Raises:
            CommandError: it ended with an error.
        """
        return run([*self.helm_command, *arguments], stdin, timeout)

    def secret(self, name: str, namespace: str = NAMESPACE) -> dict[str, str]:
        """Give a Secret's data, decoded."""
        data = self.get("secret", name, "-n", namespace)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def port_forward(self) -> PortForward:
        """Give a way to the release's API server."""
        return PortForward(self.kubectl_command, NAMESPACE, f"svc/{RELEASE}-api-server", 8080)

    def airflow(self, forward: PortForward) -> Airflow:
        """Give the release's API, as its administrator."""
        admin = self.secret(f"{RELEASE}-admin")
        return Airflow(forward.url, admin["username"], admin["password"])

    def groups(self) -> list[Group]:
        """Give the installed worker groups."""
        workers = self.items(
            "deployments,statefulsets", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=worker"
        )
        processor = self.get("deployment", f"{RELEASE}-dag-processor", "-n", NAMESPACE)
        env = processor["spec"]["template"]["spec"]["containers"][0]["env"]
        values = {entry["name"]: entry.get("value", "") for entry in env}
        found = []
        for worker in workers:
            notes = worker["metadata"]["annotations"]
            name = worker["metadata"]["labels"]["airdock.dev/worker-group"]
            suffix = name.upper().replace("-", "_")
            queues = {
                what: values[variable]
                for what in ("docker", "kubernetes")
                if (variable := f"AIRDOCK_{what.upper()}_QUEUE_{suffix}") in values
            }
            queue = next(iter(queues.values()), notes["airdock.dev/queues"].split(",")[0])
            found.append(Group(name, notes["airdock.dev/mode"], queue, frozenset(queues)))
        return found


def current_context() -> Target | None:
    """Give the cluster of the current kube context, maybe the native one, if there is one and it answers."""
    if not os.environ.get("KUBECONFIG") and not (Path.home() / ".kube" / "config").exists():
        return None
    kubectl = str(tools.path("kubectl"))
    try:
        context = run([kubectl, "config", "current-context"], timeout=20).strip()
        run([kubectl, "get", "--raw=/readyz", "--request-timeout=10s"], timeout=20)
        if os.access(KUBECONFIG, os.R_OK) and _authority() == _authority(f"--kubeconfig={KUBECONFIG}"):
            return native_cluster()
    except CommandError:
        return None
    return Target(context, None, native=False)


def _authority(*options: str) -> str:
    """Give the CA of the cluster that kubectl would reach: each has its own, whatever a context is called."""
    kubectl = str(tools.path("kubectl"))
    path = "jsonpath={.clusters[0].cluster.certificate-authority-data}"
    return run([kubectl, *options, "config", "view", "--minify", "--raw", "-o", path], timeout=20)


def native_cluster() -> Target:
    """Give the cluster that `scripts.cluster` starts, running or not."""
    return Target(CONTEXT, KUBECONFIG, native=True)


def choose() -> Target:
    """Give the cluster that $CLUSTER names (native or current).

    Without it: the current context's if its name is that of a local one, the native one if there is none that
    answers.

    Raises:
        UpError: $CLUSTER is something else, or "current" and there is none; or it is not set, and the current
            context may be a cluster that others use.
    """
    wanted = os.environ.get("CLUSTER", "")
    if wanted not in ("", "native", "current"):
        raise UpError(f"CLUSTER={wanted} is not known: use CLUSTER=native, CLUSTER=current, or neither.")
    found = None if wanted == "native" else current_context()
    if found is None and wanted == "current":
        raise UpError(
            "CLUSTER=current, but the current kube context is missing or does not answer: "
            "check `kubectl get nodes`, or leave CLUSTER out to start a cluster on this machine."
        )
    if found and not (wanted or found.native or LOCAL.match(found.context)):
        raise UpError(
            f"The current kube context {found.context} may be a cluster that others use: set CLUSTER=current "
            "to use it, or CLUSTER=native to start a cluster on this machine."
        )
    return found or native_cluster()
