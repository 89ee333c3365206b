"""Worker groups that KEDA scales, from zero and back: no task is lost, and only idle workers are removed.

KEDA is its release's own manifests, with its three programs from their Go module.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import tools
from scripts.cluster import REGISTRY
from scripts.live import FINISHED, NATIVE_DIND, RELEASE, CommandError, Target, TaskInstance, registry_image
from scripts.tools.build import built, lookup
from tests.e2e.conftest import wait_until
from tests.e2e.own_release import OwnRelease, own_release
from tests.support.go_modules import module_directory

#: KEDA's kinds are the cluster's, and its programs take minutes to build.
pytestmark = [
    pytest.mark.touches("release"),
    pytest.mark.xdist_group("keda"),
    pytest.mark.timeout(3600),
]

NAMESPACE = "airdock-e2e-keda"
KEDA = "keda"
OPERATOR = "keda-operator"
#: In place of the right to read everything: as with these values of KEDA's own chart in docs/autoscaling.md.
SCALING: list[dict[str, Any]] = [
    {"apiGroups": ["apps"], "resources": resources, "verbs": verbs}
    for resources, verbs in (
        (["deployments", "statefulsets"], ["get"]),
        (["deployments/scale", "statefulsets/scale"], ["get", "list", "patch", "update", "watch"]),
    )
]
IMAGE = f"{REGISTRY}/e2e/keda:{tools.version_of('keda')}"
BUSYBOX = "busybox:1.37"
CONCURRENCY, MOST, COOLDOWN = 2, 3, 30
#: DAG -> what its tasks take. The last one is queued last, and not for the first worker.
DAGS = {"short": [60] * 6, "long": [60] * 5 + [240], "one": [1]}
#: Seconds after which the first task runs, and by which the cooldown may be exceeded.
FIRST = SLACK = 60
GROUPS = ("default", "dind")
GROUP = "airdock.dev/worker-group"
METRICS = "v1beta1.external.metrics.k8s.io"
LITTLE = {"resources": {"requests": {"cpu": "10m"}}}
SCALED: dict[str, Any] = {
    "concurrency": CONCURRENCY,
    "autoscaling": {"enabled": True, "min": 0, "max": MOST, "cooldownSeconds": COOLDOWN},
}
VALUES: dict[str, Any] = {
    "dags": {"examples": False},
    "controlPlane": {"autoscaler": LITTLE},
    "workers": {
        "default": {**SCALED, "kubernetesOperators": False, "dockerGateway": {"enabled": False}},
        "dind": {
            **SCALED,
            "mode": "dind",
            "queues": ["dind"],
            "dind": {**NATIVE_DIND, "claim": {"size": "1Gi"}},
        },
    },
}
FILE = f"""
import time
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG, task

def sleep(seconds):
    time.sleep(seconds)

def work(queue, seconds):
    if queue == "dind":
        commands = [f"sleep {{each}}" for each in seconds]
        docker = DockerOperator.partial(task_id="work", queue=queue, image="{BUSYBOX}", auto_remove="force")
        docker.expand(command=commands)
    else:
        task(sleep, task_id="work", queue=queue).expand(seconds=seconds)

for name, seconds in {DAGS}.items():
    for queue in {GROUPS}:
        with DAG(f"{{name}}_{{queue}}", schedule=None):
            work(queue, seconds)
