"""What a DAG author may ask of the Kubernetes operators, behind the fence: dags/task_namespace.py, run once.

All tasks start together; meanwhile one is killed, and the worker of another dies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import kubernetes
import pytest

from scripts.live import FINISHED, TASKS, Target, TaskInstance
from tests.e2e.conftest import Release, wait_until
from tests.e2e.task_namespaces.support import DAG, REATTACH

pytestmark = pytest.mark.touches("release")

SECONDS = 400
FAILING = {"refused", "private_without_secret", "nowhere", "timeout", "killed", "fails", "fails_and_stays"}
SELECTOR = f"dag_id in ({DAG},{REATTACH})"
NEEDS_REGISTRY = {"private", "private_without_secret"}
#: The main process of a container, whatever its name: the only child of its init.
KILL_MAIN = """
import os, signal
for process in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{process}/stat") as stat:
        if stat.read().rpartition(")")[2].split()[1] == "1":
            os.kill(int(process), signal.SIGKILL)
"""


@dataclass
class Pods:
    """Every pod of the two DAGs, as it is watched: task -> uid -> its last state; and which are gone."""

    target: Target
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    stop: Event = field(default_factory=Event)

    def watch(self) -> None:
        """Watch until `stop`."""
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(
            str(self.target.kubeconfig) if self.target.kubeconfig else None,
            context=self.target.context,
            client_configuration=configuration,
        )
        with kubernetes.client.ApiClient(configuration) as client:
            core = kubernetes.client.CoreV1Api(client)
            version = ""
            while not self.stop.is_set():
                try:
                    version = self._follow(core, version or self._listed(core))
                except kubernetes.client.ApiException:  # the version has expired
                    version = ""

    def _listed(self, core: Any) -> str:
        """Take the pods as they are; give the version to watch from."""
        listed = core.list_namespaced_pod(TASKS, label_selector=SELECTOR)
        for pod in listed.items:
            self._see(pod)
        known = {uid for pods in self.seen.values() for uid in pods}
        self.gone |= known - {pod.metadata.uid for pod in listed.items}
        return str(listed.metadata.resource_version)

    def _follow(self, core: Any, version: str) -> str:
        """Take what happens in some seconds; give the version from which nothing is missed."""
        for event in kubernetes.watch.Watch().stream(
            core.list_namespaced_pod,
            TASKS,
            label_selector=SELECTOR,
            resource_version=version,
            timeout_seconds=5,
        ):
            pod = event["object"]
            version = pod.metadata.resource_version
            self._see(pod)
            if event["type"] == "DELETED":
                self.gone.add(pod.metadata.uid)
        return version

    def _see(self, pod: Any) -> None:
        self.seen.setdefault(pod.metadata.labels["task_id"], {})[pod.metadata.uid] = pod

    def running(self, task: str) -> bool:
        return any(
            pod.status.phase == "Running" and uid not in self.gone
            for uid, pod in dict(self.seen.get(task, {})).items()
        )

    def left(self, task: str) -> list[str]:
        """Give the uids of a task's pods that are still there; fail if it never had one."""
        assert self.seen.get(task), f"no pod of {task} was seen"
        return [uid for uid in self.seen[task] if uid not in self.gone]


@dataclass
class Outcome:
    """How it all ended."""

    release: Release
    pods: Pods
    tasks: dict[str, list[TaskInstance]]
    states: dict[str, set[str | None]]

    def one(self, name: str) -> TaskInstance:
        (task,) = self.tasks[name]
        return task

    def log(self, name: str) -> str:
        return "\n".join(self.release.airflow.log(task) for task in self.tasks[name])


@pytest.fixture(scope="module")
def outcome(opened: Release) -> Iterator[Outcome]:
    airflow = opened.airflow
    pods = Pods(opened.target)
    watching = Thread(target=pods.watch, daemon=True)
    watching.start()
    runs = {}
    for dag_id in (REATTACH, DAG):
        airflow.unpause(dag_id)
        runs[dag_id] = airflow.trigger(dag_id)
    to_do = {"killed": lambda: kill_task(opened, runs[DAG]), "reattach": lambda: kill_worker(opened)}
    states: dict[str, set[str | None]] = {}
    deadline = time.monotonic() + SECONDS
    while True:
        tasks = [task for dag_id, run_id in runs.items() for task in airflow.tasks(dag_id, run_id)]
        for task in tasks:
            states.setdefault(task.task_id, set()).add(task.state)
        for name in [name for name in to_do if pods.running(name)]:
            to_do.pop(name)()
        if all(task.state in FINISHED for task in tasks):
            break
        unfinished = [f"{task.name} {task.state}" for task in tasks if task.state not in FINISHED]
        assert time.monotonic() < deadline, f"after {SECONDS} s: {', '.join(unfinished)}"
        time.sleep(1)
    assert not to_do, f"never ran: {sorted(to_do)}"
    found: dict[str, list[TaskInstance]] = {}
    for task in tasks:
        found.setdefault(task.task_id, []).append(task)
    try:
        yield Outcome(opened, pods, found, states)
    finally:
        pods.stop.set()
        watching.join()
        opened.target.kubectl("delete", "pods", "-n", TASKS, "-l", SELECTOR, "--wait=false")


