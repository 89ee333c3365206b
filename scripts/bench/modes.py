"""`make bench`: what a container costs in each mode, each as a ratio to its baseline in the same run.

    python -m scripts.bench.modes [REPEATS]    # on the release that `make up` installed; 5 by default

The command is the same everywhere: python:3.13-slim printing one word. The operators are Airflow's own with
their defaults, executed in a worker's container: what Airflow's scheduler adds is not in these figures.
Measures that are compared run in turn, so that a busy moment meets both.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import docker

from scripts import tools, up
from scripts.chart import CHART
from scripts.cluster import DOCKER_SOCKET
from scripts.live import NAMESPACE, RELEASE, ApiError, CommandError, Target, UpError, choose, run
from scripts.tools import ToolError

IMAGE = "python:3.13-slim"
COMMAND = ["python", "-c", "print('done')"]
OPERATOR = "KubernetesPodOperator"
FRESH = "airdock-bench"

#: Runs in a worker: reads [kind, tasks.checkSeconds] as JSON, a line for each execution; answers each with a
#: line, [seconds, {request to the Kubernetes API: times}]. checkSeconds 0 leaves Airflow's own intervals.
INSIDE = """
import json, os, re, sys, time
from collections import Counter
from types import SimpleNamespace
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what operators log to standard output is no answer
import airflow.settings
import kubernetes.client.rest
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG

image, command = json.loads(sys.argv[1])
counted = Counter()
plain = kubernetes.client.rest.RESTClientObject.request

def request(self, method, url, *arguments, **named):
    path = re.sub(r"/(pods)/[^/?]+", r"/\\1/NAME", url.partition("?")[0])
    counted[f"{method} {path.partition('/namespaces/')[2].partition('/')[2]}"] += 1
    return plain(self, method, url, *arguments, **named)

kubernetes.client.rest.RESTClientObject.request = request
for number, line in enumerate(sys.stdin):
    kind, check = json.loads(line)
    os.environ["AIRDOCK_TASK_CHECK_SECONDS"] = str(check) if check else ""
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
    counted.clear()
    begun = time.monotonic()
    task.execute(context)
    print(json.dumps([time.monotonic() - begun, counted]), file=answers, flush=True)
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


@dataclass
class Measure:
    """One line of the report: what is timed, and the measure that it is compared with.

    ``run`` gives its seconds as a float, or anything else to be timed from outside.
    """

    what: str
    run: Callable[[], object]
    baseline: Measure | None = None
    seconds: list[float] = field(default_factory=list)

    def once(self) -> float:
        """Run it; gives its seconds."""
        begun = time.monotonic()
        own = self.run()
        return own if isinstance(own, float) else time.monotonic() - begun

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


def measure(repeats: int, *measures: Measure) -> None:
    """Run the measures in turn, after a round that warms caches and is not counted; print their lines."""
    for number in range(repeats + 1):
        for each in measures:
            seconds = each.once()
            if number:
                each.seconds.append(seconds)
    for each in measures:
        print(each.line, flush=True)


class Operators:
    """A Python with Airflow in a worker, which executes operators one by one as it is told."""

    def __init__(self, target: Target, mode: str) -> None:
        """Start it in the worker of a mode."""
        pod = worker_of(target, mode)
        self._process = subprocess.Popen(
            [
                *target.kubectl_command, "exec", "-i", pod, "-n", NAMESPACE, "-c", "worker", "--",
                "python", "-c", INSIDE, json.dumps([IMAGE, COMMAND]),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._errors: list[str] = []
        threading.Thread(target=self._read_errors, daemon=True).start()
        #: Of each execution by its arguments: the requests that its operator made to the Kubernetes API.
        self.requests: dict[tuple[str, float], list[dict[str, int]]] = {}

    def _read_errors(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._errors = [*self._errors[-20:], line]

    def execute(self, kind: str, check: float = 0) -> float:
        """Execute an operator with its defaults; gives its seconds.

        Raises:
            UpError: it failed, with the last lines that it printed.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps([kind, check])}\n")
        self._process.stdin.flush()
        if not (answer := self._process.stdout.readline()):
            self._process.wait(60)
            raise UpError(f"an operator of the benchmark failed:\n{''.join(self._errors)}")
        seconds, counted = json.loads(answer)
        self.requests.setdefault((kind, check), []).append(counted)
        return float(seconds)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(60)


def docker_run() -> None:
    """`docker run --rm` by the native node's own daemon."""
    run([str(tools.path("docker")), f"--host=unix://{DOCKER_SOCKET}", "run", "--rm", IMAGE, *COMMAND])


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


def through_the_filter(repeats: int) -> None:
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
            raw = Measure("docker-py, the node's raw socket", lambda: docker_py(DOCKER_SOCKET))
            measure(repeats, raw, Measure("docker-py, through the filter", lambda: docker_py(path), raw))
        finally:
            process.terminate()
            process.wait(30)


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


def daemons(target: Target, modes: set[str], repeats: int) -> None:
    """DockerOperator in the modes that have a daemon, against `docker run` on the node."""
    on_node = Measure("docker run on the node", docker_run) if target.native else None
    workers = {mode: Operators(target, mode) for mode in ("dind", "socket") if mode in modes}
    try:
        measure(
            repeats,
            *([on_node] if on_node else []),
            *(
                Measure(f"DockerOperator, {mode}", partial(worker.execute, "docker"), on_node)
                for mode, worker in workers.items()
            ),
        )
    finally:
        for worker in workers.values():
            worker.close()


def pods(target: Target, repeats: int) -> None:
    """DockerOperator as a pod and KubernetesPodOperator, against `kubectl run --attach --rm`."""
    bare = [
        "run", "airdock-bench", "-n", NAMESPACE, "--attach", "--rm", "--quiet", "--restart=Never",
        f"--image={IMAGE}", "--command", "--", *COMMAND,
    ]  # fmt: skip
    pod = Measure("bare pod (kubectl run --attach --rm)", lambda: target.kubectl(*bare))
    worker = Operators(target, "kubernetes")
    as_pod = Measure("DockerOperator as a pod", lambda: worker.execute("docker"), pod)
    own = Measure(f"{OPERATOR}, Airflow's intervals", lambda: worker.execute("pod"), as_pod)
    chart = Measure(f"{OPERATOR}, the chart's", lambda: worker.execute("pod", 1), as_pod)
    try:
        measure(repeats, pod, as_pod, own, chart)
    finally:
        worker.close()
    for each, check in ((own, 0), (chart, 1)):
        runs = worker.requests["pod", check]
        kinds = {kind for counted in runs for kind in counted}
        means = (f"{kind} {sum(run.get(kind, 0) for run in runs) / len(runs):.1f}" for kind in sorted(kinds))
        total = statistics.median(sum(counted.values()) for counted in runs)
        print(f"{each.what}: {total:.0f} API requests per task (median); means: {', '.join(means)}")


def install(target: Target) -> None:
    """`helm install` of the default values into an empty namespace, until all is ready."""
    target.helm(
        "install", RELEASE, str(CHART), f"--namespace={FRESH}", "--create-namespace", "--wait",
        "--timeout=600s",
    )  # fmt: skip


def clear(target: Target) -> None:
    """Take the installation away."""
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
    if target.native:
        through_the_filter(4 * repeats)
    daemons(target, modes, repeats)
    if "kubernetes" in modes:
        pods(target, repeats)
        gateway(target)
    clear(target)
    fresh = Measure("helm install, default values, to Ready", lambda: install(target))
    try:
        fresh.seconds.append(fresh.once())
    finally:
        clear(target)
    print(fresh.line, flush=True)


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
