"""A release in a namespace of its own, for a test that changes or breaks all of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scripts import tools
from scripts.chart.helm import CHART, ROOT
from scripts.live import RELEASE, Airflow, CommandError, PortForward, Target
from scripts.overlays.definitions import merged
from tests.e2e.conftest import QUICK, remove, starting

TIMEOUT = 600


@dataclass
class OwnRelease:
    """The release, and what it was installed with."""

    target: Target
    namespace: str
    values: dict[str, Any]
    forward: PortForward
    airflow: Airflow = field(init=False)

    def signed_on(self) -> Airflow:
        """Give the API as the administrator whose password the release's Secret has now."""
        admin = self.target.secret(f"{RELEASE}-admin", self.namespace)
        return Airflow(self.forward.url, admin["username"], admin["password"], patience=180)

    def upgrade(self, *values: Mapping[str, Any], wait: bool = True) -> None:
        """Install or upgrade it, with further values."""
        self.values = merged(self.values, *values)
        # Of what kubectl has scaled, Helm does not take the field back by itself.
        options = ["--force-conflicts"]
        options += ["--wait", f"--timeout={TIMEOUT}s"] if wait else []
        with starting():
            self.target.helm(
                "upgrade", "--install", RELEASE, str(CHART), f"--namespace={self.namespace}", "--values=-",
                *options, stdin=json.dumps(self.values),
            )  # fmt: skip

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = TIMEOUT) -> str:
        """Run kubectl in the namespace."""
        return self.target.kubectl("-n", self.namespace, *arguments, stdin=stdin, timeout=timeout)

    def pods(self, component: str = "", namespace: str = "") -> list[dict[str, Any]]:
        """Give the pods of a component, or of the release, that nobody has told to go."""
        selector = f"app.kubernetes.io/instance={RELEASE}"
        selector += f",app.kubernetes.io/component={component}" if component else ""
        found = self.target.items("pods", "-n", namespace or self.namespace, "-l", selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def rolled(self) -> None:
        """Wait until no pod of an earlier version is left, and all are ready."""
        for name in self.kubectl("get", "deployments,statefulsets", "-o", "name").split():
            self.kubectl("rollout", "status", name, f"--timeout={TIMEOUT}s")

    def shell(self, script: str) -> str:
        """Run commands of a page as a user would, in this release's namespace instead of `airdock`.

        Raises:
            CommandError: one of them ended with an error.
        """
        directories = {str(tools.path(name).parent) for name in ("kubectl", "helm")}
        environment = {**os.environ, "PATH": os.pathsep.join((*directories, os.environ["PATH"]))}
        if self.target.kubeconfig:
            environment["KUBECONFIG"] = str(self.target.kubeconfig)
        script = script.replace("--namespace airdock", f"--namespace {self.namespace}")
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
        if done.returncode:
            raise CommandError(["bash", script], done.stderr, done.stdout)
        return done.stdout

    def runs(self, dag_id: str) -> dict[str, str]:
        """Give the state of each run of a DAG."""
        found = self.airflow.all(f"/dags/{dag_id}/dagRuns", "dag_runs")
        return {run["dag_run_id"]: run["state"] for run in found}


def commands(page: str, heading: str) -> list[str]:
    """Give the blocks of shell commands below a heading of a page in docs/."""
    text = (ROOT / "docs" / page).read_text()
    (_, found) = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)
    section = re.split(r"^#+ ", found, maxsplit=1, flags=re.MULTILINE)[0]
    return [
        textwrap.dedent(block)
        for block in re.findall(r"^ *```(?:bash|console)\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    ]


@contextmanager
def own_release(
    target: Target, namespace: str, values: Mapping[str, Any], dags: Mapping[str, str], *objects: Any
) -> Iterator[OwnRelease]:
    """Install a release with these DAG files, and remove it at the end.

    Args:
        target: the cluster.
        namespace: is created, and deleted at the end.
        values: beyond QUICK.
        dags: text of each DAG file, by its name.
        objects: what is to be there before the release.
    """
    remove(target, namespace, wait=True)
    target.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "dags", "namespace": namespace},
            "data": dict(dags),
        },
        *objects,
    )
    forward = PortForward(target.kubectl_command, namespace, f"svc/{RELEASE}-api-server", 8080)
    try:
        with forward:
            volume = {"dags": {"volume": {"configMap": {"name": "dags"}}}}
            release = OwnRelease(target, namespace, merged(QUICK, volume, values), forward)
            release.upgrade()
            release.airflow = release.signed_on()
            yield release
    finally:
        remove(target, namespace)
