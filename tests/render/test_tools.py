"""The renderer and the validator themselves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import CHART, KUBE_VERSIONS, Manifests, RenderError, render, schemas
from scripts.chart import helm as renderer

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "main", "image": "i", "env": [{"name": "X", "value": 1}]}]},
        },
        "replica": 1,
    },
}


def test_second_render_asks_no_helm(monkeypatch: pytest.MonkeyPatch) -> None:
    first = render({"commonLabels": {"cached": "yes"}})
    renderer._rendered.cache_clear()
    monkeypatch.setattr(renderer, "_helm", lambda *_: pytest.fail("Helm was asked again"))
    assert render({"commonLabels": {"cached": "yes"}}).documents == first.documents


def test_refusal_is_kept_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RenderError) as first:
        render({"ingres": {}})
    monkeypatch.setattr(renderer, "_helm", lambda *_: pytest.fail("Helm was asked again"))
    with pytest.raises(RenderError) as second:
        render({"ingres": {}})
    assert str(first.value) == str(second.value)


def test_an_edit_of_the_chart_is_seen(tmp_path: Path) -> None:
    chart = tmp_path / "airdock"
    shutil.copytree(CHART, chart)
    before = render(chart=chart)
    values = chart / "values.yaml"
    values.write_text(values.read_text().replace("replicas: 1", "replicas: 2"))
    os.utime(values, ns=(1, max(path.stat().st_mtime_ns for path in chart.rglob("*")) + 1))
    assert render(chart=chart).documents != before.documents


def test_unknown_field_and_wrong_type_are_named() -> None:
    found = schemas.problems(Manifests.of([("", DEPLOYMENT)]), KUBE_VERSIONS[-1].removesuffix(".0"))
    assert any("spec: additional properties 'replica' not allowed" in problem for problem in found), found
    assert any("containers[main].env[X].value: got number" in problem for problem in found), found


def test_kind_that_a_version_lacks() -> None:
    policy = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy"}
    manifests = Manifests.of([("", {**policy, "metadata": {"name": "m"}})])
    found = schemas.problems(manifests, KUBE_VERSIONS[0].removesuffix(".0"))
    assert len(found) == 1
    assert "MutatingAdmissionPolicy" in found[0]


def test_custom_resources_are_not_judged() -> None:
    custom = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "m"},
        "x": 1,
    }
    assert not schemas.problems(Manifests.of([("", custom)]), KUBE_VERSIONS[-1])


def test_unknown_kubernetes_is_one_sentence() -> None:
    with pytest.raises(schemas.SchemaError, match=r"no schemas of Kubernetes 1\.12\.0, only of 1\.25"):
        schemas.problems(Manifests.of([("", DEPLOYMENT)]), "1.12")
