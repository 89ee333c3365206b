"""A change restarts exactly the pods that it concerns; renders are reproducible; releases keep apart."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import CHART, HELM3, HELM4, Manifests, render, template
from tests.render.scenarios import BY_NAME
from tests.render.values import FAB_INGRESS, MAXIMAL, MODES, overlaid

AIRFLOW = {
    "api-server",
    "scheduler",
    "dag-processor",
    "triggerer",
    "worker-default",
    "worker-dind",
    "worker-socket",
}
WORKERS = {name for name in AIRFLOW if name.startswith("worker")}
STORES = {"postgres", "redis"}
ALL = AIRFLOW | STORES
NOBODY: set[str] = set()
BASE = overlaid(MODES, FAB_INGRESS)


@dataclass(frozen=True)
class Change:
    """What is changed, and whose pods restart for it."""

    what: str
    restarts: set[str]
    values: Mapping[str, Any] = field(default_factory=dict)
    #: File of the chart -> what is made of its text.
    files: Mapping[str, Callable[[str], str]] = field(default_factory=dict)


def append(line: str) -> Callable[[str], str]:
    return lambda text: f"{text}\n{line}\n"


def version(text: str) -> str:
    return re.sub(r"(?m)^version: .*", "version: 99.0.0+build.1", text)


def app_version(text: str) -> str:
    return re.sub(r"(?m)^appVersion: .*", 'appVersion: "99.0.0"', text)


CHANGES = (
    Change("the chart's version", NOBODY, files={"Chart.yaml": version}),
    Change("the chart's appVersion", NOBODY, files={"Chart.yaml": app_version}),
    Change("an example DAG", NOBODY, files={"files/dags/outcomes.py": append("# changed")}),
    Change("a script", AIRFLOW, files={"files/scripts/database.py": append("# changed")}),
    Change(
        "the chart's local settings", AIRFLOW, files={"files/airflow_local_settings.py": append("# changed")}
    ),
    Change(
        "the Docker gateway's code",
        {"worker-default", "worker-socket"},
        files={"files/docker_gateway/__main__.py": append("# changed")},
    ),
    Change(
        "what task containers ask for", {"worker-default"}, {"tasks": {"resources": {"limits": {"cpu": "3"}}}}
    ),
    Change("airflow.config", AIRFLOW, {"airflow": {"config": {"core": {"parallelism": 7}}}}),
    Change("airflow.localSettings", AIRFLOW, {"airflow": {"localSettings": "X = 1"}}),
    Change("airflow.env", AIRFLOW, {"airflow": {"env": {"X": "1"}}}),
    Change("airflow.connections", AIRFLOW, {"airflow": {"connections": {"x": "http://x"}}}),
    Change("auth.webserverConfig", {"api-server"}, {"auth": {"webserverConfig": "AUTH_TYPE = 1\n"}}),
    Change("auth.admin.email", {"api-server"}, {"auth": {"admin": {"email": "x@example.com"}}}),
    Change("logs.remote", AIRFLOW, {"logs": {"remote": {"baseLogFolder": "s3://x", "connectionId": "x"}}}),
    Change("ingress.host (base_url)", AIRFLOW, {"ingress": {"host": "other.example.com"}}),
    Change("ingress.annotations", NOBODY, {"ingress": {"annotations": {"x": "y"}}}),
    Change("ingress.className", NOBODY, {"ingress": {"className": "other"}}),
    Change("networkPolicy.enabled", NOBODY, {"networkPolicy": {"enabled": False}}),
    Change("networkPolicy.egress", NOBODY, {"networkPolicy": {"egress": "strict"}}),
    Change("tasks.keepNamespace", NOBODY, {"tasks": {"keepNamespace": False}}),
    Change("tasks.networkPolicy", NOBODY, {"tasks": {"networkPolicy": {"egressRules": [{}]}}}),
    Change("images.airflow", AIRFLOW, {"images": {"airflow": {"tag": "3.2.1"}}}),
    Change("images.docker", {"worker-dind"}, {"images": {"docker": {"tag": "29.1-dind"}}}),
    Change("images.postgres", {"postgres"}, {"images": {"postgres": {"tag": "17.5"}}}),
    Change("images.redis", {"redis"}, {"images": {"redis": {"tag": "8.1.1"}}}),
    # Its name is in the ConfigMap of variables that all Airflow pods read.
    Change("images.xcomSidecar", AIRFLOW, {"images": {"xcomSidecar": {"tag": "other"}}}),
    Change("images.registry", ALL, {"images": {"registry": "registry.example.com"}}),
    Change("imagePullSecrets", ALL, {"imagePullSecrets": ["x"]}),
    Change("commonLabels", ALL, {"commonLabels": {"x": "y"}}),
    Change(
        "replicas",
        NOBODY,
        {"workerDefaults": {"replicas": 3}, "controlPlane": {"scheduler": {"replicas": 2}}},
    ),
    Change(
        "one component's resources",
        {"scheduler"},
        {"controlPlane": {"scheduler": {"resources": {"limits": {"cpu": "3"}}}}},
    ),
    Change(
        "the database's resources",
        {"postgres"},
        {"database": {"embedded": {"resources": {"limits": {"cpu": "3"}}}}},
    ),
    Change("workerDefaults.env", WORKERS, {"workerDefaults": {"env": {"X": "1"}}}),
    Change(
        "one group's task namespace",
        {"worker-default"},
        {"workers": {"default": {"tasks": {"namespace": "other"}}}},
    ),
    Change(
        "one group's quota", NOBODY, {"workers": {"default": {"tasks": {"quota": {"hard": {"pods": "3"}}}}}}
    ),
    Change("one group's concurrency", {"worker-dind"}, {"workers": {"dind": {"concurrency": 3}}}),
    Change(
        "the dind resources",
        {"worker-dind"},
        {"workerDefaults": {"dind": {"resources": {"limits": {"cpu": "3"}}}}},
    ),
    Change(
        "the socket's path", {"worker-socket"}, {"workerDefaults": {"socket": {"path": "/run/docker.sock"}}}
    ),
    Change(
        "service account annotations",
        NOBODY,
        {"controlPlane": {"scheduler": {"serviceAccount": {"annotations": {"a": "b"}}}}},
    ),
    Change("an extra object", NOBODY, {"extraObjects": MAXIMAL["extraObjects"]}),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.what)
def test_restarts_exactly(change: Change, tmp_path: Path) -> None:
    before, after = render(BASE), render(overlaid(BASE, change.values), chart=edited(change.files, tmp_path))
    assert documents(before) != documents(after) or change.what == "the chart's appVersion", (
        "the change changes nothing"
    )
    restarted = restarts(before, after)
    assert restarted == change.restarts, (
        f"changing {change.what} restarts {sorted(restarted) or 'nobody'}, it should restart "
        f"{sorted(change.restarts) or 'nobody'}: a pod restarts when its template changes, so the "
        "checksum annotations "
        f"must cover what a pod reads and nothing else. Differences: {differences(before, after)}"
    )


def edited(files: Mapping[str, Callable[[str], str]], place: Path) -> Path:
    """A copy of the chart with changed files; the chart itself if none change."""
    if not files:
        return CHART
    copy = place / "airdock"
    shutil.copytree(CHART, copy)
    for name, change in files.items():
        text = (copy / name).read_text()
        assert change(text) != text, f"{name} does not have what the test changes"
        (copy / name).write_text(change(text))
    return copy


def documents(manifests: Manifests) -> list[Any]:
    return [manifest.raw for manifest in manifests]


def templates(manifests: Manifests) -> dict[str, Any]:
    """Pod templates by the workload's name, without the release's part of it."""
    return {
        manifest.name.removeprefix("airdock-"): manifest.get("spec", "template")
        for manifest, _ in manifests.pods
    }


def restarts(before: Manifests, after: Manifests) -> set[str]:
    """The workloads that are in both and whose pod templates differ."""
    old, new = templates(before), templates(after)
    return {name for name in old.keys() & new.keys() if old[name] != new[name]}


def differences(before: Manifests, after: Manifests) -> str:
    """The fields of pod templates that differ, for messages."""
    old, new = templates(before), templates(after)
    found = [
        f"{name}: {path}" for name in sorted(old.keys() & new.keys()) for path in paths(old[name], new[name])
    ]
    return "; ".join(found) or "none"


def paths(old: Any, new: Any, at: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [p for key in sorted({*old, *new}) for p in paths(old.get(key), new.get(key), f"{at}.{key}")]
    return [] if old == new else [at.removeprefix(".")]


def test_new_group_restarts_no_other() -> None:
    """A second group of a mode that is there, with the default queue elsewhere."""
    more = {"workers": {"more": {"mode": "kubernetes", "queues": ["more"]}}}
    before, after = render({}), render(more)
    assert set(templates(after)) - set(templates(before)) == {"worker-more"}
    # It settles the queues.
    assert restarts(before, after) == {"dag-processor"}, differences(before, after)


def test_config_maps_and_their_readers() -> None:
    """Who reads a ConfigMap that is no DAG's carries a checksum of it, and nobody else does.

    But for pod templates, whose pods are each made anew, and for host keys: ssh reads them each time.
    """
    for scenario in BY_NAME.values():
        manifests = scenario.render()
        ours = {
            m.name: "docker-gateway" if "-docker-gateway" in m.name else m.component
            for m in manifests.all("ConfigMap")
        }
        for workload, pod in manifests.pods:
            read = {ours[r.name] for r in pod.references if r.kind == "ConfigMap" and r.name in ours}
            if workload.kind == "PodTemplate":
                read.clear()
            wanted = {f"checksum/{name}" for name in read if name not in ("example-dags", "git", "tests")}
            found = {key for key in pod.annotations if key.startswith("checksum/")}
            assert found == wanted, f"{scenario}: {workload} reads {sorted(read)} and has {sorted(found)}"


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize("name", ["modes", "maximal", "longest-names"])
def test_two_renders_are_identical(name: str, helm: str) -> None:
    scenario = BY_NAME[name]
    first, second = (
        template(scenario.values, release=scenario.release, namespace=scenario.namespace, helm=helm)
        for _ in range(2)
    )
    assert first == second, "a render holds something random, a time, or a map in no order"


#: Scenarios whose values name what is shared.
NAMED = (
    *("maximal", "task-namespaces", "namespaces", "both-executors", "openshift"),
    *("autoscaling", "metrics-of-namespaces"),
)


@pytest.mark.parametrize(
    "name", [s.name for s in BY_NAME.values() if s.release == "airdock" and not s.name.startswith(NAMED)]
)
def test_releases_of_one_name_share_nothing(name: str) -> None:
    """Two releases of one name in two namespaces: no object of theirs is the same, wherever it is."""
    values = {**BY_NAME[name].values}
    values["tasks"] = {key: value for key, value in values.get("tasks", {}).items() if key != "namespace"}
    one, two = (
        {(m.api_version, m.kind, m.namespace, m.name) for m in render(values, namespace=namespace)}
        for namespace in ("airdock", "team")
    )
    assert not one & two, f"both releases have {sorted(one & two)}"


def test_helm3_renders_the_same() -> None:
    for name in ("default", "modes", "maximal", "attached"):
        scenario = BY_NAME[name]
        assert documents(scenario.render()) == documents(scenario.render(helm=HELM3)), f"{name} differs"
