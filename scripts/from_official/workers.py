"""Workers: `workers`, `workers.celery`, its sets, and `workers.kubernetes` become worker groups."""

from __future__ import annotations

import re
from typing import Any

from scripts.from_official.pods import Pods
from scripts.from_official.result import Result
from scripts.from_official.source import Path, Source, listed

#: What a worker group of KubernetesExecutor cannot have.
PERSISTENT = ("replicas", "concurrency")
#: Queue of the tasks of CeleryKubernetesExecutor's second half.
KUBERNETES_QUEUE = "kubernetes"


def groups(source: Source, result: Result, pods: Pods) -> None:
    """All worker groups."""
    executors = str(result.get("executor") or "CeleryExecutor").split(",")
    concurrency = source.take("config", "celery", "worker_concurrency")
    celery, kubernetes = (f"{name}Executor" in executors for name in ("Celery", "Kubernetes"))
    pods.block(("workers",), "workerDefaults")
    replicas = result.values.get("workerDefaults", {}).pop("replicas", None)
    if celery:
        if isinstance(concurrency, int) and concurrency != 16:
            result.put("workerDefaults.concurrency", concurrency, ("config", "celery", "worker_concurrency"))
        _celery(source, result, pods, replicas)
    if kubernetes:
        name = "kubernetes" if celery else "default"
        queue = str(
            source.take("config", "celery_kubernetes_executor", "kubernetes_queue") or KUBERNETES_QUEUE
        )
        result.put(f"workers.{name}.queues", [queue if celery else "default"])
        if celery:
            result.put(f"workers.{name}.executor", "KubernetesExecutor")
            text = (
                f"workers.{name}: tasks with the queue {queue!r} run in pods of their own. Add the "
                f"queues of other "
                "tasks that use KubernetesExecutor."
            )
            result.decide(text)
        pods.block(("workers", "kubernetes"), f"workers.{name}")
        for key in PERSISTENT:
            result.values["workers"][name].pop(key, None)
    places: tuple[Path, ...] = (("workers",), ("workers", "celery"))
    for path in places:
        claim = source.block(*path, "persistence")
        if claim.get("enabled") and celery:
            text = (
                f"{'.'.join(path)}.persistence: workers have no volume for logs. Set `logs.claim` or "
                f"`logs.remote` to "
                "keep logs longer than a worker's pod."
            )
            result.decide(text)
        for key in ("persistence", "keda", "hpa"):
            source.take(*path, key)


def _celery(source: Source, result: Result, pods: Pods, replicas: Any) -> None:
    given = source.take("workers", "celery", "sets")
    sets = listed(given)
    if sets is None:
        result.decide("workers.celery.sets: has Helm templates. Write one worker group for each.")
        sets = []
    default = source.take("workers", "celery", "enableDefault") is not False or not sets
    if default:
        if replicas is not None:
            result.put("workers.default.replicas", replicas, ("workers", "replicas"))
        queue = source.take("workers", "celery", "queue") or "default"
        result.put("workers.default.queues", [each.strip() for each in str(queue).split(",")])
        pods.block(("workers", "celery"), "workers.default")
        for path in (("workers", "celery"), ("workers",)):
            if _scaled(source, result, path, "workers.default"):
                break
    else:
        result.put("workers.default", None)
        pods.block(("workers", "celery"), "workerDefaults")
        result.values.get("workerDefaults", {}).pop("replicas", None)
    for number, each in enumerate(sets):
        name = (
            re.sub(r"[^a-z0-9-]", "-", str(each.get("name", f"set-{number}")).lower())
            .strip("-")[:20]
            .rstrip("-")
        )
        here = f"workers.{name}"
        inner = Source("{}")
        inner.values = {"workers": {"celery": {f"sets[{number}]": each}}}
        where: Path = ("workers", "celery", f"sets[{number}]")
        queues = str(each.get("queue") or name)
        result.put(f"{here}.queues", [queue.strip() for queue in queues.split(",")])
        Pods(inner, result, pods.defaults).block(where, here)
        _scaled(inner, result, where, here)
        inner.used.update({(*where, key) for key in ("name", "queue", "persistence", "keda", "hpa")})
        unread = [".".join(left) for left in inner.unread()]
        result.dropped += [f"{key}: has no counterpart here." for key in unread]


def _scaled(source: Source, result: Result, path: Path, here: str) -> bool:
    """Autoscaling by KEDA in the place of KEDA or of an HPA."""
    for name in ("keda", "hpa"):
        scaler = source.block(*path, name)
        if scaler.get("enabled"):
            found = {"enabled": True, "min": int(scaler.get("minReplicaCount") or 0)}
            if most := scaler.get("maxReplicaCount"):
                found["max"] = int(most)
            if cooldown := scaler.get("cooldownPeriod"):
                found["cooldownSeconds"] = int(cooldown)
            result.put(f"{here}.autoscaling", found, (*path, name))
            result.values["workers"][here.removeprefix("workers.")].pop("replicas", None)
            text = (
                f"{'.'.join(path)}.{name}: `{here}.autoscaling` scales by the group's running and queued "
                "tasks. Queries, triggers and behaviors of your own are left out, and KEDA must be installed "
                "(docs/autoscaling.md)."
            )
            result.decide(text)
            return True
    return False
