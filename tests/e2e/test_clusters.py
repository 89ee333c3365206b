"""The DAG of docs/clusters.md: pods that another account creates, by a kubeconfig, in a namespace of its own.

`gpu` is the node's own API server. The release's accounts have no rights in that namespace, so that only the
kubeconfig leads there. `second` is another API server, without a node: its pods stay Pending.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import ROOT, load_yaml
from scripts.chart.helm import CHART
from scripts.check.cluster import Cluster
from scripts.cluster.settings import HOST_ADDRESS
from scripts.live import RELEASE, Airflow, Target
from scripts.live.airflow_api import PortForward
from scripts.overlays.definitions import merged
from tests.api.control_plane import ControlPlane
from tests.e2e.conftest import QUICK, starting, wait_until
from tests.support.paths import EXAMPLES
from tests.support.recipes import follow, recipes

pytestmark = pytest.mark.touches("release")

NAMESPACE, TASKS = "airdock-e2e-clusters", "airdock-e2e-gpu"
DAG, TASK_IDS = "other_cluster", ("waiting", "deferred")
#: Nobody starts its pods, so its tasks do not wait for that for long.
SECOND = "second_cluster"
CLUSTERS = ("gpu", "second")


def values(target: Target, second: ControlPlane) -> dict[str, Any]:
    """The example's, with the addresses of the two clusters."""
    example = load_yaml((EXAMPLES / "values" / "other-clusters.yaml").read_text(), "other-clusters.yaml")[0]
    node = target.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    clusters = {}
    for name, server in zip(CLUSTERS, (node, second.server), strict=True):
        found = re.fullmatch(r"https://([\d.]+):(\d+)", server)
        assert found, server
        secret = {"kubeconfigSecret": f"{name}-kubeconfig", "namespace": TASKS}
        clusters[name] = {**secret, "apiServerCIDR": f"{found[1]}/32", "apiServerPort": int(found[2])}
    own: dict[str, Any] = {
        "tasks": {"keepNamespace": False, "clusters": clusters},
        "dags": {"volume": {"configMap": {"name": "dags"}}},
        "workers": {"default": {"dockerGateway": {"enabled": False}}},
    }
    return merged(QUICK, example, own)


