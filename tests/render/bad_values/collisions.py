"""Values that collide with other ones."""

from __future__ import annotations

from tests.render.bad_values.model import Bad, group
from tests.render.values import DIND

SECRET = {"env": {"X": {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}, "value": "x"}}}
COLLISIONS = (
    Bad(
        "one queue in two modes",
        {"workers": {"a": {"mode": "dind", "queues": ["default"]}}},
        ("workers.", 'queue "default"', "mode"),
    ),
    Bad("a value and a source", group(**SECRET), ("/workers/default/env/X",)),
    Bad("a queue twice", group(queues=["a", "a"]), ("/workers/default/queues",)),
    Bad(
        "a worker exempt from the fence",
        {"tasks": {"admission": {"exemptUsers": ["system:serviceaccount:airdock:airdock-worker-default"]}}},
        ("tasks.admission.exemptUsers", "worker's service account"),
    ),
    Bad(
        "all accounts exempt from the fence",
        {"tasks": {"admission": {"exemptGroups": ["system:serviceaccounts"]}}},
        ("tasks.admission.exemptGroups", "the workers' service accounts"),
    ),
    Bad(
        "Docker tasks for a queue whose group serves no Docker",
        {**DIND, "airflow": {"queues": {"docker": "dcoker"}}},
        ("airflow.queues.docker", "dcoker", "one of: docker"),
    ),
    Bad(
        "pods for a queue without pods",
        {**DIND, "airflow": {"queues": {"kubernetes": "docker"}}},
        ("airflow.queues.kubernetes", "no worker group can run them"),
    ),
    Bad(
        "a mount without its volume",
        group(volumeMounts={"data": {"mountPath": "/data"}}),
        ("workers.default.volumeMounts.data", "does not exist", "workers.default.volumes"),
    ),
    Bad(
        "a mount at nothing",
        {"controlPlane": {"scheduler": {"volumes": {"x": {"emptyDir": {}}}, "volumeMounts": {"x": {}}}}},
        ("controlPlane.scheduler.volumeMounts.x.mountPath",),
    ),
    Bad(
        "a mount where the chart mounts",
        group(volumes={"x": {"emptyDir": {}}}, volumeMounts={"x": {"mountPath": "/tmp"}}),
        ("workers.default.volumeMounts.", "/tmp"),
    ),
    Bad(
        "a volume with two sources",
        group(mode="dind", dind={"dataVolume": {"emptyDir": {}, "hostPath": {"path": "/x"}}}),
        ("/workers/default/dind/dataVolume",),
    ),
    Bad(
        "a daemon with two volumes",
        group(mode="dind", dind={"dataVolume": {"emptyDir": {}}, "claim": {"size": "1Gi"}}),
        ("workers.default.dind.claim", "dataVolume"),
    ),
    *(
        Bad(
            f"a {kind} that two daemons would share",
            group(mode="dind", dind={"dataVolume": {kind: source}}),
            (f"workers.default.dind.dataVolume.{kind}", "workers.default.dind.claim.size"),
        )
        for kind, source in (
            ("persistentVolumeClaim", {"claimName": "cache"}),
            ("hostPath", {"path": "/data"}),
            ("nfs", {"server": "a", "path": "/b"}),
        )
    ),
    Bad(
        "pruning that ends above where it begins",
        group(mode="dind", dind={"prune": {"lowThresholdPercent": 90}}),
        ("workers.default.dind.prune.lowThresholdPercent", "90", "80"),
    ),
    Bad(
        "a daemon's range in the cluster's",
        group(mode="dind", dind={"network": {"bip": "10.1.2.1/24", "clusterCIDRs": ["10.0.0.0/12"]}}),
        ("workers.default.dind.network.bip", "10.1.2.1/24", "10.0.0.0/12"),
    ),
    Bad(
        "Docker's own ranges in the cluster's",
        group(mode="dind", dind={"network": {"bip": "10.1.2.1/24", "clusterCIDRs": ["172.20.0.0/16"]}}),
        ("workers.default.dind.network.defaultAddressPools", "172.20.0.0/14", "172.20.0.0/16"),
    ),
    Bad(
        "networks larger than their pool",
        group(
            mode="dind",
            dind={"network": {"defaultAddressPools": [{"base": "10.1.0.0/16", "size": 12}]}},
        ),
        ("workers.default.dind.network.defaultAddressPools", "/12", "10.1.0.0/16"),
    ),
    Bad(
        "a user namespace on a Kubernetes without",
        group(mode="dind", dind={"variant": "userNamespace"}),
        ("workers.default.dind.variant", "1.33"),
        {"kube_version": "1.32.0"},
    ),
    Bad(
        "the selector's label",
        {"commonLabels": {"app.kubernetes.io/name": "x"}},
        ("/commonLabels/app.kubernetes.io", "name"),
    ),
    Bad(
        "two places for DAGs",
        {"dags": {"examples": True, "volume": {"emptyDir": {}}}},
        ("dags.volume:", "dags.examples"),
    ),
)
