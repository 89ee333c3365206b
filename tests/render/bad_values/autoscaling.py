"""Numbers of pods that nothing could follow."""

from __future__ import annotations

from tests.render.bad_values.model import Bad, group, scaled
from tests.render.values import ATTACHED, overlaid

AUTOSCALING = (
    Bad(
        "a minimum above the maximum",
        scaled(min=4, max=3),
        ("workers.default.autoscaling.min: 4 is larger than workers.default.autoscaling.max (3)",),
    ),
    Bad(
        "a minimum above the default maximum",
        {"workerDefaults": {"autoscaling": {"enabled": True, "min": 11}}},
        ("workers.default.autoscaling.min: 11", "workers.default.autoscaling.max (10)"),
    ),
    Bad("no workers at most", scaled(max=0), ("/workers/default/autoscaling/max",)),
    Bad(
        "a cooldown of hours", scaled(cooldownSeconds=3601), ("/workers/default/autoscaling/cooldownSeconds",)
    ),
    Bad(
        "a cooldown of nothing",
        scaled(cooldownSeconds=None),
        ("/workers/default/autoscaling/cooldownSeconds",),
    ),
    Bad(
        "a fixed number beside it",
        group(replicas=2, autoscaling={"enabled": True}),
        ("workers.default.replicas: has no effect with workers.default.autoscaling.enabled",),
    ),
    Bad(
        "tasks of two groups",
        {"workers": {"default": {"autoscaling": {"enabled": True}}, "more": {"queues": ["more", "default"]}}},
        ('workers.default.autoscaling.enabled: workers.more serves the queue "default", too',),
    ),
    Bad(
        "a pod for each task",
        {"executor": "KubernetesExecutor", **scaled()},
        ("workers.default.autoscaling: has no effect with KubernetesExecutor",),
    ),
    Bad(
        "the database of another Airflow",
        overlaid(ATTACHED, {"workers": {"default": {"autoscaling": {"enabled": True}}}}),
        ("workers.default.autoscaling.enabled: ", "controlPlane.enabled is false"),
    ),
    Bad(
        "KEDA kept away",
        {**scaled(), "networkPolicy": {"kedaFrom": []}},
        ("networkPolicy.kedaFrom: is empty", "kubernetes.io/metadata.name: keda"),
    ),
    Bad(
        "no autoscaler",
        {**scaled(), "controlPlane": {"autoscaler": {"replicas": 0}}},
        ("controlPlane.autoscaler.replicas: is 0, but workers.default.autoscaling.enabled",),
    ),
    Bad(
        "a component's minimum above its maximum",
        {"controlPlane": {"triggerer": {"autoscaling": {"enabled": True, "min": 4}}}},
        ("controlPlane.triggerer.autoscaling.min: 4 is larger", "controlPlane.triggerer.autoscaling.max (3)"),
    ),
    Bad(
        "a share of no CPU",
        {
            "controlPlane": {
                "apiServer": {
                    "autoscaling": {"enabled": True},
                    "resources": {"requests": {"cpu": None}, "limits": {"cpu": None}},
                }
            }
        },
        ("controlPlane.apiServer.resources.requests.cpu: is missing", "controlPlane.apiServer.autoscaling"),
    ),
    Bad(
        "a worker's way of scaling for a component",
        {"controlPlane": {"autoscaler": {"autoscaling": {"enabled": True}}}},
        ("/controlPlane/autoscaler", "autoscaling"),
    ),
)
