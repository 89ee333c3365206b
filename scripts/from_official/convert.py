"""Converts the values of the official chart, key by key."""

from __future__ import annotations

import re
from typing import Any

import yaml

from scripts.chart import CHART, load_yaml, official
from scripts.from_official import dags, exposure, stores, workers
from scripts.from_official.pods import FOR_ALL, Pods
from scripts.from_official.pods import environment as variables
from scripts.from_official.result import Result, has
from scripts.from_official.source import Path, Source, listed, sets, templated

COMPONENTS = {
    "webserver": "apiServer",
    "apiServer": "apiServer",
    "scheduler": "scheduler",
    "dagProcessor": "dagProcessor",
    "triggerer": "triggerer",
}
EXECUTORS = {
    "CeleryExecutor": "CeleryExecutor",
    "KubernetesExecutor": "KubernetesExecutor",
    "CeleryKubernetesExecutor": "CeleryExecutor,KubernetesExecutor",
    "LocalKubernetesExecutor": "KubernetesExecutor",
}
#: Options of Airflow that are values of their own here, or that the chart sets.
OPTIONS = {
    "core.dags_folder": "dags.path",
    "core.executor": "executor",
    "core.load_examples": "dags.examples",
    "core.fernet_key": "secrets.fernetKey",
    "database.sql_alchemy_conn": "database.existingSecret",
    "celery.broker_url": "broker.existingSecret",
    "celery.result_backend": "broker.existingSecret",
    "api.secret_key": "secrets.apiSecretKey",
    "api_auth.jwt_secret": "secrets.jwtSecret",
    "kubernetes_executor.namespace": "kubernetesExecutor.namespace",
    "dag_processor.dag_bundle_config_list": "dags.bundles",
}
#: Sections that Airflow 3 does not have, or that belong to what there is not here.
SECTIONS = ("webserver", "kubernetes", "celery_kubernetes_executor", "kerberos", "elasticsearch_configs")
#: Options of Airflow 1, which the official chart still sets.
OLD = ("scheduler.statsd_", "scheduler.run_duration", "core.colored_console_log")


def convert(text: str) -> Result:
    """Values of this chart for a values file of the official chart.

    Raises:
        SourceError: if the text is no values file.
    """
    source = Source(text)
    result = Result(source)
    defaults = load_yaml((CHART / "values.yaml").read_text(), "values.yaml")[0]
    pods = Pods(source, result, defaults)
    for key in ("nameOverride", "fullnameOverride"):
        if source.take(key):
            result.put(key, source.take(key), (key,))
    _executor(source, result)
    images(source, result)
    environment(source, result)
    stores.database(source, result, pods)
    stores.broker(source, result, pods)
    stores.secret_keys(source, result)
    stores.login(source, result)
    dags.sources(source, result)
    dags.logs(source, result)
    _components(source, result, pods)
    workers.groups(source, result, pods)
    config(source, result)
    _network(source, result)
    _others(source, result)
    for path in source.unread():
        result.dropped.append(f"{'.'.join(path)}: {_reason(path)}")
    return result


def _executor(source: Source, result: Result) -> None:
    given = str(source.take("executor") or "CeleryExecutor")
    ours: list[str] = []
    for name in (each.strip() for each in given.split(",")):
        ours += EXECUTORS.get(name.rpartition(".")[2].partition(":")[0], "").split(",")
        if name.rpartition(".")[2] not in EXECUTORS or "Local" in name:
            result.decide(
                f"executor: {name} does not exist here. Its tasks run with the executor in `executor`."
            )
    wanted = ",".join(dict.fromkeys(filter(None, ours))) or "CeleryExecutor"
    result.put("executor", wanted, ("executor",))


