"""KubernetesPodOperator with Airflow's own intervals and with the chart's: seconds and requests per task.

    python -m scripts.bench_kubernetes [REPEATS]    # on the release that `make up` installed; 5 by default

Requests are counted in the worker, at the client that the operator uses; for a deferred task the triggerer's
are not among them.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

from scripts.airflow_api import ApiError
from scripts.bench import COMMAND, IMAGE, Measure, bare_pod
from scripts.target import NAMESPACE, CommandError, Target, UpError, choose

#: Runs in a worker: prints [seconds, {request: times}] of each execution as JSON, on the last line.
INSIDE = """
import json, os, re, sys, time
from collections import Counter
from types import SimpleNamespace
import airflow.settings
import kubernetes.client.rest
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

repeats, seconds, image, command = json.loads(sys.argv[1])
if seconds:
    os.environ["AIRDOCK_TASK_CHECK_SECONDS"] = str(seconds)
else:
    os.environ.pop("AIRDOCK_TASK_CHECK_SECONDS", None)
counted = Counter()
plain = kubernetes.client.rest.RESTClientObject.request

def request(self, method, url, *arguments, **named):
    path = re.sub(r"/(pods)/[^/?]+", r"/\\1/NAME", url.partition("?")[0])
    counted[f"{method} {path.partition('/namespaces/')[2].partition('/')[2]}"] += 1
    return plain(self, method, url, *arguments, **named)

kubernetes.client.rest.RESTClientObject.request = request
found = []
for number in range(repeats + 1):
    dag = DAG(f"bench-{number}", schedule=None)
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
    found.append([time.monotonic() - begun, dict(counted)])
print(json.dumps(found[1:]))
"""


def operator(
    target: Target, what: str, seconds: float, repeats: int, baseline: Measure
) -> tuple[Measure, dict[str, float]]:
    """Execute the operator in a worker of mode kubernetes; give the times and the mean number of requests."""
    group = next(group.name for group in target.groups() if "kubernetes" in group.serves)
    selector = f"airdock.dev/worker-group={group}"
    pods = target.items("pods", "-n", NAMESPACE, "-l", selector, "--field-selector=status.phase=Running")
    worker = next(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"])
    argument = json.dumps([repeats, seconds, IMAGE, COMMAND])
    said = target.kubectl(
        "exec", worker, "-n", NAMESPACE, "-c", "worker", "--", "python", "-c", INSIDE, argument, timeout=900
    )
    found: list[tuple[float, dict[str, Any]]] = json.loads(said.splitlines()[-1])
    kinds = {kind for _, requests in found for kind in requests}
    requests = {kind: statistics.mean(each.get(kind, 0) for _, each in found) for kind in kinds}
    return Measure(what, [seconds for seconds, _ in found], baseline), requests


def bench(target: Target, repeats: int) -> None:
    """Measure both and print a line for each, and what its requests were."""
    print(f"median of {repeats} after one that is not counted, seconds\n")
    baseline = bare_pod(target, repeats)
    print(baseline.line, flush=True)
    for what, seconds in (("Airflow's own intervals", 0.0), ("the chart's, tasks.checkSeconds: 1", 1.0)):
        measure, requests = operator(target, what, seconds, repeats, baseline)
        print(measure.line)
        kinds = ", ".join(f"{kind} {number:.1f}" for kind, number in sorted(requests.items()))
        print(f"  {sum(requests.values()):.1f} requests per task: {kinds}", flush=True)


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
