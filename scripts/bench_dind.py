"""`make bench`, mode dind: how long a worker's daemon takes to start, and to have its first image.

    python -m scripts.bench_dind [REPEATS]        # 3 repeats by default; needs a cluster, no release

Pods as the chart renders them, with a shell in the worker's place: Airflow's own start is not in these
figures. Cold is an emptyDir, warm a claim that a pod before has filled. Images come through the native
cluster's mirror, elsewhere from Docker Hub. `kubectl exec`, in each figure but the starts, is the last line.
"""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from functools import partial
from typing import Any

from scripts import up
from scripts.bench import COMMAND, IMAGE, Measure, measure
from scripts.cluster import REGISTRY
from scripts.render import render
from scripts.target import CommandError, Target, UpError, choose
from scripts.tools import ToolError

NAMESPACE = "airdock-bench-dind"
POD = "bench"


def objects(native: bool, claim: bool) -> list[dict[str, Any]]:
    """A pod of a worker group of mode dind, and what it needs."""
    dind: dict[str, Any] = {"claim": {"size": "5Gi"}} if claim else {}
    if native:
        dind |= {"registryMirrors": [f"http://{REGISTRY}"], "insecureRegistries": [REGISTRY]}
    values = {"workers": {"default": None, "w": {"mode": "dind", "queues": ["w"], "dind": dind}}}
    manifests = render(values, release="b", namespace=NAMESPACE)
    workload = manifests.one("StatefulSet" if claim else "Deployment", name="b-airdock-worker-w").raw["spec"]
    spec = copy.deepcopy(workload["template"]["spec"])
    del spec["serviceAccountName"]
    spec["terminationGracePeriodSeconds"] = 30
    (worker,) = spec["containers"]
    pruner = next(c for c in spec["initContainers"] if c["name"] == "docker-prune")
    spec["containers"] = [
        {
            "name": "worker",
            "image": pruner["image"],
            "command": ["sleep", "3600"],
            "env": [entry for entry in worker["env"] if entry["name"] == "DOCKER_HOST"],
            "securityContext": worker["securityContext"],
            "volumeMounts": [m for m in worker["volumeMounts"] if m["name"] == "docker-socket"],
        }
    ]
    used = {m["name"] for c in spec["initContainers"] + spec["containers"] for m in c["volumeMounts"]}
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] in used]
    found = [dict(manifests.one("ConfigMap", name="b-airdock-dind").raw)]
    for template in workload.get("volumeClaimTemplates", ()):
        name = template["metadata"]["name"]
        spec["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": name}})
        metadata = {"name": name, "namespace": NAMESPACE}
        found.append(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
            | {"spec": template["spec"]}
        )
    metadata = {"name": POD, "namespace": NAMESPACE}
    return [*found, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}]


def start(target: Target, claim: bool) -> float:
    """Create a pod in the place of the last one; gives the seconds until its daemon answers."""
    target.kubectl("delete", "pod", POD, "-n", NAMESPACE, "--ignore-not-found", timeout=180)
    begun = time.monotonic()
    target.apply(*objects(target.native, claim))
    ready = ("wait", f"pod/{POD}", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=180s")
    target.kubectl(*ready, timeout=190)
    return time.monotonic() - begun


def inside(target: Target, *command: str) -> None:
    """Run a command in the worker's place."""
    target.kubectl("exec", POD, "-n", NAMESPACE, "-c", "worker", "--", *command, timeout=300)


def bench(target: Target, repeats: int) -> None:
    """Measure and print."""
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    run = partial(inside, target, "docker", "run", "--rm", IMAGE, *COMMAND)
    pull = partial(inside, target, "docker", "pull", "--quiet", IMAGE)
    # The first pod with a claim fills it, in the round that is not counted.
    cold = Measure("dind pod to Ready, emptyDir", partial(start, target, False))
    cold_pull = Measure("docker pull, an empty daemon", pull)
    task = Measure("docker run, the image is there", run)
    warm = Measure("dind pod to Ready, claim with a cache", partial(start, target, True), cold)
    warm_pull = Measure("docker pull, the claim's cache", pull, cold_pull)
    warm_task = Measure("docker run, the claim's image", run, task)
    try:
        print(f"median of {repeats} after one that is not counted, seconds\n")
        measure(
            repeats,
            cold,
            cold_pull,
            task,
            warm,
            warm_pull,
            warm_task,
            Measure("kubectl exec of nothing", partial(inside, target, "true")),
        )
    finally:
        target.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def main(arguments: list[str]) -> int:
    """Run the benchmark; exit code 1 with one sentence if the cluster is not there."""
    try:
        target = choose()
        up.start(target)
        bench(target, int(arguments[0]) if arguments else 3)
    except (UpError, CommandError, ToolError, subprocess.TimeoutExpired) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
