"""Images, and who holds which secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from scripts.chart import Manifests
from tests.render.contracts.registry import at, contract
from tests.render.scenarios import Scenario

WORKER_FORBIDDEN = {"connection", "fernet-key", "jwt-secret"}


@contract
def images(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Every image, those in variables too, is one of .Values.images, with its pull policy."""
    registry, images = images_of(scenario)
    policies = {image_name(image, registry): image["pullPolicy"] for image in images}
    for manifest, _, container in manifests.containers:
        where = at(manifest, container)
        if container.image not in policies:
            yield f"{where}: the image {container.image!r} is none of .Values.images ({', '.join(policies)})"
        elif container.raw.get("imagePullPolicy") != policies[container.image]:
            yield f"{where}: imagePullPolicy is {container.raw.get('imagePullPolicy')!r}, not its image's"
        for name, value in manifests.environment(manifest, container).items():
            for image in re.findall(r'image\\?": ?\\?"([^"\\]+)', value):
                if image not in policies:
                    yield f"{where}, env {name}: the image {image!r} is none of .Values.images"


def images_of(scenario: Scenario) -> tuple[str, list[Mapping[str, str]]]:
    """The registry for all images, and the images."""
    values = scenario.effective
    registry = values["images"]["registry"] or values.get("global", {}).get("imageRegistry", "")
    return registry, [image for image in values["images"].values() if isinstance(image, Mapping)]


def image_name(image: Mapping[str, str], registry: str) -> str:
    """repository@digest, else repository:tag, with another registry in it."""
    repository = image["repository"]
    if registry:
        first, _, rest = repository.partition("/")
        path = rest if rest and ("." in first or ":" in first or first == "localhost") else repository
        repository = f"{registry.removesuffix('/')}/{path}"
    return f"{repository}@{image['digest']}" if image["digest"] else f"{repository}:{image['tag']}"


@contract
def pull_secrets(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Every pod has exactly the imagePullSecrets of the values and of a parent chart."""
    values = scenario.effective
    given = [*values["imagePullSecrets"], *values.get("global", {}).get("imagePullSecrets", ())]
    wanted = [*dict.fromkeys(each if isinstance(each, str) else each["name"] for each in given)]
    for manifest, pod in manifests.pods:
        found = [secret["name"] for secret in pod.raw.get("imagePullSecrets") or ()]
        if found != wanted:
            yield f"{manifest}: imagePullSecrets are {found}, the values say {wanted}"


@contract
def worker_secrets(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Workers hold no database URL, Fernet key, JWT secret or administrator's password, by no way."""
    forbidden = {
        reference.name
        for manifest, pod in manifests.pods
        if manifest.component != "worker"
        for reference in pod.references
        if reference.kind == "Secret" and (reference.key in WORKER_FORBIDDEN or "ADMIN" in reference.where)
    }
    git = scenario.effective["dags"]["git"].values()
    tokens = {(each or {}).get("tokenSecret") for each in git}
    for manifest, pod in manifests.pods:
        if manifest.component != "worker":
            continue
        for reference in pod.references:
            if reference.where == "volume git" and reference.name in tokens:
                continue
            if reference.kind == "Secret" and reference.where != "imagePullSecrets":
                whole = reference.key is None and reference.name in forbidden
                if whole or reference.key in WORKER_FORBIDDEN | {"username", "password"}:
                    what = reference.key or "all keys"
                    yield (
                        f"{manifest}, {reference.where}: a worker must not hold {what} of the Secret "
                        f"{reference.name}"
                    )
        for container in pod.containers:
            for name in (
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
                "AIRFLOW__CORE__FERNET_KEY",
                "AIRFLOW__API_AUTH__JWT_SECRET",
            ):
                if name in container.env:
                    yield f"{at(manifest, container)}: a worker must not have {name}"


@contract
def dag_code_secrets(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Where authors' code runs beside secrets, it is kept from every secret of Airflow's configuration."""
    separate = scenario.effective["controlPlane"].get("separateDagCode") is not False
    for component in ("dag-processor", "triggerer"):
        for manifest in manifests.all("Deployment", component=component):
            assert manifest.pod
            container = manifest.pod.container(component)
            launched = "/opt/airdock/separate_dag_code.py" in container.raw["args"]
            if launched != separate:
                yield f"{at(manifest, container)}: its args are {container.raw['args']}"
            elif launched:
                secret = {each.name for each in container.env_list if each.secret}
                withheld = str(container.env["AIRDOCK_WITHHELD"].value).split(",")
                if missing := {name for name in secret if name.startswith("AIRFLOW__")} - {*withheld}:
                    yield f"{at(manifest, container)}: DAG code gets {', '.join(sorted(missing))}"


@contract
def no_secret_rendered(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """No Secret object, and no literal where a secret belongs."""
    word = re.compile(
        r"(password|passwd|secret|fernet_?key|token|sql_alchemy_conn|broker_url|result_backend)", re.I
    )
    for manifest in manifests:
        if manifest.kind == "Secret":
            yield f"{manifest}: Secrets are made in the cluster or given, never rendered"
    for manifest, _, container in manifests.containers:
        for variable in container.env_list:
            # Without a host libpq takes everything from the environment.
            if variable.value == "postgresql+psycopg2://":
                continue
            if variable.value and re.fullmatch(rf".*__?({word.pattern})(_KEY|_CMD)?", variable.name, re.I):
                yield f"{at(manifest, container)}: the variable {variable.name} holds a literal"
    for config in manifests.all("ConfigMap"):
        text = (config.get("data") or {}).get("airflow.cfg") or ""
        for key in re.findall(
            r"(?m)^(sql_alchemy_conn|fernet_key|secret_key|jwt_secret|broker_url|result_backend) =", text
        ):
            yield f"{config}: airflow.cfg holds {key}, which is a secret"


@contract
def no_hooks(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Plain objects that converge in any order: no Helm or Argo CD hooks, no one-shot pods.

    The pod of `helm test` is none of an installation.
    """
    for manifest in manifests:
        if manifest.kind == "Pod" and manifest.annotations.get("helm.sh/hook") == "test":
            continue
        for key in manifest.annotations:
            if key.startswith(("helm.sh/hook", "argocd.argoproj.io/hook", "argocd.argoproj.io/sync-wave")):
                yield f"{manifest}: the annotation {key} orders it; objects must converge without"
        if manifest.kind in ("Job", "Pod"):
            yield (
                f"{manifest}: a {manifest.kind}'s template is immutable, so any change of it fails the "
                "upgrade"
            )
