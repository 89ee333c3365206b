"""Blocks of pods: components of the control plane, and workers."""

from __future__ import annotations

import re
from typing import Any

from scripts.from_official.result import Result, has
from scripts.from_official.source import Path, Source, listed, sets, templated

#: Keys that mean the same in both charts.
SAME = (
    "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "priorityClassName",
    "runtimeClassName", "podAnnotations", "hostAliases", "schedulerName", "dnsPolicy", "dnsConfig",
    "strategy", "revisionHistoryLimit", "terminationGracePeriodSeconds", "replicas", "resources",
)  # fmt: skip
#: Of every pod, at the root of the official values.
FOR_ALL = {
    "nodeSelector": "nodeSelector",
    "affinity": "affinity",
    "tolerations": "tolerations",
    "topologySpreadConstraints": "topologySpreadConstraints",
    "schedulerName": "schedulerName",
    "revisionHistoryLimit": "revisionHistoryLimit",
    "airflowPodAnnotations": "podAnnotations",
}
CONTAINERS = {"extraContainers": "sidecars", "extraInitContainers": "initContainers"}
DOCKER_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_TLS_CERTDIR")
#: Variables that this chart refuses, with the value to use.
REFUSED = {
    "AIRFLOW__CORE__EXECUTOR": "executor",
    "AIRFLOW__CORE__DAGS_FOLDER": "dags.path",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "workers.<name>.concurrency",
    "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": "kubernetesExecutor.namespace",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": "dags.bundles",
    "AIRFLOW__CORE__FERNET_KEY": "secrets.fernetKey",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "database.existingSecret",
    "AIRFLOW__CELERY__BROKER_URL": "broker.existingSecret",
    "AIRFLOW__CELERY__RESULT_BACKEND": "broker.existingSecret",
    "AIRFLOW__API__SECRET_KEY": "secrets.apiSecretKey",
    "AIRFLOW__API_AUTH__JWT_SECRET": "secrets.jwtSecret",
}
_UNITS = {"m": 0.001, "": 1.0} | {
    f"{unit}{i}": float((1024 if i else 1000) ** (power + 1))
    for power, unit in enumerate("kMGTPE")
    for i in ("", "i")
}
_UNITS["Ki"] = 1024.0
#: Defaults of this chart, for requests above its limits and limits below its requests.
Defaults = dict[str, Any]


def environment(source: Source, result: Result, path: Path, here: str) -> None:
    """A list of variables, or a text that is one, to a map under `here`."""
    given = source.take(*path)
    where = ".".join(path)
    variables = listed(given)
    if variables is None:
        result.decide(
            f"{where}: has Helm templates, which `{here}` does not evaluate. Write its variables there."
        )
        return
    for variable in variables:
        name = str(variable.get("name"))
        if name in REFUSED:
            result.dropped.append(f"{where}, {name}: use `{REFUSED[name]}`.")
        elif name in DOCKER_VARIABLES:
            result.dropped.append(f"{where}, {name}: the worker group's mode sets it.")
        else:
            content = (
                {"valueFrom": variable["valueFrom"]} if "valueFrom" in variable else variable.get("value", "")
            )
            result.put((*here.split("."), name), content, path)


