"""The cluster that `make up`, `make e2e` and `make bench` work on, and the programs that talk to it."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

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
    """Give the cluster of the current kube context, maybe the native one. No cluster is asked."""
    context, cluster = _current(*_kubeconfigs())
    if not context:
        return None
    own = _current(KUBECONFIG)[1] if os.access(KUBECONFIG, os.R_OK) else {}
    # Each cluster has its own CA, whatever a context is called.
    if own and own.get(_AUTHORITY) == cluster.get(_AUTHORITY):
        return native_cluster()
    return Target(context, None, native=False)


_AUTHORITY = "certificate-authority-data"


def _kubeconfigs() -> list[Path]:
    """Give the files that kubectl reads."""
    given = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    return [Path(each) for each in given if each] or [Path.home() / ".kube" / "config"]


def _current(*files: Path) -> tuple[str, dict[str, Any]]:
    """Give the name and the cluster of the current context; of two entries with one name the first counts.

    Not by `kubectl config view`: the kubectl of Google Cloud's SDK asks the cluster for its version first.

    Raises:
        UpError: a file is no kubeconfig.
    """
    current = ""
    found: dict[str, dict[str, Any]] = {"contexts": {}, "clusters": {}}
    for file in files:
        try:
            content = yaml.safe_load(file.read_text()) if file.is_file() else None
            for kind, entries in found.items():
                for entry in (content or {}).get(kind) or ():
                    entries.setdefault(entry["name"], entry[kind.removesuffix("s")])
            current = current or (content or {}).get("current-context") or ""
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise UpError(f"{file} is no kubeconfig: {error}") from error
    context = found["contexts"].get(current, {})
    return current, found["clusters"].get(context.get("cluster"), {})


def local(target: Target) -> bool:
    """Whether a context is of a cluster on this machine: a name of a known kind, and an address that is near.

    A name alone says nothing: anybody can call a context kind-production.
    """
    host = urlsplit(_current(*_kubeconfigs())[1].get("server", "")).hostname or ""
    try:
        near = not ipaddress.ip_address(host).is_global
    except ValueError:
        near = host == "localhost" or host.endswith(".internal")  # Docker Desktop's and k3d's.
    return near and bool(LOCAL.match(target.context))


def answers(target: Target) -> bool:
    """Whether the cluster's API server is ready."""
    try:
        target.kubectl("get", "--raw=/readyz", "--request-timeout=10s", timeout=20)
    except CommandError:
        return False
    return True


def native_cluster() -> Target:
    """Give the cluster that `scripts.cluster` starts, running or not."""
    return Target(CONTEXT, KUBECONFIG, native=True)


def choose() -> Target:
    """Give the cluster that $CLUSTER names (native or current).

    Without it: the current context's if it is a local one that answers, the native one if there is none. No
    other cluster is asked for anything.

    Raises:
        UpError: $CLUSTER is something else, or "current" and there is none; or it is not set, and the current
            context may be a cluster that others use.
    """
    wanted = os.environ.get("CLUSTER", "")
    if wanted not in ("", "native", "current"):
        raise UpError(f"CLUSTER={wanted} is not known: use CLUSTER=native, CLUSTER=current, or neither.")
    found = None if wanted == "native" else current_context()
    if found and not (wanted or found.native or local(found)):
        raise UpError(
            f"The current kube context {found.context} may be a cluster that others use: set CLUSTER=current "
            "to use it, or CLUSTER=native to start a cluster on this machine."
        )
    if found and not answers(found):
        found = None
    if found is None and wanted == "current":
        raise UpError(
            "CLUSTER=current, but the current kube context is missing or does not answer: "
            "check `kubectl get nodes`, or leave CLUSTER out to start a cluster on this machine."
        )
    return found or native_cluster()
