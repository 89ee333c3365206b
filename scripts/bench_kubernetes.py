"""KubernetesPodOperator with Airflow's own intervals and with the chart's: seconds and requests per task.

    python -m scripts.bench_kubernetes [REPEATS]    # on the release that `make up` installed; 5 by default

Requests are counted in the worker, at the client that the operator uses; for a deferred task the triggerer's
are not among them.
"""

from __future__ import annotations

import json
import statistics
import sys

from scripts.airflow_api import ApiError
from scripts.bench import COMMAND, IMAGE, Measure, bare_pod, inside
from scripts.target import NAMESPACE, CommandError, Target, UpError, choose

#: What is measured, and its tasks.checkSeconds; 0 leaves Airflow's intervals.
VARIANTS = {"KubernetesPodOperator, Airflow's intervals": 0.0, "KubernetesPodOperator, the chart's": 1.0}
#: Runs in a worker, the variants in turn: prints as JSON on the last line, for each, the list of its runs as
#: [seconds, {request: times}].
INSIDE = """
import json, os, re, sys, time
from collections import Counter
from types import SimpleNamespace
import airflow.settings
import kubernetes.client.rest
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

repeats, variants, image, command = json.loads(sys.argv[1])
counted = Counter()
plain = kubernetes.client.rest.RESTClientObject.request

def request(self, method, url, *arguments, **named):
    path = re.sub(r"/(pods)/[^/?]+", r"/\\1/NAME", url.partition("?")[0])
    counted[f"{method} {path.partition('/namespaces/')[2].partition('/')[2]}"] += 1
    return plain(self, method, url, *arguments, **named)

kubernetes.client.rest.RESTClientObject.request = request
found = [[] for _ in variants]
for number in range(repeats + 1):
    for variant, seconds in enumerate(variants):
        os.environ["AIRDOCK_TASK_CHECK_SECONDS"] = str(seconds) if seconds else ""
        dag = DAG(f"bench-{variant}-{number}", schedule=None)
        task = KubernetesPodOperator(task_id="bench", image=image, cmds=command, dag=dag)
        airflow.settings.task_policy(task)
        instance = SimpleNamespace(
            dag_id=dag.dag_id, task_id="bench", run_id="bench", map_index=-1, try_number=1,
            xcom_push=lambda **_: None,
        )
        for prepare in task.on_execute_callback:
            prepare({"task": task, "ti": instance})
        counted.clear()
        begun = time.monotonic()
        task.execute({"ti": instance, "task_instance": instance, "run_id": "bench", "dag": dag})
        found[variant].append([time.monotonic() - begun, dict(counted)])
print(json.dumps([each[1:] for each in found]))
"""


def worker(target: Target) -> str:
    """Give the name of a worker's pod that may start pods."""
    group = next(group.name for group in target.groups() if "kubernetes" in group.serves)
    selector = f"airdock.dev/worker-group={group}"
    pods = target.items("pods", "-n", NAMESPACE, "-l", selector, "--field-selector=status.phase=Running")
    name: str = next(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"])
    return name


def bench(target: Target, repeats: int) -> None:
    """Measure, and print a line for each variant and one with its requests."""
    print(f"median of {repeats} after one that is not counted, seconds\n")
    baseline = bare_pod(target, repeats)
    print(baseline.line, flush=True)
    argument = json.dumps([repeats, list(VARIANTS.values()), IMAGE, COMMAND])
    said = inside(target, worker(target), "worker", INSIDE, argument)
    for what, runs in zip(VARIANTS, json.loads(said.splitlines()[-1]), strict=True):
        print(Measure(what, [seconds for seconds, _ in runs], baseline).line)
        requests: dict[str, list[int]] = {}
        for _, counts in runs:
            for kind, number in counts.items():
                requests.setdefault(kind, []).append(number)
        each = {kind: sum(numbers) / len(runs) for kind, numbers in sorted(requests.items())}
        kinds = ", ".join(f"{kind} {number:.1f}" for kind, number in each.items())
        total = statistics.median(sum(counts.values()) for _, counts in runs)
        print(f"  {total:.0f} requests per task (median); mean by kind: {kinds}")


def main(arguments: list[str]) -> int:
    """Run the benchmark; exit code 1 with one sentence if the cluster or the release is not there."""
    try:
        bench(choose(), int(arguments[0]) if arguments else 5)
    except (UpError, CommandError, ApiError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