def kill_task(release: Release, run_id: str) -> None:
    """As the button "mark as failed" does it."""
    path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/killed"
    release.airflow.call("PATCH", path, json={"new_state": "failed"})


def kill_worker(release: Release) -> None:
    """SIGKILL: neither the worker nor the task's process can say anything."""
    (worker,) = (
        pod["metadata"]["name"]
        for pod in release.staying("worker")
        if pod["metadata"]["labels"]["airdock.dev/worker-group"] == "fragile"
    )
    release.inside(worker, "worker", "python", "-c", KILL_MAIN)


def of_this_cluster(outcome: Outcome, name: str) -> None:
    if name in NEEDS_REGISTRY and not outcome.release.target.native:
        pytest.skip("the registry with a password runs on the native cluster alone")


def test_every_task_ends_as_it_should(outcome: Outcome) -> None:
    wrong = {
        task.name: task.state
        for tasks in outcome.tasks.values()
        for task in tasks
        if task.state != ("failed" if task.task_id in FAILING else "success")
        and (outcome.release.target.native or task.task_id not in NEEDS_REGISTRY)
    }
    assert not wrong
    assert set(outcome.tasks) > FAILING


@pytest.mark.parametrize(
    ("task", "lines"),
    [
        ("logs", ["to stdout", "to stderr"]),
        ("xcom_in", ["N is 6"]),
        ("deferred", ["said while deferred"]),
        ("job", ["said by the job"]),
        ("decorated", ["n is 6"]),
        ("mapped", ["one", "two"]),
        ("allowed", ["blue hush hush"]),
        ("private", ["pulled"]),
        ("template_file", ["said by a template"]),
        ("full_pod_spec", ["said by a full pod spec"]),
        ("init_and_sidecar", ["said by the init container", "said by the sidecar", "at the end"]),
        ("resources", [str(77 * 1024 * 1024)]),
        ("placed", ["here"]),
        ("fails", ["so long"]),
        ("nowhere", ["Pod took too long to be scheduled"]),
        ("private_without_secret", ["Image cannot be pulled"]),
    ],
)
def test_logs(outcome: Outcome, task: str, lines: list[str]) -> None:
    of_this_cluster(outcome, task)
    log = outcome.log(task)
    for line in lines:
        assert line in log, log


@pytest.mark.parametrize(
    ("task", "value"),
    [("xcom_out", {"n": 6}), ("deferred", [7]), ("job", "done"), ("decorated", 42), ("reattach", 70)],
)
def test_values_come_back(outcome: Outcome, task: str, value: object) -> None:
    assert outcome.release.airflow.xcom(outcome.one(task)) == value


def test_deferred_means_deferred(outcome: Outcome) -> None:
    assert "deferred" in outcome.states["deferred"]


def test_a_refusal_tells_the_author_what_to_change(outcome: Outcome) -> None:
    log = outcome.log("refused")
    assert "Secret not-on-the-list (tasks.admission.secrets)" in log
    assert "priority class system-cluster-critical (tasks.admission.priorityClasses)" in log
    assert "refused" not in outcome.pods.seen


@pytest.mark.parametrize("task", ["logs", "timeout", "killed", "fails", "nowhere", "deferred", "reattach"])
def test_pods_are_gone(outcome: Outcome, task: str) -> None:
    wait_until(lambda: not outcome.pods.left(task), 60, f"the pod of {task} deleted")


def test_a_timeout_is_one(outcome: Outcome) -> None:
    assert "Timeout" in outcome.log("timeout")
    task = outcome.one("timeout")
    assert task.started
    assert task.ended
    # Its container would have taken 300.
    assert (task.ended - task.started).total_seconds() < 120


@pytest.mark.parametrize("task", ["fails_and_stays", "stays"])
def test_pods_stay_where_the_author_wants_them(outcome: Outcome, task: str) -> None:
    assert len(outcome.pods.left(task)) == 1


def test_a_restarted_worker_finds_its_pod_again(outcome: Outcome) -> None:
    """One pod through both tries: nothing ran twice."""
    task = outcome.one("reattach")
    assert task.try_number == 2
    assert len(outcome.pods.seen["reattach"]) == 1
    assert "Reusing existing pod" in outcome.log("reattach")