"""
Record = Callable[[str, object], None]


def manifests() -> list[dict[str, Any]]:
    """What KEDA's `kustomize build config/default` gives, with the programs of the pinned module."""
    module = module_directory("github.com/kedacore/keda/v2", lookup("keda").directory)
    command = [str(tools.path("kubectl")), "kustomize", str(module / "config" / "default")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: list[dict[str, Any]] = list(yaml.load_all(text, yaml.CSafeLoader))
    for each in found:
        if each["kind"] == "Deployment":
            pod = each["spec"]["template"]["spec"]
            pod["securityContext"]["runAsUser"] = 65532  # of the official image
            (container,) = pod["containers"]
            container |= {"image": IMAGE, **LITTLE}
            container["env"].append({"name": "KEDA_RESTRICT_SECRET_ACCESS", "value": "true"})
        if each["kind"] == "ClusterRole" and each["metadata"]["name"] == OPERATOR:
            each["rules"] = [rule for rule in each["rules"] if rule["apiGroups"] != ["*"]] + SCALING
            for rule in each["rules"]:
                rule["resources"] = [name for name in rule["resources"] if name != "secrets"]
    return found


@pytest.fixture(scope="module")
def keda(target: Target, request: pytest.FixtureRequest) -> Iterator[Target]:
    """KEDA, with its webhooks and the metrics API, in its usual namespace."""
    if not target.native:
        pytest.skip("the image of KEDA is made in the native cluster's registry")
    named = any(Path(__file__).name in argument for argument in request.config.args)
    if not (named or built(lookup("keda"))):
        pytest.skip("KEDA takes longer to build than all other tools: TESTS=tests/e2e/test_keda.py builds it")
    programs = {name: tools.pinned(name) for name in lookup("keda").binaries}
    registry_image.push(IMAGE, programs, base=registry_image.BUSYBOX)
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests()})
    try:
        # A kind of KEDA's is too large for the annotation of a client-side apply.
        target.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=objects)
        available = ("--for=condition=Available", "--timeout=240s")
        target.kubectl("wait", "deployments", "--all", "-n", KEDA, *available, timeout=250)
        target.kubectl("wait", "apiservice", METRICS, *available, timeout=250)
        yield target
    finally:
        # Its kinds have finalizers that only a running KEDA removes.
        wait_until(lambda: not target.items("scaledobjects", "--all-namespaces"), 120, "no ScaledObject")
        target.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=objects, timeout=300)


@pytest.fixture(scope="module")
def release(keda: Target) -> Iterator[OwnRelease]:
    """A release whose groups have no worker: KEDA removes the first one at once."""
    with own_release(keda, NAMESPACE, VALUES, {"dags.py": FILE}) as release:
        dags = [f"{name}_{group}" for name in DAGS for group in GROUPS]
        release.airflow.wait_for_dags(dags, 240)
        for dag_id in dags:
            release.airflow.unpause(dag_id)
        for group in GROUPS:
            wait_until(lambda group=group: not workers(release, group), 120, f"no worker of {group}")
        yield release


def workers(release: OwnRelease, group: str) -> dict[str, dict[str, Any]]:
    """The workers of a group that stay, by name."""
    pods = {pod["metadata"]["name"]: pod for pod in release.pods("worker")}
    return {name: pod for name, pod in pods.items() if pod["metadata"]["labels"][GROUP] == group}


def left(release: OwnRelease, group: str) -> list[dict[str, Any]]:
    """All workers of a group, with those that end."""
    return release.target.items("pods", "-n", NAMESPACE, "-l", f"{GROUP}={group}")


class Run:
    """A run of a DAG, and what the workers of its group were like since."""

    def __init__(self, release: OwnRelease, dag: str, group: str) -> None:
        self.release, self.group, self.dag_id = release, group, f"{dag}_{group}"
        self.begun = time.time()
        self.run_id = release.airflow.trigger(self.dag_id)
        self.names: dict[str, str] = {}
        self.most = 0

    def look(self) -> list[TaskInstance]:
        """Note how many workers there are, and whose address is whose; give the tasks that have not ended."""
        found = workers(self.release, self.group)
        self.most = max(self.most, len(found))
        for name, pod in found.items():
            self.names |= {each["ip"]: name for each in pod["status"].get("podIPs") or []}
        return [task for task in self.tasks() if task.state not in FINISHED]

    def tasks(self) -> list[TaskInstance]:
        return self.release.airflow.tasks(self.dag_id, self.run_id)

    def ended(self) -> list[TaskInstance]:
        """Wait for the end, and give the tasks: each has succeeded on its first try."""
        wait_until(lambda: self.look() == [], 480, f"the end of {self.dag_id}", every=1)
        tasks = self.tasks()
        assert {(task.state, task.try_number) for task in tasks} == {("success", 1)}
        return tasks

    def starts(self) -> list[float]:
        """When the tasks began to run, in seconds since the DAG was triggered."""
        return sorted(task.started.timestamp() - self.begun for task in self.tasks() if task.started)

    def on(self, tasks: list[TaskInstance]) -> set[str]:
        """The workers that ran these tasks."""
        return {self.names[str(task.hostname)] for task in tasks}

    def pulled(self, tasks: list[TaskInstance]) -> set[str]:
        """The workers that pulled an image for these tasks. A log is there as long as its worker."""
        logs = [(self.names[str(task.hostname)], self.release.airflow.log(task)) for task in tasks]
        assert all("Starting docker container" in log for _, log in logs), logs
        return {name for name, log in logs if "Pulling docker image" in log}


