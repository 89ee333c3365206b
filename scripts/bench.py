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
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker

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
    context = {"ti": instance, "task_instance": instance, "run_id": "bench", "dag": dag, "task": task}
    for callback in task.on_execute_callback or []:
        callback(context)
    begun = time.monotonic()
    task.execute(context)
    seconds.append(time.monotonic() - begun)
print(json.dumps(seconds[1:]))
"""

#: Runs in a worker: so many containers at once through its Docker socket, each of which prints and ends.
AT_ONCE = """
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
import docker

count, image = json.loads(sys.argv[1])

def one(number):
    client = docker.APIClient(os.environ["DOCKER_HOST"])
    # Little, so that all of them fit on a small node side by side.
    host = client.create_host_config(cpu_shares=2, mem_limit="32m")
    script = f"for i in $(seq 50); do echo {number}-$i; done; sleep 5; exit {number}"
    container = client.create_container(image, ["sh", "-c", script], host_config=host)["Id"]
    stream = client.attach(container, stream=True)
    client.start(container)
    lines = b"".join(stream).split()
    code = client.wait(container)["StatusCode"]
    client.remove_container(container, force=True)
    client.close()
    return lines == [f"{number}-{i}".encode() for i in range(1, 51)] and code == number

begun = time.monotonic()
with ThreadPoolExecutor(count) as pool:
    right = sum(pool.map(one, range(count)))
print(json.dumps([right, time.monotonic() - begun]))
"""
#: Prints the resident KiB of the gateway, now and at most, and its requests to the Kubernetes API for pods.
USAGE = """
import re, urllib.request
status = open("/proc/1/status").read()
print(re.search(r"VmRSS:\\s+(\\d+)", status)[1], re.search(r"VmHWM:\\s+(\\d+)", status)[1])
metrics = urllib.request.urlopen("http://127.0.0.1:9323/metrics").read().decode()
pattern = r'_requests_total{request="(?:POST pods|GET log|DELETE pods)"} (\\S+)'
print(sum(float(number) for number in re.findall(pattern, metrics)))
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
        ratio = f"{self.median / self.baseline.median:.2f} x {self.baseline.what}" if self.baseline else "-"
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
    argument = json.dumps([kind, repeats, IMAGE, COMMAND])
    said = inside(target, worker_of(target, mode), "worker", INSIDE, argument)
    return Measure(what, json.loads(said.splitlines()[-1]), baseline)


def worker_of(target: Target, mode: str) -> str:
    """Give a running worker's pod of the first group of a mode."""
    group = next(group.name for group in target.groups() if group.mode == mode)
    selector = f"airdock.dev/worker-group={group}"
    pods = target.items("pods", "-n", NAMESPACE, "-l", selector, "--field-selector=status.phase=Running")
    return str(next(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]))


def inside(target: Target, pod: str, container: str, script: str, *arguments: str) -> str:
    """Run a Python script in a container of the release; gives its output."""
    command = ["exec", pod, "-n", NAMESPACE, "-c", container, "--", "python", "-c", script, *arguments]
    return target.kubectl(*command, timeout=900)


def gateway(target: Target) -> None:
    """Print what the Docker gateway of mode kubernetes takes with 1, 10 and 100 containers at once."""

    def usage(pod: str) -> tuple[int, int, float]:
        memory, requests = inside(target, pod, "docker-gateway", USAGE).splitlines()[-2:]
        now, most = memory.split()
        return int(now), int(most), float(requests)

    pod = worker_of(target, "kubernetes")
    print(
        f"\n{'AT ONCE':>8}  {'RIGHT':>6}  {'SECONDS':>8}  {'GATEWAY MiB, AT MOST':>20}  API REQUESTS PER TASK"
    )
    for count in (1, 10, 100):
        _, _, before = usage(pod)
        said = inside(target, pod, "worker", AT_ONCE, json.dumps([count, "busybox:1.37"]))
        right, seconds = json.loads(said.splitlines()[-1])
        _, most, after = usage(pod)
        requests = (after - before) / count
        print(f"{count:>8}  {right:>6}  {seconds:>8.1f}  {most / 1024:>20.1f}  {requests:.1f}", flush=True)


def through_the_filter(repeats: int) -> tuple[Measure, Measure]:
    """Run a container by docker-py on the node's raw socket, and through the gateway's filter before it.

    The gateway is a process on this machine: both ways differ in nothing but the filter.
    """
    with tempfile.TemporaryDirectory() as directory:
        path, settings = Path(directory, "docker.sock"), Path(directory, "settings.json")
        values = {"backend": "daemon", "socket": str(path), "healthPort": 0}
        settings.write_text(json.dumps({**values, "daemon": {"socket": str(DOCKER_SOCKET)}}))
        environment = {
            "AIRDOCK_GATEWAY_CONFIG": str(settings),
            "AIRDOCK_GATEWAY_OWNER": f"bench-{os.getpid()}",
        }
        command = [sys.executable, "-SE", str(CHART / "files" / "docker_gateway")]
        with Path(directory, "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            while not path.exists():
                time.sleep(0.05)
            raw = timed("docker-py, the node's raw socket", repeats, lambda: docker_py(DOCKER_SOCKET))
            filtered = timed("docker-py, through the filter", repeats, lambda: docker_py(path), raw)
        finally:
            process.terminate()
            process.wait(30)
    return raw, filtered


def docker_py(path: Path) -> None:
    """Do with one container what DockerOperator does."""
    client = docker.APIClient(f"unix://{path}")
    try:
        container = client.create_container(IMAGE, COMMAND, host_config=client.create_host_config())["Id"]
        stream = client.attach(container, stream=True)
        client.start(container)
        if (said := b"".join(stream)) != b"done\n" or client.wait(container)["StatusCode"]:
            raise UpError(f"the container of the benchmark printed {said!r}")
        client.remove_container(container)
    finally:
        client.close()


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
        for measure in through_the_filter(4 * repeats):
            print(measure.line, flush=True)
    for mode in ("dind", "socket"):
        if mode in modes:
            print(
                operator(target, f"DockerOperator, {mode}", mode, "docker", repeats, on_node).line, flush=True
            )
    pod = bare_pod(target, repeats)
    print(pod.line, flush=True)
    if "kubernetes" in modes:
        as_pod = operator(target, "DockerOperator as a pod", "kubernetes", "docker", repeats, pod)
        print(as_pod.line, flush=True)
        what = "KubernetesPodOperator, its defaults"
        print(operator(target, what, "kubernetes", "pod", repeats, as_pod).line, flush=True)
        gateway(target)
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
