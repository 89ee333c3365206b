"""`make bench`, mode dind: how long a worker's daemon takes to start, and to have an image.

    python -m scripts.bench.dind [REPEATS]        # 3 repeats by default; needs a cluster, no release

Pods as the chart renders them, with a shell in the worker's place: Airflow's own start is not in these
figures. Cold is an emptyDir, warm a claim that a pod before has filled. `kubectl exec`, in each figure but
the starts, is the last line.

Pulls are compared with one straight from the registry. That is Docker Hub, but on the native cluster its own
registry, on the same node: there a mirror shows what it costs and not what it saves. The mirror is a registry
in a pod that keeps what it hands through (distribution's `proxy`), empty or with the image.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from typing import Any

from scripts import up
from scripts.bench.modes import COMMAND, IMAGE, Measure, measure
from scripts.chart import dind_pod
from scripts.cluster import REGISTRY
from scripts.live import CommandError, Target, UpError, choose, registry_image
from scripts.tools import ToolError

NAMESPACE = "airdock-bench-dind"
POD = "bench"
MIRROR = f"mirror.{NAMESPACE}.svc:5000"


def origin(target: Target) -> str:
    """The image by a name that no mirror answers to."""
    return f"{REGISTRY if target.native else 'registry-1.docker.io'}/library/{IMAGE}"


def mirror(target: Target) -> list[dict[str, Any]]:
    """The objects of a mirror that has nothing yet."""
    remote = f"http://{REGISTRY}" if target.native else "https://registry-1.docker.io"
    config = (
        f"{{version: 0.1, log: {{level: warn}}, storage: {{filesystem: {{rootdirectory: /data}}}}, "
        f"http: {{addr: ':5000'}}, proxy: {{remoteurl: '{remote}'}}}}"
    )
    container = {
        "name": "mirror",
        "image": f"{REGISTRY}/bench/registry:1" if target.native else "registry:3",
        "command": ["registry", "serve", "/config/config.yml"],
        "readinessProbe": {"httpGet": {"path": "/v2/", "port": 5000}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "config", "mountPath": "/config"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    volumes = [{"name": "config", "configMap": {"name": "mirror"}}, {"name": "data", "emptyDir": {}}]

    def made(kind: str, **rest: Any) -> dict[str, Any]:
        metadata = {"name": "mirror", "namespace": NAMESPACE, "labels": {"app": "mirror"}}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest}

    return [
        made("ConfigMap", data={"config.yml": config}),
        made("Service", spec={"selector": {"app": "mirror"}, "ports": [{"port": 5000}]}),
        made("Pod", spec={"containers": [container], "volumes": volumes}),
    ]


def delete(target: Target, name: str) -> None:
    """Take a pod away, if there is one."""
    target.kubectl("delete", "pod", name, "-n", NAMESPACE, "--ignore-not-found", timeout=180)


def create(target: Target, name: str, *objects: dict[str, Any]) -> None:
    """Make a pod, and what it needs, and wait until it is Ready."""
    target.apply(*objects)
    ready = ("wait", f"pod/{name}", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=180s")
    target.kubectl(*ready, timeout=190)


def start(target: Target, claim: bool) -> float:
    """Create a pod in the place of the last one; gives the seconds until its daemon answers."""
    dind = {"registryMirrors": [f"http://{MIRROR}"], "insecureRegistries": [MIRROR, REGISTRY]}
    values = dind_pod.values({**dind, "claim": {"size": "5Gi"}} if claim else dind)
    scripts, workload = dind_pod.objects(values, NAMESPACE)
    delete(target, POD)
    begun = time.monotonic()
    create(target, POD, scripts, *dind_pod.claims_of(workload), dind_pod.pod_of(workload, POD))
    return time.monotonic() - begun


def inside(target: Target, *command: str) -> None:
    """Run a command in the worker's place."""
    target.kubectl("exec", POD, "-n", NAMESPACE, "-c", "worker", "--", *command, timeout=300)


def pull(target: Target, image: str, empty_mirror: bool = False) -> float:
    """Take all images from the daemon and pull one; gives the seconds of the pull."""
    if empty_mirror:
        delete(target, "mirror")
        create(target, "mirror", *mirror(target))
    inside(target, "sh", "-c", "docker images -q | xargs -r docker rmi --force")
    begun = time.monotonic()
    inside(target, "docker", "pull", "--quiet", image)
    return time.monotonic() - begun


def bench(target: Target, repeats: int) -> None:
    """Measure and print."""
    # One of a run before this one may still be on its way out.
    target.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=180)
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    if target.native:
        registry_image.push_registry(f"{REGISTRY}/bench/registry:1", {})
    kept = partial(inside, target, "docker", "pull", "--quiet", IMAGE)
    run = partial(inside, target, "docker", "run", "--rm", IMAGE, *COMMAND)
    # The first pod with a claim fills it, in the round that is not counted.
    cold = Measure("dind pod to Ready, emptyDir", partial(start, target, False))
    straight = Measure("docker pull, no mirror", partial(pull, target, origin(target)))
    empty = Measure("docker pull, a mirror that is empty", partial(pull, target, IMAGE, True), straight)
    full = Measure("docker pull, a mirror that has it", partial(pull, target, IMAGE), straight)
    task = Measure("docker run, the image is there", run)
    warm = Measure("dind pod to Ready, claim with a cache", partial(start, target, True), cold)
    cached = Measure("docker pull, the claim's cache", kept, straight)
    warm_task = Measure("docker run, the claim's image", run, task)
    nothing = Measure("kubectl exec of nothing", partial(inside, target, "true"))
    try:
        print(f"median of {repeats} after one that is not counted, seconds\n")
        measure(repeats, cold, straight, empty, full, task, warm, cached, warm_task, nothing)
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
