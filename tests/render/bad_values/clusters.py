"""Other clusters that cannot work."""

from __future__ import annotations

from typing import Any

from tests.render.bad_values.model import Bad

GPU = {"kubeconfigSecret": "gpu"}


def clusters(**entries: Any) -> dict[str, Any]:
    return {"tasks": {"clusters": entries}}


CLUSTERS = (
    *(
        Bad(
            f"a cluster called {name}",
            clusters(**{name: GPU}),
            (f'tasks.clusters.{name}: "{name}" cannot be a part of a connection id', "1 problem(s)"),
        )
        for name in ("gpu-1", "Gpu", "1gpu", "g.p.u", "g" * 31)
    ),
    Bad("the own cluster's name", clusters(default=GPU), ("tasks.clusters.default: kubernetes_default is",)),
    Bad(
        "a connection of the same name",
        {**clusters(gpu=GPU), "airflow": {"connections": {"KUBERNETES_GPU": "kubernetes://"}}},
        ("airflow.connections.kubernetes_gpu: the chart defines this connection, for tasks.clusters.gpu",),
    ),
    Bad(
        "no group that could use it",
        {**clusters(gpu=GPU), "workers": {"default": {"kubernetesOperators": False}}},
        ("tasks.clusters.gpu: has no effect, because no worker group runs", "1 problem(s)"),
    ),
    Bad(
        "a group that cannot use it",
        {"workers": {"node": {"mode": "dind", "queues": ["node"], "tasks": {"clusters": {"gpu": GPU}}}}},
        ("workers.node.tasks.clusters.gpu: has no effect, because workers.node runs no",),
    ),
    Bad(
        "two kubeconfigs for one connection of the triggerer",
        {
            **clusters(gpu=GPU),
            "workers": {
                "team": {"queues": ["team"], "tasks": {"clusters": {"gpu": {"kubeconfigSecret": "team"}}}}
            },
        },
        ("workers.team.tasks.clusters.gpu: differs from tasks.clusters.gpu", "kubernetes_gpu"),
    ),
    Bad("a cluster without a kubeconfig", clusters(gpu={"namespace": "a"}), ("kubeconfigSecret",)),
    Bad("an address that is no CIDR", clusters(gpu={**GPU, "apiServerCIDR": "10.0.0.1"}), ("apiServerCIDR",)),
    Bad("a port that is none", clusters(gpu={**GPU, "apiServerPort": 0}), ("apiServerPort",)),
)
