"""Fixtures of the end-to-end tests: the cluster and release that `make up` uses, installed if need be."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from testinfra import get_host
from testinfra.host import Host

from scripts import tools, up
from scripts.live import NAMESPACE, RELEASE, TASKS, Airflow, CommandError, Group, Target, TaskInstance, choose
from scripts.overlays.definitions import merged
from tests.e2e import lanes
from tests.support import waiting

#: The tests' own DAG files, and what they read.
DAG_FILES = {file.name: file for file in sorted((Path(__file__).parent / "dags").iterdir()) if file.is_file()}

_LITTLE = {"resources": {"requests": {"cpu": "10m"}}}
#: Several releases fit on a node of two CPUs if each container requests little.
SMALL: dict[str, Any] = {
    "controlPlane": dict.fromkeys(("apiServer", "scheduler", "dagProcessor", "triggerer"), _LITTLE),
    "database": {"embedded": _LITTLE},
    "broker": {"embedded": _LITTLE},
    "workerDefaults": {**_LITTLE, "dockerGateway": _LITTLE, "dind": _LITTLE},
    "tasks": _LITTLE,
}
#: Airflow's default intervals are for large installations, and tests would wait for each of them. A file that
#: has not changed is parsed every five minutes only: parsing takes much of a small node's CPU.
QUICK: dict[str, Any] = {
    **SMALL,
    "airflow": {
        "config": {
            "scheduler": {"scheduler_idle_sleep_time": 0.3},
            "dag_processor": {
                "refresh_interval": 2,
                "bundle_refresh_check_interval": 1,
                "min_file_process_interval": 300,
            },
        }
    },
}


#: Most conditions start a `kubectl`: not ten times a second.
wait_until = partial(waiting.wait_until, every=0.5)


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
        """Give the release's pods that run, which an evicted one does not, and that nobody has told to go."""
        ended = ("Failed", "Succeeded")
        pods = [pod for pod in self.pods(component) if pod["status"].get("phase") not in ended]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def inside(self, pod: str, container: str, *command: str, stdin: str | None = None) -> str:
        """Run a command in a container of the release and give its output."""
        options = ["-i"] if stdin is not None else []
        return self.target.kubectl(
            "exec", *options, pod, "-n", NAMESPACE, "-c", container, "--", *command, stdin=stdin, timeout=300
        )

    def host(self, pod: str, container: str, namespace: str = NAMESPACE) -> Host:
        """Give testinfra's view of a container: its files, users, mounts, processes and sockets."""
        return host(self.target, pod, container, namespace)

    def worker(self, group: str) -> str:
        """Give the name of a worker group's only pod."""
        (name,) = (
            pod["metadata"]["name"]
            for pod in self.staying("worker")
            if pod["metadata"]["labels"]["airdock.dev/worker-group"] == group
        )
        return str(name)

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

    def start(self, dag_id: str, script: str, **conf: str) -> Run:
        """Start a DAG of dags/airdock_e2e.py whose container runs a shell script. `conf`: image."""
        self.airflow.unpause(dag_id)
        return Run(self, dag_id, self.airflow.trigger(dag_id, {"script": script, **conf}))


def host(target: Target, pod: str, container: str, namespace: str) -> Host:
    """Give testinfra's view of a container."""
    # testinfra runs `kubectl` by name.
    directory = str(tools.path("kubectl").parent)
    if directory not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = f"{directory}{os.pathsep}{os.environ['PATH']}"
    config = str(target.kubeconfig) if target.kubeconfig else None
    return get_host(
        f"kubectl://{pod}",
        container=container,
        namespace=namespace,
        context=target.context,
        kubeconfig=config,
    )


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

    def wait_for_log(self, text: str, seconds: float = 240) -> None:
        """Wait until the running task has logged a text."""
        wait_until(
            lambda: self.task.try_number and text in self.log,
            seconds,
            f"{text!r} in the log of {self.dag_id}",
        )

    def wait_for_state(self, state: str, seconds: float = 240) -> None:
        """Wait until the task is in a state."""
        wait_until(lambda: self.task.state == state, seconds, f"{self.dag_id} {state}")

    def wait(self, seconds: float = 300) -> str:
        """Wait for the end of the run and give its state."""
        return self.release.airflow.wait(self.dag_id, self.run_id, seconds)


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Let one release start at a time.

    Ten Airflow processes that start take both cores for a minute; those of four releases would be killed by
    their startup probes before they are ready.
    """
    with Path(tempfile.gettempdir(), "airdock-e2e-starting.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(target: Target, values: Mapping[str, Any]) -> None:
    """Install or upgrade the release when no other one starts."""
    with starting():
        up.install(target, dict(values))


Once = Callable[[str, Callable[[], Any]], Any]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """`once(name, make)`: what `make` gives; of all workers of xdist the first one calls it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def made(name: str, make: Callable[[], Any]) -> Any:
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = root / f"{name}.json"
            if not file.exists():
                file.write_text(json.dumps(make()))
            return json.loads(file.read_text())

    return made


@pytest.fixture(scope="session")
def target(once: Once) -> Target:
    """The cluster that `make up` would use, started."""
    chosen = choose()
    once("cluster", lambda: up.start(chosen))
    return chosen


