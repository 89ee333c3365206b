"""`make bench`: what a container costs in each mode, each as a ratio to its baseline in the same run.

    python -m scripts.bench [REPEATS]       # on the release that `make up` installed; 5 repeats by default

The command is the same everywhere: python:3.13-slim printing one word. The operators are Airflow's own with
their defaults, executed in a worker's container: what Airflow's scheduler adds is not in these figures.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from scripts import tools, up
from scripts.airflow_api import ApiError
from scripts.cluster import DOCKER_SOCKET
from scripts.target import CHART, NAMESPACE, RELEASE, CommandError, Target, UpError, choose, run
from scripts.tools import ToolError

IMAGE = "python:3.13-slim"
COMMAND = ["python", "-c", "print('done')"]
FRESH = "airdock-bench"

#: Runs in a worker: prints the seconds of each execution as JSON, on the last line.
INSIDE = """
import json, sys, time
from types import SimpleNamespace
import airflow.settings
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG

kind, repeats, image, command = json.loads(sys.argv[1])
seconds = []
for number in range(repeats + 1):
    dag = DAG(f"bench-{number}", schedule=None)
    if kind == "docker":
        task = DockerOperator(task_id="bench", image=image, command=command, dag=dag)
    else:
        task = KubernetesPodOperator(task_id="bench", image=image, cmds=command, dag=dag)
    airflow.settings.task_policy(task)
    instance = SimpleNamespace(
        dag_id=dag.dag_id, task_id="bench", run_id="bench", map_index=-1, try_number=1,
        xcom_push=lambda **_: None,
    )
    for prepare in task.on_execute_callback:
        prepare({"task": task, "ti": instance})
    begun = time.monotonic()
    task.execute({"ti": instance, "task_instance": instance, "run_id": "bench", "dag": dag})
    seconds.append(time.monotonic() - begun)
print(json.dumps(seconds[1:]))
"""


@dataclass(frozen=True)
class Measure:
    """One line of the report: seconds of each repeat, and the measure that it is compared with."""

    what: str
    seconds: list[float]
    baseline: Measure | None = None

    @property
    def median(self) -> float:
        """Median of the repeats, in seconds."""
        return statistics.median(self.seconds)

    @property
    def line(self) -> str:
        """The measure as a line of the table."""
        spread = f"{min(self.seconds):.2f} - {max(self.seconds):.2f}"
        ratio = f"{self.median / self.baseline.median:.1f} x {self.baseline.what}" if self.baseline else "-"
        return f"{self.what:<48}  {self.median:>7.2f}  {spread:>15}  {ratio}"


def timed(what: str, repeats: int, action: Callable[[], object], baseline: Measure | None = None) -> Measure:
    """Time an action, after one run of it that warms caches and is not counted."""
    action()
    seconds = []
    for _ in range(repeats):
        begun = time.monotonic()
        action()
        seconds.append(time.monotonic() - begun)
    return Measure(what, seconds, baseline)


def docker_run(repeats: int) -> Measure:
    """`docker run --rm` by the native node's own daemon."""
    docker = str(tools.path("docker"))
    command = [docker, f"--host=unix://{DOCKER_SOCKET}", "run", "--rm", IMAGE, *COMMAND]
    return timed("docker run on the node", repeats, lambda: run(command))


def bare_pod(target: Target, repeats: int) -> Measure:
    """`kubectl run --attach --rm`, with the node's image cache warm."""
    arguments = [
        "run", "airdock-bench", "-n", NAMESPACE, "--attach", "--rm", "--quiet", "--restart=Never",
        f"--image={IMAGE}", "--command", "--", *COMMAND,
    ]  # fmt: skip
    return timed("bare pod (kubectl run --attach --rm)", repeats, lambda: target.kubectl(*arguments))


def operator(
    target: Target, what: str, mode: str, kind: str, repeats: int, baseline: Measure | None
) -> Measure:
    """Execute an operator with its defaults in the worker of a mode."""
    group = next(group.name for group in target.groups() if group.mode == mode)
    selector = f"airdock.dev/worker-group={group}"
    pods = target.items("pods", "-n", NAMESPACE, "-l", selector, "--field-selector=status.phase=Running")
    worker = next(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"])
    argument = json.dumps([kind, repeats, IMAGE, COMMAND])
    said = target.kubectl(
        "exec", worker, "-n", NAMESPACE, "-c", "worker", "--", "python", "-c", INSIDE, argument, timeout=900
    )
    return Measure(what, json.loads(said.splitlines()[-1]), baseline)


def install(target: Target) -> Measure:
    """`helm install` of the default values into an empty namespace, until all is ready; once."""
    target.kubectl(
        "delete", "namespace", FRESH, f"{FRESH}-{RELEASE}-tasks", "--ignore-not-found", timeout=300
    )
    begun = time.monotonic()
    try:
        target.helm(
            "install", RELEASE, str(CHART), f"--namespace={FRESH}", "--create-namespace", "--wait",
            "--timeout=600s",
        )  # fmt: skip
        return Measure("helm install, default values, to Ready", [time.monotonic() - begun])
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={FRESH}", "--ignore-not-found", "--wait")
        target.kubectl(
            "delete", "namespace", FRESH, f"{FRESH}-{RELEASE}-tasks", "--ignore-not-found", timeout=300
        )


def bench(target: Target, repeats: int) -> None:
    """Measure all that this cluster can serve and print each line when it is there."""
    up.create_namespace(target)
    up.install(target, up.values(target)[0])
    modes = {group.mode for group in target.groups()}
    print(f"{os.cpu_count()} cores, median of {repeats} after one that is not counted, seconds\n")
    print(f"{'WHAT':<48}  {'MEDIAN':>7}  {'MIN - MAX':>15}  RATIO")
    on_node = None
    if target.native:
        on_node = docker_run(repeats)
        print(on_node.line, flush=True)
    for mode in ("dind", "socket"):
        if mode in modes:
            print(
                operator(target, f"DockerOperator, {mode}", mode, "docker", repeats, on_node).line, flush=True
            )
    pod = bare_pod(target, repeats)
    print(pod.line, flush=True)
    if "kubernetes" in modes:
        what = "KubernetesPodOperator"
        print(operator(target, what, "kubernetes", "pod", repeats, pod).line, flush=True)
    print(install(target).line, flush=True)


def main(arguments: list[str]) -> int:
    """Run the benchmark; exit code 1 with one sentence if the cluster is not there."""
    repeats = int(arguments[0]) if arguments and arguments[0].isdigit() else 5
    try:
        target = choose()
        up.start(target)
        bench(target, repeats)
    except (UpError, CommandError, ApiError, ToolError, subprocess.TimeoutExpired) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