class Pods:
    """Converts the block of one component, or of workers, to one of ours."""

    def __init__(self, source: Source, result: Result, defaults: Defaults) -> None:
        self.source, self.result, self.defaults = source, result, defaults

    def block(self, path: Path, here: str) -> None:
        """All keys that are alike, and lists that are maps here. Those of a later call win."""
        for key in SAME:
            value = self.source.look(*path, key)
            if value is not None and has(f"{here}.{key}"):
                self.source.take(*path, key)
                if sets(value) or value == 0:
                    self._put(path, here, key, value)
        if sets(self.source.look(*path, "labels")):
            self.result.put(f"{here}.podLabels", self.source.take(*path, "labels"), (*path, "labels"))
        for key in ("create", "automountServiceAccountToken"):
            self.source.take(*path, "serviceAccount", key)
        annotations = self.source.take(*path, "serviceAccount", "annotations")
        if sets(annotations):
            self.result.put(f"{here}.serviceAccount.annotations", annotations, (*path, "serviceAccount"))
        name = self.source.take(*path, "serviceAccount", "name")
        if name:
            self._account(path, here, str(name))
        if sets(self.source.look(*path, "env")):
            environment(self.source, self.result, (*path, "env"), f"{here}.env")
        self.volumes((*path, "extraVolumes"), (*path, "extraVolumeMounts"), here)
        for theirs, ours in CONTAINERS.items():
            if sets(self.source.look(*path, theirs)):
                self._containers((*path, theirs), f"{here}.{ours}")

    def volumes(self, volumes: Path, mounts: Path, here: str) -> None:
        """Lists of volumes and mounts to maps; the socket of a Docker daemon is the mode's."""
        found = listed(self.source.look(*volumes))
        mounted = listed(self.source.look(*mounts))
        if found is None or mounted is None:
            for path in (volumes, mounts):
                self.source.take(*path)
            text = (
                f"{'.'.join(volumes)}: has Helm templates. Write the volumes to `{here}.volumes` and "
                f"`volumeMounts`."
            )
            self.result.decide(text)
            return
        sockets = set()
        for volume in found:
            name = str(volume.get("name"))
            source = {key: value for key, value in volume.items() if key != "name"}
            if "docker.sock" in str(volume.get("hostPath")):
                sockets.add(name)
                text = (
                    f"{'.'.join(volumes)}, {name}: mounts the node's Docker socket. Choose a "
                    f"mode for the "
                    "worker group: `kubernetes` (the default) runs DAGs with DockerOperator without a "
                    "daemon, "
                    "`socket` uses the node's daemon (docs/modes.md)."
                )
                self.result.decide(text)
            else:
                self.result.put((*here.split("."), "volumes", name), source, volumes)
        seen: dict[str, int] = {}
        for mount in mounted:
            name = str(mount.get("name"))
            if name in sockets:
                continue
            seen[name] = seen.get(name, 0) + 1
            content = {key: value for key, value in mount.items() if key != "name"}
            if seen[name] > 1:
                content = {"name": name, **content}
            key = name if seen[name] == 1 else f"{name}-{seen[name]}"
            self.result.put((*here.split("."), "volumeMounts", key), content, mounts)
        for path in (volumes, mounts):
            self.source.take(*path)

    def _put(self, path: Path, here: str, key: str, value: Any) -> None:
        if templated(value):
            self.result.decide(f"{'.'.join((*path, key))}: has Helm templates. Set `{here}.{key}`.")
            return
        if key == "resources":
            group = re.sub(r"^workers\.[^.]+", "workerDefaults", here)
            default: Any = self.defaults
            for step in group.split("."):
                default = default.get(step, {})
            value = fitted(value, default.get("resources", {}))
        self.result.put(f"{here}.{key}", value, (*path, key))

    def _account(self, path: Path, here: str, name: str) -> None:
        if has(f"{here}.serviceAccount.name") and not self.source.look(*path, "serviceAccount", "create"):
            self.result.put(f"{here}.serviceAccount.name", name, (*path, "serviceAccount"))
        else:
            text = (
                f"{'.'.join(path)}.serviceAccount.name: the chart names its service accounts itself. If "
                f"a cloud or a "
                f"policy knows {name}, tell it the new name."
            )
            self.result.decide(text)

    def _containers(self, path: Path, here: str) -> None:
        containers = listed(self.source.take(*path))
        if containers is None:
            self.result.decide(f"{'.'.join(path)}: has Helm templates. Write the containers to `{here}`.")
            return
        for container in containers:
            image = str(container.get("image", ""))
            if re.search(r"(^|/)docker:[^/]*dind", image):
                self.result.put(here.rpartition(".")[0] + ".mode", "dind", path)
                text = (
                    f"{'.'.join(path)}, {container.get('name')}: a Docker daemon. The worker group has "
                    f"mode `dind` "
                    "instead. If its DAGs only run containers, mode `kubernetes` needs no privileges "
                    "(docs/modes.md)."
                )
                self.result.decide(text)
            elif has(here):
                content = {key: value for key, value in container.items() if key != "name"}
                self.result.put((*here.split("."), str(container.get("name"))), content, path)
                self.result.decide(
                    f"{'.'.join(path)}, {container.get('name')}: is `{here}`; set its resources."
                )
            else:
                text = f"{'.'.join(path)}, {container.get('name')}: the chart has no additional containers."
                self.result.dropped.append(text)


def fitted(resources: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Resources whose requests are not above limits, with the chart's own for what is not given."""
    result = {key: dict(resources.get(key) or {}) for key in ("requests", "limits")}
    for name in {*result["requests"], *result["limits"]}:
        for given, other in (("requests", "limits"), ("limits", "requests")):
            value, against = result[given].get(name), (default.get(other) or {}).get(name)
            if value is None or against is None or name in result[other]:
                continue
            if (_quantity(value) > _quantity(against)) == (given == "requests"):
                result[other][name] = value
    return {key: value for key, value in result.items() if value}


def _quantity(value: Any) -> float:
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(value))
    return float(match[1]) * _UNITS.get(match[2], 1.0) if match else 0.0
