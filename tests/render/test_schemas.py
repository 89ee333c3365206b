"""The schema check judges as kubeconform does, which reads the same files with another library."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from typing import Any

import pytest

from scripts import tools
from scripts.chart import KUBE_VERSIONS, Manifest, Manifests, render, schemas

VERSION = KUBE_VERSIONS[0]


def deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}


#: Objects, and what the check says of each.
WRONG: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "datum": {}, "x": 1},
        ["the object: additional properties 'datum', 'x' not allowed"],
    ),
    (pod(containers=["nginx"]), ["spec.containers[0]: got string, want object"]),
    (
        pod(containers=[{"image": 7, "env": [{"name": "X", "value": 3}]}], hostIpc=True),
        [
            "spec.containers[0].env[X].value: got number, want string",
            "spec.containers[0].image: got number, want string",
            "spec.containers[0]: missing property 'name'",
            "spec: additional properties 'hostIpc' not allowed",
        ],
    ),
    (pod(), ["spec: missing property 'containers'"]),
    (
        deployment(replicas=1.5),
        ["spec.replicas: got number, want integer", "spec: missing properties 'selector', 'template'"],
    ),
    (
        pod(containers=[{"name": "x", "livenessProbe": {"httpGet": {"port": [1]}}}]),
        ["spec.containers[x].livenessProbe.httpGet.port: got array, want string or integer"],
    ),
    (
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a/b": ["hunter2"]}},
        ["data.a/b: got array, want string"],
    ),
    (
        {"apiVersion": "apps/v7", "kind": "Deployment", "metadata": {"name": "a"}},
        ["there is no Deployment in apps/v7"],
    ),
]


def by_kubeconform(manifests: Iterable[Manifest]) -> set[str]:
    """The places that it finds wrong."""
    manifests = list(manifests)
    files = schemas.directory(VERSION) / f"v{VERSION}"
    location = f"{files}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    command = [str(tools.path("kubeconform")), "-strict", "-output", "json", "-kubernetes-version", VERSION]
    command += ["-schema-location", location, "-"]
    stream = "\n---\n".join(json.dumps(manifest.raw) for manifest in manifests)
    done = subprocess.run(command, input=stream, capture_output=True, text=True)
    raw = {(manifest.kind, manifest.name): manifest.raw for manifest in manifests}
    found = set()
    for resource in json.loads(done.stdout)["resources"]:
        faults = re.findall(r" - at '([^']*)': (.*?)(?=\s+- at '|$)", resource["msg"], re.DOTALL)
        places = [path for path, why in faults if "validation failed" not in why]
        found |= {schemas.named(raw[resource["kind"], resource["name"]], path) for path in places}
        if not places:
            assert "could not find schema" in resource["msg"]
            found.add("there is no schema")
    return found


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=[said[-1] for _, said in WRONG])
def test_what_is_wrong_is_named(wrong: dict[str, Any], said: list[str]) -> None:
    manifests = Manifests.of([("", wrong)])
    kind = wrong["kind"]
    found = schemas.problems(manifests, VERSION)
    assert sorted(found) == sorted(f"{kind} a: {sentence} (Kubernetes {VERSION})" for sentence in said)
    places = {sentence.split(": ")[0] if ": " in sentence else "there is no schema" for sentence in said}
    assert by_kubeconform(manifests) == places


def test_a_release_is_valid_for_both() -> None:
    manifests = render({}, kube_version=VERSION)
    assert len(manifests) > 40
    assert schemas.problems(manifests, VERSION) == []
    assert by_kubeconform(manifests) == set()


def test_a_version_without_schemas() -> None:
    with pytest.raises(schemas.SchemaError, match=r"There are no schemas of Kubernetes 1\.7\.0, only of 1\."):
        schemas.problems(render({}), "1.7")
