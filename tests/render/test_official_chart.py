"""A key of the official chart at its place is an error that names ours, from one table."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scripts.chart import HELM3, HELM4, RenderError, official, render
from scripts.chart.values_schema import schema
from tests.render.named_keys import exists
from tests.render.test_bad_values import TRACE
from tests.render.test_typos import merged
from tests.render.values import overlaid

#: Every top-level key of the official chart, of 1.19 to 1.22.
TOP_LEVEL = re.findall(
    r"\w+",
    """
    affinity airflowConfigAnnotations airflowHome airflowLocalSettings airflowPodAnnotations
    airflowVersion allowJobLaunching allowPodLaunching apiSecretAnnotations apiSecretKey
    apiSecretKeySecretName apiServer cleanup config containerLifecycleHooks createUserJob
    dagProcessor dags data databaseCleanup defaultAirflowDigest defaultAirflowRepository
    defaultAirflowTag elasticsearch enableBuiltInSecretEnvVars enableServiceLinks env executor
    extraConfigMaps extraEnv extraEnvFrom extraSecrets fernetKey fernetKeySecretAnnotations
    fernetKeySecretName flower fullnameOverride gid imagePullSecrets images ingress jwtSecret
    jwtSecretAnnotations jwtSecretName kerberos labels limits logs migrateDatabaseJob
    multiNamespaceMode nameOverride networkPolicies nodeSelector opensearch otelCollector pgbouncer
    podTemplate ports postgresql priorityClasses quotas rbac redis registry revisionHistoryLimit
    scheduler schedulerName secret securityContext securityContexts statsd tolerations
    topologySpreadConstraints triggerer uid useStandardNaming volumeMounts volumes webserver
    webserverSecretAnnotations webserverSecretKey webserverSecretKeySecretName workers
    """,
)
#: Where a key of each component can stand.
PLACES = ("scheduler", "webserver", "workers", "workers.celery", "controlPlane.triggerer", "workerDefaults")


def given() -> list[str]:
    """Each key of the table that is refused, at each of its places."""
    keys = []
    for row in official.rows():
        if row.key in row.here or row.key == "executor":
            continue
        if row.key.startswith(official.COMPONENT):
            keys += [f"{place}.{row.key.removeprefix(official.COMPONENT)}" for place in PLACES]
        else:
            keys.append(row.key)
    return keys


def at(key: str, value: Any = ()) -> Any:
    value = {} if value == () else value
    for step in reversed(key.split(".")):
        value = {step: value}
    return value


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_every_key_is_refused_and_ours_is_named(helm: str) -> None:
    values: Any = {}
    for key in given():
        values = overlaid(values, at(key))
    with pytest.raises(RenderError) as caught:
        render(values, helm=helm)
    message = str(caught.value)
    silent = [key for key in given() if f"- {key}: is a key of the official Airflow chart." not in message]
    assert not silent
    assert not TRACE.search(message)
    assert "scheduler: is a key of the official Airflow chart. Here it is controlPlane.scheduler." in message
    assert "Here it is workerDefaults.volumes: a map by name" in message


@pytest.mark.parametrize("value", [None, False, "", [1]])
def test_any_value_is_refused(value: Any) -> None:
    values: Any = {}
    keys = ("flower", "workers.replicas", "workers.celery.keda", "dags.gitSync")
    for key in keys:
        values = merged(values, at(key, value))  # It keeps null.
    with pytest.raises(RenderError) as caught:
        render(values)
    assert all(f"- {key}: is a key of the official Airflow chart." in str(caught.value) for key in keys)


def test_every_top_level_key_is_known() -> None:
    table = {row.key.split(".")[0] for row in official.rows()}
    missing = [key for key in TOP_LEVEL if key not in table and not exists(key)]
    assert not missing
    assert not table - {*TOP_LEVEL, "*"}


@pytest.mark.parametrize("beginning", official.PLACES)
def test_the_schema_lets_exactly_these_through(beginning: str) -> None:
    found: Any = schema()
    path = official.PLACES[beginning]
    for step in path if beginning else ():
        found = found[step]
    wanted = official.pattern(beginning)
    assert found["patternProperties"].get(wanted) is True, (
        f'values.schema.json, {"/".join(path)}: set "patternProperties": {{"{wanted}": true}}'
    )


def test_worker_groups_let_the_same_through_as_components() -> None:
    defs = schema()["$defs"]
    assert defs["workerGroup"]["patternProperties"] == defs["component"]["patternProperties"]


@pytest.mark.parametrize(
    "key",
    [
        "schedulr",
        "images.gitsync",
        "ingress.Web",
        "controlPlane.scheduler.extraVolume",
        "workers.default.kedas",
    ],
)
def test_other_keys_stay_refused_by_the_schema(key: str) -> None:
    with pytest.raises(RenderError, match="additional properties"):
        render(at(key))
