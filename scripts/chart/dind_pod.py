"""A worker's pod of mode dind as the chart renders it, with a shell in the worker's place and no release."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from scripts.chart.helm import render

_RELEASE = "d"
_GROUP = "w"
#: What a shell in the worker's place has of the worker.
_VARIABLES = ("DOCKER_HOST", "DOCKER_CONFIG", "TMPDIR")
_VOLUMES = {"docker-config", "docker-registries"}


def values(dind: Mapping[str, Any]) -> dict[str, Any]:
    """Values with one worker group of mode dind, which has these settings."""
    return {"workers": {"default": None, _GROUP: {"mode": "dind", "queues": [_GROUP], "dind": {**dind}}}}


def objects(
    given: Mapping[str, Any], namespace: str, script: str = "exec sleep 3600"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the ConfigMap of scripts and the workload of `values()`; the script runs in the worker's place."""
    manifests = render(given, release=_RELEASE, namespace=namespace)
    scripts = copy.deepcopy(manifests.one("ConfigMap", name=f"{_RELEASE}-airdock-dind").raw)
    kind = "StatefulSet" if given["workers"][_GROUP]["dind"].get("claim") else "Deployment"
    workload = copy.deepcopy(manifests.one(kind, name=f"{_RELEASE}-airdock-worker-{_GROUP}").raw)
    spec = workload["spec"]["template"]["spec"]
    del spec["serviceAccountName"]
    spec["terminationGracePeriodSeconds"] = 30
    (worker,) = spec["containers"]
    # There are no logs of tasks.
    spec["initContainers"] = [c for c in spec["initContainers"] if c["name"] != "log-groomer"]
    (daemon,) = (c for c in spec["initContainers"] if c["name"] == "docker")
    shared = {mount["name"] for mount in daemon["volumeMounts"]}
    spec["containers"] = [
        {
            "name": "worker",
            "image": next(c["image"] for c in spec["initContainers"] if c["name"] == "docker-prune"),
            "command": ["sh", "-c", script],
            "env": [entry for entry in worker["env"] if entry["name"] in _VARIABLES],
            "securityContext": worker["securityContext"],
            "volumeMounts": [mount for mount in worker["volumeMounts"] if mount["name"] in shared | _VOLUMES],
        }
    ]
    used = {mount["name"] for c in spec["initContainers"] + spec["containers"] for mount in c["volumeMounts"]}
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] in used]
    return dict(scripts), dict(workload)


def pod_of(workload: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give a bare pod of a workload; its claims (see `claims_of`) are volumes of it."""
    spec = copy.deepcopy(workload["spec"]["template"]["spec"])
    for claim in claims_of(workload):
        volume = claim["metadata"]["name"]
        spec["volumes"].append({"name": volume, "persistentVolumeClaim": {"claimName": volume}})
    metadata = {"name": name, "namespace": workload["metadata"]["namespace"], "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def claims_of(workload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the claims that a bare pod of a StatefulSet takes, by the names of their templates."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": template["metadata"]["name"],
                "namespace": workload["metadata"]["namespace"],
            },
            "spec": template["spec"],
        }
        for template in workload["spec"].get("volumeClaimTemplates", ())
    ]
