"""The chart's own merges: a user's false, 0, "", [] and {} win, null unsets, and nothing else does."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import CHART, HELM3, HELM4, render
from tests.render.values import overlaid

ABSENT = object()
#: Every kind of value, with the empty one of its kind first.
KINDS: dict[str, Any] = {
    "absent": ABSENT,
    "null": None,
    "false": False,
    "true": True,
    "0": 0,
    "1": 1,
    "empty-string": "",
    "string": "x",
    "empty-list": [],
    "list": ["x"],
    "empty-map": {},
    "map": {"x": 1},
    "map-of-nulls": {"x": None, "y": {"z": None}},
    "map-of-maps": {"x": {"y": [], "z": False}},
    "million": 10**6,
}
#: A chart of the real chart's merge helpers and one template that shows what they make of .Values.cases.
PROBE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: probe}
data:
  {{- range .Values.cases }}
  merge-{{ .name }}: {{ include "airdock.merge" (dict "base" .base "over" .over) | quote }}
  overlay-{{ .name }}: {{ include "airdock.overlay" (list .base nil .over) | quote }}
  {{- end }}
"""


def case(key: str) -> dict[str, Any]:
    return {} if KINDS[key] is ABSENT else {"key": KINDS[key]}


@pytest.fixture(scope="module")
def probe_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chart = tmp_path_factory.mktemp("merge") / "probe"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: probe\nversion: 1.0.0\n")
    shutil.copy(CHART / "templates" / "lib" / "_merge.tpl", chart / "templates")
    (chart / "templates" / "probe.yaml").write_text(PROBE)
    return chart


@lru_cache
def made(chart: Path, helm: str) -> dict[str, Any]:
    """What each helper makes of each pair, all in one render. A list: Helm itself drops nulls of maps."""
    cases = [
        {"name": f"{base}-{over}", "base": case(base), "over": case(over)} for base in KINDS for over in KINDS
    ]
    data = render({"cases": cases}, chart=chart, helm=helm).one("ConfigMap", name="probe").get("data")
    return {name: json.loads(text) for name, text in data.items()}


def without_nulls(value: Any) -> Any:
    return (
        {key: without_nulls(item) for key, item in value.items() if item is not None}
        if isinstance(value, dict)
        else value
    )


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize("over", KINDS)
@pytest.mark.parametrize("base", [key for key in KINDS if key not in ("null", "map-of-nulls")])
def test_truth_table(base: str, over: str, helm: str, probe_chart: Path) -> None:
    """Maps deep, all else replaced, null unsets: against a reference in Python."""
    wanted = without_nulls(overlaid(case(base), case(over)))
    assert made(probe_chart, helm)[f"merge-{base}-{over}"] == wanted


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize("over", KINDS)
def test_overlay_replaces_whole(over: str, helm: str, probe_chart: Path) -> None:
    """A later map's key takes the place of an earlier one's, whatever both are; null removes it."""
    wanted = {key: value for key, value in {**case("map"), **case(over)}.items() if value is not None}
    assert made(probe_chart, helm)[f"overlay-map-{over}"] == wanted