@pytest.fixture(scope="session")
def release(target: Target, once: Once) -> Iterator[Release]:
    """The release that `make up` installs, with shorter intervals."""

    def made() -> Mapping[str, Any]:
        up.create_namespace(target)
        values, _skipped = up.values(target)
        values = merged(values, QUICK)
        install(target, values)
        if target.native:
            up.create_pull_secret(target)
        return values

    values = once(f"release-{NAMESPACE}", made)
    with target.port_forward() as forward:
        yield Release(target, target.airflow(forward), values, target.groups())


@pytest.fixture(scope="session")
def asleep(target: Target) -> Iterator[None]:
    """The shared release without a pod, until the end."""
    found = target.items("deployments,statefulsets", "-n", NAMESPACE)
    replicas = {f"{it['kind']}/{it['metadata']['name']}": it["spec"]["replicas"] for it in found}
    if replicas:
        target.kubectl("scale", *replicas, "-n", NAMESPACE, "--replicas=0")
    yield
    for workload, number in replicas.items():
        target.kubectl("scale", workload, "-n", NAMESPACE, f"--replicas={number}")


@pytest.fixture(scope="module", autouse=True)
def _alone(request: pytest.FixtureRequest) -> None:
    """Have the tests that install a release of their own run without the shared one beside it."""
    here = [item for item in request.session.items if item.path == request.path]
    if request.config.getoption("lane", None) == "release" and not lanes.uses_shared_release(here):
        request.getfixturevalue("asleep")


def remove(target: Target, namespace: str, wait: bool = False) -> None:
    """Remove a test's own release with its namespaces, ended or not."""
    # Without a broker, workers would wait for the end of their grace period.
    target.kubectl("delete", "deployments,replicasets", "--all", "-n", namespace, "--cascade=orphan")
    target.kubectl("delete", "pods", "--all", "-n", namespace, "--grace-period=1", "--wait=false")
    target.helm("uninstall", RELEASE, f"--namespace={namespace}", "--ignore-not-found")
    namespaces = (namespace, *(f"{namespace}-{RELEASE}-{suffix}" for suffix in ("tasks", "executor")))
    target.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", f"--wait={wait}", timeout=300)


@pytest.fixture(scope="session")
def dags(release: Release, once: Once) -> Release:
    """The release with the tests' own DAGs beside the examples; other workers of xdist use them too."""
    once(f"dags-{NAMESPACE}", lambda: put_dags(release))
    return release


def put_dags(release: Release) -> None:
    """Add the tests' own DAG files to the release, and wait until they are parsed."""
    config_map = f"{RELEASE}-example-dags"
    patch = json.dumps({"data": {name: file.read_text() for name, file in DAG_FILES.items()}})
    release.target.kubectl("patch", "configmap", config_map, "-n", NAMESPACE, "--type=merge", "-p", patch)
    release.poke()
    for component in ("worker", "triggerer", "dag-processor"):
        for pod in release.staying(component):
            name = pod["metadata"]["name"]
            directory = release.host(name, component).file("/opt/airflow/dags")
            wait_until(partial(_has_files, directory), 90, f"DAG files in {name}")
    wanted = [f"e2e_docker_{group.queue}" for group in release.serving("docker")]
    wanted += [
        f"e2e_{kind}_{group.queue}" for group in release.serving("kubernetes") for kind in ("pod", "deferred")
    ]
    release.airflow.wait_for_dags(wanted, 240)


def _has_files(directory: Any) -> bool:
    return set(DAG_FILES) <= set(directory.listdir())


# Lanes.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--lane`."""
    lanes.add_option(parser)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the tests of a lane, and those that one worker of xdist runs one after the other."""
    lanes.arrange(config, items)


# What went wrong, beside the failed assertion.


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the cluster's state to the report of a failed test that uses it."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    chosen = getattr(item, "funcargs", {}).get("target") or _release_target(item)
    if report.failed and chosen is not None:
        own = getattr(item.module, "NAMESPACE", NAMESPACE)  # type: ignore[attr-defined]
        report.sections.append(("cluster", dump(chosen, dict.fromkeys((own, NAMESPACE, TASKS)))))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests have measured: their properties."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in getattr(report, "user_properties", ()) if report.when == "call" else ():
            terminalreporter.write_line(f"{report.head_line}: {name}: {value}")


def _release_target(item: pytest.Item) -> Target | None:
    for name in ("release", "dags"):
        found = getattr(item, "funcargs", {}).get(name)
        if isinstance(found, Release):
            return found.target
    return None


def _load() -> str:
    """What this machine, which is the native cluster's node, waits for, and the processes that run."""
    files = [Path("/proc/loadavg"), *sorted(Path("/proc/pressure").glob("*"))]
    lines = [f"{file}: {line}" for file in files if file.exists() for line in file.read_text().splitlines()]
    processes = subprocess.run(
        ["ps", "-eo", "pid,stat,pcpu,rss,etime,args", "--sort=-pcpu", "--cols=160"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "\n".join([*lines, *processes.stdout.splitlines()[:12]])


def dump(target: Target, namespaces: Iterable[str] = (NAMESPACE, TASKS)) -> str:
    """Give the load of this machine, pods, events, what is not ready, and the last lines of every log."""
    sections = [_load()]

    def add(*command: str) -> None:
        try:
            text = target.kubectl(*command, timeout=60)
        except CommandError as error:
            text = error.stderr
        sections.append(f"$ kubectl {' '.join(command)}\n{text}")

    for namespace in namespaces:
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
            add("logs", name, "-n", namespace, "--all-containers", "--prefix", "--tail=40")
    return "\n".join(sections)