def images(source: Source, result: Result) -> None:
    """Images, and the Secrets that pull them."""
    for name, key in (("Repository", "repository"), ("Tag", "tag"), ("Digest", "digest")):
        for path in ((f"defaultAirflow{name}",), ("images", "airflow", key)):
            value = source.take(*path)
            if value and not templated(value):
                result.put(f"images.airflow.{key}", str(value), path)
            elif value:
                result.decide(f"{'.'.join(path)}: has Helm templates. Set `images.airflow.{key}`.")
    version = str(source.take("airflowVersion") or "")
    tag = str(result.get("images.airflow.tag") or version)
    old = re.match(r"(\d+)\.(\d+)", tag)
    if old and (int(old[1]), int(old[2])) < (3, 1):
        result.values["images"]["airflow"].pop("tag", None) if result.get("images.airflow.tag") else None
        text = (
            f"images.airflow.tag: Airflow {tag} is too old, the chart needs 3.1 or later. Upgrade "
            f"Airflow first."
        )
        result.decide(text)
    celery, pooled = "Celery" in str(result.get("executor")), source.look("pgbouncer", "enabled")
    for name in ("airflow", "redis", "pgbouncer"):
        for key in ("repository", "tag", "digest", "pullPolicy"):
            value = source.take("images", name, key)
            used = pooled if name == "pgbouncer" else (name == "redis" and celery) or key == "pullPolicy"
            if value and not templated(value) and used:
                result.put(f"images.{name}.{key}", str(value), ("images", name, key))
    names = source.take("imagePullSecrets") or []
    names = names if isinstance(names, list) else [names]
    if source.take("registry", "secretName"):
        names = [*names, source.look("registry", "secretName")]
    if names:
        result.put("imagePullSecrets", names, ("imagePullSecrets",))
        result.secrets.append(f"{', '.join(map(_name, names))}: `imagePullSecrets`")
    if sets(source.take("registry", "connection")):
        result.decide(
            "registry.connection: create the Secret with kubectl, and name it in `imagePullSecrets`."
        )


def _name(secret: Any) -> str:
    return str(secret.get("name") if isinstance(secret, dict) else secret)


def environment(source: Source, result: Result) -> None:
    """Variables, local settings and labels of all components."""
    for key in ("env", "extraEnv"):
        if sets(source.look(key)):
            variables(source, result, (key,), "airflow.env")
    for variable in source.take("secret") or []:
        reference = {"name": variable.get("secretName"), "key": variable.get("secretKey", "value")}
        result.put(
            ("airflow", "env", str(variable.get("envName"))),
            {"valueFrom": {"secretKeyRef": reference}},
            ("secret",),
        )
        result.secrets.append(f"{reference['name']}, key {reference['key']}: `airflow.env`")
    given = listed(source.take("extraEnvFrom"))
    if given is None or (given and not has("workerDefaults.envFrom")):
        text = (
            "extraEnvFrom: write one entry in `airflow.env` for each key: {valueFrom: {secretKeyRef: "
            "{name: ..., key: ...}}}."
        )
        result.decide(text)
    settings = source.take("airflowLocalSettings")
    if settings and not templated(settings):
        result.put("airflow.localSettings", settings, ("airflowLocalSettings",))
    elif settings and "DASHBOARD_UIALERTS" not in settings:
        result.decide(
            "airflowLocalSettings: has Helm templates. Write the Python source to `airflow.localSettings`."
        )
    if sets(source.look("labels")):
        result.put("commonLabels", source.take("labels"), ("labels",))


def _components(source: Source, result: Result, pods: Pods) -> None:
    places = [*dict.fromkeys(f"controlPlane.{ours}" for ours in COMPONENTS.values()), "workerDefaults"]
    for here in places:
        for theirs, ours in FOR_ALL.items():
            value, place = source.look(theirs), here
            if theirs == ours and has(f"podDefaults.{ours}"):
                place = "podDefaults"  # Redis has it there, too; annotations only Airflow.
            if sets(value) and has(f"{place}.{ours}"):
                result.put(f"{place}.{ours}", source.take(theirs), (theirs,))
        sources = listed(source.look("extraEnvFrom"))
        if sources and has(f"{here}.envFrom"):
            result.put(f"{here}.envFrom", sources, ("extraEnvFrom",))
        if sets(source.look("volumes")) or sets(source.look("volumeMounts")):
            pods.volumes(("volumes",), ("volumeMounts",), here)
    for theirs, ours in COMPONENTS.items():
        if theirs == "webserver" and source.look("apiServer"):
            continue  # The webserver of Airflow 2: the api-server's own block counts.
        if source.take(theirs, "enabled") is False and theirs != "webserver":
            result.put(f"controlPlane.{ours}.replicas", 0, (theirs, "enabled"))
            continue
        pods.block((theirs,), f"controlPlane.{ours}")
    if source.look("apiServer"):
        source.take("webserver")