#: (setting of workerDefaults, of the group, value expected in the group's Deployment or None for not there).
GROUPS = {
    "0 wins over 3": ("replicas", 3, 0, 0),
    "absent inherits": ("replicas", 3, ABSENT, 3),
    "an empty list wins": ("tolerations", [{"operator": "Exists"}], [], None),
    "null unsets a list": ("tolerations", [{"operator": "Exists"}], None, None),
    "an empty map changes nothing": ("nodeSelector", {"a": "b"}, {}, {"a": "b"}),
    "null unsets a map": ("nodeSelector", {"a": "b"}, None, None),
    "null unsets a key": ("nodeSelector", {"a": "b", "c": "d"}, {"a": None}, {"c": "d"}),
    "keys of both": ("nodeSelector", {"a": "b"}, {"c": "d"}, {"a": "b", "c": "d"}),
    "an empty string unsets a class": ("priorityClassName", "high", "", None),
    "null unsets a class": ("priorityClassName", "high", None, None),
    "null unsets the grace": ("terminationGracePeriodSeconds", 900, None, 30),
}


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize("name", GROUPS)
def test_group_over_defaults(name: str, helm: str) -> None:
    """The same through values, schema and the pod."""
    key, default, own, wanted = GROUPS[name]
    group = {"queues": ["g"]} | ({} if own is ABSENT else {key: own})
    manifests = render({"workerDefaults": {key: default}, "workers": {"g": group}}, helm=helm)
    worker = manifests.one("Deployment", name="airdock-worker-g")
    assert worker.pod
    found = worker.get("spec", key) if key == "replicas" else worker.pod.raw.get(key)
    assert found == wanted


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_env_values(helm: str) -> None:
    """Falsy, large and odd values arrive as they were written; null removes what workerDefaults set."""
    env = {"A": False, "B": 0, "C": "", "D": 10**6, "E": 0.5, "F": "{{ .Values }}", "G": "a\nb: c", "H": "~"}
    group = {"queues": ["g"], "env": {**env, "SHARED": None}}
    manifests = render({"workerDefaults": {"env": {"SHARED": "x"}}, "workers": {"g": group}}, helm=helm)
    pod = manifests.one("Deployment", name="airdock-worker-g").pod
    assert pod
    found = {name: variable.value for name, variable in pod.container("worker").env.items()}
    wanted = {"A": "false", "B": "0", "D": "1000000", "E": "0.5"}
    assert {name: found.get(name) for name in env} == env | wanted
    assert "SHARED" not in found


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_resources_lose_a_limit_by_null(helm: str) -> None:
    group = {"queues": ["g"], "resources": {"limits": {"cpu": None, "memory": "3Gi"}}}
    pod = render({"workers": {"g": group}}, helm=helm).one("Deployment", name="airdock-worker-g").pod
    assert pod
    assert pod.container("worker").raw["resources"]["limits"] == {"memory": "3Gi"}


def test_large_numbers_are_written_out() -> None:
    values = {"tasks": {"ttlSecondsAfterFinished": 10**7}, "workers": {"default": {}}}
    group = {"queues": ["g"], "terminationGracePeriodSeconds": 10**7}
    worker = render(overlaid(values, {"workers": {"g": group}})).one("Deployment", name="airdock-worker-g")
    assert worker.pod
    assert worker.pod.container("worker").env["AIRDOCK_TASK_TTL_SECONDS"].value == "10000000"
    assert worker.pod.raw["terminationGracePeriodSeconds"] == 10**7


def test_docker_volume_of_a_group_replaces_the_default() -> None:
    default = {"emptyDir": {"sizeLimit": "1Gi"}}
    own = {"csi": {"driver": "example.com"}}
    group = {"mode": "dind", "queues": ["g"], "dind": {"dataVolume": own}}
    values = {"workerDefaults": {"dind": {"dataVolume": default}}, "workers": {"g": group}}
    pod = render(values).one("Deployment", name="airdock-worker-g").pod
    assert pod
    assert pod.volumes["docker-data"] == {"name": "docker-data", **own}


def test_own_labels_win_over_common_ones() -> None:
    labels, own = {"commonLabels": {"team": "all", "kept": "x"}}, {"team": "one"}
    monitored = {"metrics": {"podMonitor": {"enabled": True, "labels": own}}}
    metrics = {"networkPolicy": {"metricsFrom": [{"podSelector": {}}]}}
    found = render({**labels, **monitored, **metrics, "controlPlane": {"scheduler": {"podLabels": own}}})
    scheduler = found.one("Deployment", component="scheduler")
    assert scheduler.pod
    assert scheduler.labels["team"] == "all"
    for had in (found.one("PodMonitor").labels, scheduler.pod.labels):
        assert (had["team"], had["kept"]) == ("one", "x")