def zero(release: OwnRelease, group: str, tasks: list[TaskInstance]) -> float:
    """Wait until no pod of the group is left; give the seconds since the last task ended."""
    wait_until(lambda: not left(release, group), COOLDOWN + SLACK + 30, f"no worker of {group}")
    seconds = time.time() - max(task.ended for task in tasks if task.ended).timestamp()
    assert seconds < COOLDOWN + SLACK
    return seconds


def test_keda_has_no_credential(release: OwnRelease) -> None:
    """Neither the database's, nor what the workers' environment names."""
    account = f"--as=system:serviceaccount:{KEDA}:{OPERATOR}"
    with pytest.raises(CommandError) as error:
        release.kubectl("auth", "can-i", "get", "secrets", account)
    assert error.value.stdout.strip() == "no"
    release.kubectl("auth", "can-i", "get", "deployments", account)


def test_from_zero_and_back(release: OwnRelease, record_property: Record) -> None:
    """Six tasks of a minute in mode dind, and one more when no worker is left: its worker has the image."""
    run = Run(release, "short", "dind")
    tasks = run.ended()
    ran, pulled = run.on(tasks), run.pulled(tasks)
    record_property("the tasks ran after", shown(run.starts()))
    record_property("workers, at most", run.most)
    record_property("no pod was left after", shown([zero(release, "dind", tasks)]))
    assert run.starts()[0] < FIRST
    assert run.most <= MOST
    assert pulled == ran
    run = Run(release, "one", "dind")
    tasks = run.ended()
    record_property("one more task ran after", shown(run.starts()))
    assert run.on(tasks) <= ran
    assert run.pulled(tasks) == set()


@pytest.mark.parametrize("group", GROUPS)
def test_only_idle_workers_are_removed(release: OwnRelease, record_property: Record, group: str) -> None:
    """A long task among workers whose tasks have ended; and KEDA while nobody tells it numbers."""
    run = Run(release, "long", group)
    wait_until(lambda: len(run.tasks()) - len(run.look()) == len(DAGS["long"]) - 1, 360, "one task is left")
    idle, busy = run.on(run.tasks()), run.on(run.look())
    assert run.most == MOST
    kept = busy
    if group == "dind":  # A StatefulSet has its first pods.
        last = max(int(name.rpartition("-")[2]) for name in busy)
        kept = {name for name in idle if int(name.rpartition("-")[2]) <= last}
    wait_until(lambda: set(workers(release, group)) == kept, COOLDOWN + SLACK, lambda: str((kept, idle)))
    release.kubectl("scale", f"deployment/{RELEASE}-autoscaler", "--replicas=0")
    time.sleep(COOLDOWN + 15)
    assert set(workers(release, group)) == kept
    release.kubectl("scale", f"deployment/{RELEASE}-autoscaler", "--replicas=1")
    while run.look():
        assert set(workers(release, group)) == kept
        time.sleep(1)
    record_property("workers beside the busy one", len(kept - busy))
    record_property("no pod was left after", shown([zero(release, group, run.ended())]))


def shown(seconds: list[float]) -> str:
    return " ".join(f"{each:.0f}" for each in seconds) + " s"
