"""Fixtures of the end-to-end tests: the cluster and release that `make up` uses, installed if need be."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scripts import up
from scripts.live import NAMESPACE, RELEASE, TASKS, Airflow, CommandError, Group, Target, TaskInstance, choose

#: The tests' own DAG files, and what they read.
DAG_FILES = {file.name: file for file in sorted((Path(__file__).parent / "dags").iterdir()) if file.is_file()}


def wait_until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until `true()` gives something true, and give that; fail with `what` if it does not."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.5)
    return value


@dataclass(frozen=True)
class Release:
    """The installed release.

    Attributes:
        target: its cluster.
        airflow: its API.
        values: what it was installed with.
        groups: its worker groups.
    """

    target: Target
    airflow: Airflow
    values: Mapping[str, Any]
    groups: list[Group]

    def serving(self, what: str) -> list[Group]:
        """Give the worker groups that serve "docker" or "kubernetes"."""
        return [group for group in self.groups if what in group.serves]

    def pods(self, component: str = "") -> list[dict[str, Any]]:
        """Give the release's pods, of one component or of all, those on their way out included."""
        selector = f"app.kubernetes.io/instance={RELEASE}"
        if component:
            selector += f",app.kubernetes.io/component={component}"
        return self.target.items("pods", "-n", NAMESPACE, "-l", selector)

    def staying(self, component: str = "") -> list[dict[str, Any]]:
        """Give the release's pods that nobody has told to go."""
        return [pod for pod in self.pods(component) if "deletionTimestamp" not in pod["metadata"]]

    def inside(self, pod: str, container: str, *command: str, stdin: str | None = None) -> str:
        """Run a command in a container of the release and give its output."""
        options = ["-i"] if stdin is not None else []
        return self.target.kubectl(
            "exec", *options, pod, "-n", NAMESPACE, "-c", container, "--", *command, stdin=stdin, timeout=300
        )

    def restart(self, workload: str) -> None:
        """Roll a workload's pods and wait for the new ones."""
        self.target.kubectl("rollout", "restart", workload, "-n", NAMESPACE)
        self.rolled(workload)

    def rolled(self, workload: str) -> None:
        """Wait until a workload's new pods are ready."""
        self.target.kubectl("rollout", "status", workload, "-n", NAMESPACE, "--timeout=300s", timeout=310)

    def scale(self, workload: str, replicas: int) -> None:
        """Set a workload's replicas, and wait until the pods are gone or ready."""
        self.target.kubectl("scale", workload, "-n", NAMESPACE, f"--replicas={replicas}")
        self.rolled(workload)

    def poke(self) -> None:
        """Have the kubelet look at the pods' ConfigMaps: else it does so once a minute."""
        names = [pod["metadata"]["name"] for pod in self.staying()]
        # One that has ended meanwhile reads no ConfigMap.
        with contextlib.suppress(CommandError):
            self.target.kubectl(
                "annotate", "pods", *names, "-n", NAMESPACE, "--overwrite", f"airdock.dev/poked={time.time()}"
            )

    def start(self, dag_id: str, script: str) -> Run:
        """Start a DAG of dags/airdock_e2e.py whose container runs a shell script."""
        self.airflow.unpause(dag_id)
        return Run(self, dag_id, self.airflow.trigger(dag_id, {"script": script}))


@dataclass(frozen=True)
class Run:
    """One run of a DAG whose only task is `work`."""

    release: Release
    dag_id: str
    run_id: str

    @property
    def task(self) -> TaskInstance:
        """The task as it is now."""
        (task,) = self.release.airflow.tasks(self.dag_id, self.run_id)
        return task

    @property
    def log(self) -> str:
        """The log of the task's last try."""
        return self.release.airflow.log(self.task)

    def wait_for_log(self, text: str, seconds: float = 120) -> None:
        """Wait until the running task has logged a text."""
        wait_until(
            lambda: self.task.try_number and text in self.log,
            seconds,
            f"{text!r} in the log of {self.dag_id}",
        )

    def wait_for_state(self, state: str, seconds: float = 120) -> None:
        """Wait until the task is in a state."""
        wait_until(lambda: self.task.state == state, seconds, f"{self.dag_id} {state}")

    def wait(self, seconds: float = 300) -> str:
        """Wait for the end of the run and give its state."""
        return self.release.airflow.wait(self.dag_id, self.run_id, seconds)


@pytest.fixture(scope="session")
def target() -> Target:
    """The cluster that `make up` would use, started."""
    chosen = choose()
    up.start(chosen)
    return chosen


@pytest.fixture(scope="session")
def release(target: Target) -> Iterator[Release]:
    """The release that `make up` installs."""
    up.create_namespace(target)
    values, _skipped = up.values(target)
    up.install(target, values)
    with target.port_forward() as forward:
        yield Release(target, target.airflow(forward), values, target.groups())


@pytest.fixture(scope="session")
def dags(release: Release) -> Iterator[Release]:
    """The release with the tests' own DAGs beside the examples."""
    config_map = f"{RELEASE}-example-dags"

    def put(files: Mapping[str, str | None]) -> None:
        patch = json.dumps({"data": files})
        release.target.kubectl("patch", "configmap", config_map, "-n", NAMESPACE, "--type=merge", "-p", patch)
        release.poke()

    put({name: file.read_text() for name, file in DAG_FILES.items()})
    try:
        for component in ("worker", "triggerer", "dag-processor"):
            for pod in release.staying(component):
                list_files = partial(
                    release.inside, pod["metadata"]["name"], component, "ls", "/opt/airflow/dags"
                )
                wait_until(partial(_has_files, list_files), 90, f"DAG files in {pod['metadata']['name']}")
        wanted = [f"e2e_docker_{group.queue}" for group in release.serving("docker")]
        wanted += [
            f"e2e_{kind}_{group.queue}"
            for group in release.serving("kubernetes")
            for kind in ("pod", "deferred")
        ]
        release.airflow.wait_for_dags(wanted)
        yield release
    finally:
        put(dict.fromkeys(DAG_FILES))


def _has_files(list_files: Callable[[], str]) -> bool:
    return set(DAG_FILES) <= set(list_files().split())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With FAST, as `make e2e FAST=1` sets it, leave out the slow ones, and say so."""
    if os.environ.get("FAST"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: `make e2e` without FAST runs it"))


# What went wrong, beside the failed assertion.


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the cluster's state to the report of a failed test that uses it."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    chosen = getattr(item, "funcargs", {}).get("target") or _release_target(item)
    if report.failed and chosen is not None:
        report.sections.append(("cluster", dump(chosen)))


def _release_target(item: pytest.Item) -> Target | None:
    for name in ("release", "dags"):
        found = getattr(item, "funcargs", {}).get(name)
        if isinstance(found, Release):
            return found.target
    return None


def dump(target: Target) -> str:
    """Give pods, events, descriptions of what is not ready, and the last lines of every log."""
    sections = []

    def add(*command: str) -> None:
        try:
            text = target.kubectl(*command, timeout=60)
        except CommandError as error:
            text = error.stderr
        sections.append(f"$ kubectl {' '.join(command)}\n{text}")

    for namespace in (NAMESPACE, TASKS):
        add("get", "pods", "-o", "wide", "-n", namespace)
        add("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
        try:
            pods = target.items("pods", "-n", namespace)
        except CommandError:
            continue
        for pod in pods:
            name = pod["metadata"]["name"]
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
            if conditions.get("Ready") != "True":
                add("describe", "pod", name, "-n", namespace)
            add("logs", name, "-n", namespace, "--all-containers", "--prefix", "--tail=15")
    return "\n".join(sections)