def config(source: Source, result: Result) -> None:
    """Options of airflow.cfg."""
    statsd = templated(source.look("config", "metrics", "statsd_on"))  # The official chart's own server.
    for section, options in source.block("config").items():
        if not isinstance(options, dict):
            continue
        for option, value in options.items():
            path = ("config", str(section), str(option))
            key = f"{section}.{option}".lower()
            if source.look(*path) is None or path in source.used or key == "core.auth_manager":
                continue
            source.take(*path)
            if templated(value) or key.startswith(OLD) or (key.startswith("metrics.statsd_") and statsd):
                continue
            if section in SECTIONS:
                result.dropped.append(f"config.{section}: Airflow 3 or this chart does not use it.")
            elif key in OPTIONS:
                if key != "core.load_examples":
                    result.dropped.append(f"{'.'.join(path)}: use `{OPTIONS[key]}`.")
            else:
                result.put(("airflow", "config", *key.split(".", 1)), value, path)
    source.take("config")


def _network(source: Source, result: Result) -> None:
    exposure.ingress(source, result)
    exposure.service(source, result)
    if source.look("networkPolicies", "enabled") is False:
        text = (
            "networkPolicies.enabled: is false, but here NetworkPolicies are on by default "
            "(`networkPolicy.enabled`)."
        )
        result.decide(text)
    source.take("networkPolicies")


def _others(source: Source, result: Result) -> None:
    if source.take("allowJobLaunching"):
        result.put("tasks.rbac.jobs", True, ("allowJobLaunching",))
    source.take("allowPodLaunching")
    budgets = [source.block(name, "podDisruptionBudget") for name in COMPONENTS]
    wanted = [each for each in budgets if each.get("enabled")]
    if wanted:
        result.put("podDisruptionBudget.enabled", True)
        most = (wanted[0].get("config") or {}).get("maxUnavailable")
        if most:
            result.put("podDisruptionBudget.maxUnavailable", most)
    for name in COMPONENTS:
        source.take(name, "podDisruptionBudget")
    objects: list[dict[str, Any]] = []
    for entry in source.take("priorityClasses") or []:
        objects.append(
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": entry.get("name")},
                **{key: value for key, value in entry.items() if key != "name"},
            }
        )
    for name, content in (source.take("extraConfigMaps") or {}).items():
        made = _config_map(name, content)
        if made:
            objects.append(made)
        else:
            result.decide(
                f"extraConfigMaps, {name}: refers to values of the official chart. Write it to "
                f"`extraObjects`."
            )
    if objects:
        result.put("extraObjects", objects, ("extraConfigMaps",))
    for name in source.take("extraSecrets") or {}:
        result.decide(
            f"extraSecrets, {name}: create the Secret with kubectl, External Secrets or Sealed Secrets."
        )
    if source.take("podTemplate"):
        result.decide(
            "podTemplate: the worker group is the template. Write its settings to `workers.<name>`."
        )
    if source.take("multiNamespaceMode"):
        result.decide("multiNamespaceMode: name the namespaces of task pods in `tasks.extraNamespaces`.")


def _config_map(name: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """A ConfigMap for extraObjects, whose templates Helm evaluates; None if they refer to other values."""
    data = content.get("data")
    text = f"{name} {data}"
    if re.search(r"\.Values|include|template|tpl", text):
        return None
    try:
        data = yaml.safe_load(data) if isinstance(data, str) else data
    except yaml.YAMLError:
        return None
    metadata = {"name": name, **{key: content[key] for key in ("labels", "annotations") if content.get(key)}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {}}


def _reason(path: Path) -> str:
    """What the table says about a key, or about the next one above it."""
    if path[-1].endswith("Probe"):
        return "is for the official chart's own probe."
    rows = {row.key: row for row in official.rows()}
    for length in range(len(path), 0, -1):
        names = [".".join(path[:length])]
        if length > 1:
            names.append(official.COMPONENT + path[length - 1])
        for row in (rows[name] for name in names if name in rows):
            if row.here and length < len(path):
                return "has no counterpart here."
            here = ", ".join(f"`{key.removeprefix(official.COMPONENT)}`" for key in row.here)
            return f"see {here}: {row.note}." if here and row.note else f"see {here}." if here else row.note
    return "has no counterpart here."
