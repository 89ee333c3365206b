"""What users add to pods that no pod can have."""

from __future__ import annotations

from tests.render.bad_values.model import Bad, group
from tests.render.values import DIND, overlaid

IMAGE = {"image": "a"}
LIMITS = {"limits": {"cpu": 1, "memory": "64Mi"}}
NOWHERE = {"volumeMounts": [{"name": "nowhere", "mountPath": "/n"}]}

PODS = (
    Bad(
        "a sidecar without an image",
        group(sidecars={"a": {"resources": LIMITS}}),
        ("workers.default.sidecars.a.image: is missing",),
    ),
    Bad(
        "a sidecar without limits",
        group(sidecars={"a": IMAGE}),
        ("workers.default.sidecars.a.resources.limits: cpu or memory",),
    ),
    Bad(
        "a default sidecar without limits",
        {"podDefaults": {"sidecars": {"a": IMAGE}}},
        ("- podDefaults.sidecars.a.resources.limits: cpu or memory", "1 problem(s)"),
    ),
    Bad(
        "a default sidecar without limits, beside one of the group",
        {
            "podDefaults": {"sidecars": {"a": IMAGE}},
            **group(sidecars={"b": {**IMAGE, "resources": LIMITS}}),
        },
        ("- podDefaults.sidecars.a.resources.limits: cpu or memory", "1 problem(s)"),
    ),
    Bad(
        "the main container's name",
        group(initContainers={"worker": IMAGE}),
        ("workers.default.initContainers.worker: the pod of workers.default has another container",),
    ),
    Bad(
        "a name of one of the chart's containers",
        {"podDefaults": {"initContainers": {"migrate": IMAGE}}},
        ("podDefaults.initContainers.migrate: the pod of controlPlane.apiServer has another container",),
    ),
    Bad(
        "an init container and a sidecar of one name",
        group(initContainers={"a": IMAGE}, sidecars={"a": {**IMAGE, "resources": LIMITS}}),
        ("workers.default.sidecars.a: the pod of workers.default has another container",),
    ),
    Bad(
        "a mount of an init container without its volume",
        group(initContainers={"a": {**IMAGE, **NOWHERE}}),
        ("workers.default.initContainers.a.volumeMounts", 'the volume "nowhere" does not exist'),
    ),
    Bad(
        "a default mount without its volume",
        {"podDefaults": {"volumeMounts": {"nowhere": {"mountPath": "/n"}}}},
        ("- podDefaults.volumeMounts.nowhere: the volume",),
    ),
    Bad(
        "DNS without servers",
        {"podDefaults": {"dnsPolicy": "None"}},
        ("- podDefaults.dnsPolicy: None needs at least one server", "1 problem(s)"),
    ),
    Bad(
        "a strategy of a StatefulSet",
        overlaid(
            DIND,
            {"workers": {"docker": {"strategy": {"type": "Recreate"}, "dind": {"claim": {"size": "1Gi"}}}}},
        ),
        ("workers.docker.strategy: has no effect",),
    ),
    Bad(
        "a strategy of KubernetesExecutor",
        {"executor": "KubernetesExecutor", **group(strategy={"type": "Recreate"})},
        ("workers.default.strategy: has no effect with KubernetesExecutor",),
    ),
    Bad(
        "a probe that the container does not have",
        group(readinessProbe={"periodSeconds": 7}),
        ("workers.default.readinessProbe.periodSeconds: has no effect",),
    ),
    Bad(
        "an exemption of nothing",
        {"podSecurity": {"exemptions": ["workers.default"]}},
        ('podSecurity.exemptions: "workers.default" is not',),
    ),
    Bad(
        "annotations of an account that is the user's",
        group(serviceAccount={"name": "mine", "annotations": {"a": "b"}}),
        ("workers.default.serviceAccount.annotations: has no effect",),
    ),
    Bad(
        "one account for two components",
        {
            "controlPlane": {"scheduler": {"serviceAccount": {"name": "mine"}}},
            **group(serviceAccount={"name": "mine"}),
        },
        (
            "workers.default.serviceAccount.name: controlPlane.scheduler uses",
            "each would have the permissions",
        ),
    ),
    Bad(
        "variables that differ in capitals",
        {"airflow": {"variables": {"Sample": "a", "SAMPLE": "b"}}},
        ("airflow.variables.", "differs from", "in capitals only"),
    ),
    Bad(
        "a field of a container that the chart sets",
        group(sidecars={"a": {**IMAGE, "restartPolicy": "Never"}}),
        ("/workers/default/sidecars/a", "'restartPolicy'"),
    ),
)