def from_the_page() -> str:
    """The DAG of the docs."""
    page = (ROOT / "docs" / "clusters.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    return str(code)


def prepare(target: Target, name: str, there: Cluster, directory: Path) -> None:
    """Let both administrators follow the recipe for another cluster."""
    command = [sys.executable, "-m", "scripts.other_cluster", name, "--namespace", NAMESPACE]
    command += ["--values", str(directory / "values.json")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    there.kubectl("apply", "-f", "-", stdin=printed)
    token = ("get", "secret", "airdock-task-launcher-token", "-n", f"{TASKS}-access")
    wait_until(lambda: there.kubectl(*token, "-o", "jsonpath={.data.token}"), 30, "a token")
    theirs, own = recipes(printed)
    for recipe, cluster in ((theirs, there), (own, target)):
        assert cluster.kubeconfig, "the recipe is followed with a kubeconfig of the native cluster"
        follow(recipe, cluster.kubeconfig, directory)


@pytest.fixture(scope="module")
def second() -> Iterator[ControlPlane]:
    """An API server of another cluster, outside the node."""
    with ControlPlane.started(HOST_ADDRESS) as plane:
        yield plane


@pytest.fixture(scope="module")
def airflow(
    target: Target, second: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Airflow]:
    """The release, after all administrators have followed their recipes."""
    directory: Path = tmp_path_factory.mktemp("clusters")
    (directory / "values.json").write_text(json.dumps(values(target, second)))
    metadata = {"name": "dags", "namespace": NAMESPACE}
    moved = from_the_page().replace(f'"{DAG}"', f'"{SECOND}"').replace("kubernetes_gpu", "kubernetes_second")
    moved = moved.replace("do_xcom_push=True", "do_xcom_push=True, startup_timeout_seconds=20")
    data = {f"{DAG}.py": from_the_page(), f"{SECOND}.py": moved}
    try:
        target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        target.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        for name, there in zip(CLUSTERS, (target, Cluster("", second.kubeconfig)), strict=True):
            prepare(target, name, there, directory)
        with starting():
            target.helm(
                "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
                "--wait", "--timeout=420s", stdin=json.dumps(values(target, second)),
            )  # fmt: skip
        admin = target.secret(f"{RELEASE}-admin", NAMESPACE)
        with PortForward(target.kubectl_command, NAMESPACE, f"svc/{RELEASE}-api-server", 8080) as forward:
            found = Airflow(forward.url, admin["username"], admin["password"])
            found.wait_for_dags([DAG, SECOND], 240)
            yield found
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait")
        fence = target.items("validatingadmissionpolicies", "-l", f"app.kubernetes.io/instance={RELEASE}")
        names = [each["metadata"]["name"] for each in fence if TASKS in each["metadata"]["name"]]
        kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings"
        target.kubectl("delete", kinds, *names, "--ignore-not-found")
        spaces = (NAMESPACE, TASKS, f"{TASKS}-access", f"{NAMESPACE}-{RELEASE}-tasks")
        target.kubectl("delete", "namespace", *spaces, "--ignore-not-found", "--wait=false")


def test_the_pods_run_there(target: Target, airflow: Airflow) -> None:
    airflow.unpause(DAG)
    watch = subprocess.Popen(
        [*target.kubectl_command, "get", "pods", "-n", TASKS, "--watch", "--no-headers", "--show-labels"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        run = airflow.trigger(DAG)
        state = airflow.wait(DAG, run, 240)
        tasks = {task.task_id: task for task in airflow.tasks(DAG, run)}
        logs = {name: airflow.log(task) for name, task in tasks.items()}
        assert state == "success", {name: log[-2000:] for name, log in logs.items()}
    finally:
        watch.kill()
        seen, _ = watch.communicate()
    assert set(tasks) == set(TASK_IDS)
    for name, task in tasks.items():
        assert "hello from another cluster" in logs[name]
        assert airflow.xcom(task) == 42
        assert f"task_id={name}" in seen
    assert "airflow_kpo_in_cluster=False" in seen
    assert "airflow_kpo_in_cluster=True" not in seen


def test_the_second_cluster_has_them_alone(target: Target, second: ControlPlane, airflow: Airflow) -> None:
    def pods() -> dict[str, dict[str, Any]]:
        found = second.admin.request("GET", f"/api/v1/namespaces/{TASKS}/pods")["items"]
        return {pod["metadata"]["labels"]["task_id"]: pod for pod in found}

    airflow.unpause(SECOND)
    run = airflow.trigger(SECOND)
    there = wait_until(lambda: pods() if len(pods()) == len(TASK_IDS) else {}, 120, "the pods are there")
    assert not target.items("pods", "-n", TASKS)
    for name in TASK_IDS:
        spec = there[name]["spec"]
        assert {container["name"] for container in spec["containers"]} == {"base", "airflow-xcom-sidecar"}
        assert spec["securityContext"]["runAsNonRoot"], name
    assert airflow.wait(SECOND, run, 240) == "failed"
    tasks = {task.task_id: task for task in airflow.tasks(SECOND, run)}
    assert {task.state for task in tasks.values()} == {"failed"}
    # Of a deferred pod the provider says only that it failed.
    assert "took too long to be scheduled" in airflow.log(tasks["waiting"])
    wait_until(lambda: not pods(), 60, "the pods are deleted")


@pytest.mark.parametrize("component", ["worker-default", "triggerer"])
def test_only_the_kubeconfig_leads_there(target: Target, airflow: Airflow, component: str) -> None:
    user = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-{component}"
    allowed = target.kubectl("auth", "can-i", "--list", "-n", TASKS, "--as", user)
    assert "pods" not in allowed
