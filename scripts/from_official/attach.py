"""Values of worker groups that join the official chart's release, for its values file."""

from __future__ import annotations

from scripts.chart import CHART, load_yaml
from scripts.from_official import dags, pods
from scripts.from_official.convert import config, environment, images
from scripts.from_official.result import Result
from scripts.from_official.source import Source, templated

#: The bundle's name of a DAG folder in Airflow: a worker asks for the bundle that the dag-processor names.
FOLDER = "dags-folder"


def attached(text: str, release: str) -> Result:
    """Values for `controlPlane.enabled: false` beside a release of the official chart.

    What only the other side needs (database, sign-on, Ingress, ...) is left out and not reported.

    Raises:
        SourceError: if the text is no values file.
    """
    source = Source(text)
    result = Result(source)
    if "Celery" not in str(source.take("executor") or "CeleryExecutor"):
        result.decide(
            "executor: worker groups can join only an Airflow with CeleryExecutor. Add it to the other side: "
            "executor: CeleryExecutor,KubernetesExecutor."
        )
    images(source, result)
    result.values.get("images", {}).pop("redis", None)
    result.values.get("images", {}).pop("pgbouncer", None)
    environment(source, result)
    concurrency = source.take("config", "celery", "worker_concurrency")
    if isinstance(concurrency, int):
        result.put("workerDefaults.concurrency", concurrency, ("config", "celery", "worker_concurrency"))
    config(source, result)
    result.put("controlPlane.enabled", False)
    result.put("controlPlane.executionApiUrl", f"http://{release}-api-server:8080/execution/")
    _secrets(source, result, release)
    _dags(source, result, release)
    pods.Pods(source, result, load_yaml((CHART / "values.yaml").read_text(), "values.yaml")[0]).block(
        ("workers",), "workerDefaults"
    )
    result.values.get("workerDefaults", {}).pop("replicas", None)
    labels = {"component": "api-server", "release": release}
    result.put("networkPolicy.logsFrom", [{"podSelector": {"matchLabels": labels}}])
    result.put("workers.default", {"mode": "kubernetes", "queues": ["kubernetes"]})
    result.put("workers.docker", {"mode": "dind", "queues": ["docker"]})
    result.dropped.clear()
    return result


def _secrets(source: Source, result: Result, release: str) -> None:
    for place, key, default in (
        (("data", "brokerUrlSecretName"), "broker.existingSecret", "broker-url"),
        (("apiSecretKeySecretName",), "secrets.apiSecretKey", "api-secret-key"),
    ):
        name = str(source.take(*place) or "")
        if templated(name):
            result.decide(f"{'.'.join(place)}: has Helm templates. Set `{key}` to the name of the Secret.")
            continue
        name = name or f"{release}-{default}"
        result.put(key, name, place)
        result.secrets.append(f"{name}: `{key}`")
    broker = result.get("broker.existingSecret")
    result.put("broker.keys", {"brokerUrl": "connection", "resultBackend": "connection"})
    if broker and source.take("data", "resultBackendSecretName") != broker:
        result.decide(
            f"data.resultBackendSecretName: set it to {broker} in the values of the official chart. Celery "
            "then stores its results in Redis. Otherwise they are in the database, and each worker needs its "
            "password."
        )


def _dags(source: Source, result: Result, release: str) -> None:
    claim = source.block("dags", "persistence")
    own = (
        claim.get("enabled")
        and not source.look("dags", "gitSync", "enabled")
        and not claim.get("existingClaim")
    )
    dags.sources(source, result)
    if own:
        result.put("dags.volume", {"persistentVolumeClaim": {"claimName": f"{release}-dags"}})
        result.decisions = [text for text in result.decisions if not text.startswith("dags.persistence:")]
    git = result.get("dags.git")
    if git and "dags" in git:
        git[FOLDER] = git.pop("dags")
