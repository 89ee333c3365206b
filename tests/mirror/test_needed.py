"""`make images` prints every image that is anywhere in what the chart renders to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.chart import Manifests, render
from scripts.mirror.__main__ import main
from scripts.mirror.copying import collisions
from scripts.mirror.needed import mirrored, needed
from tests.render.contracts.secrets import image_name, images_of
from tests.render.scenarios import SCENARIOS, Scenario

#: A key or variable that names an image: image, AIRDOCK_XCOM_SIDECAR_IMAGE, xcom_sidecar_container_image.
KEY = re.compile(r"(^|[^a-z])image$|_IMAGE$|Image$")
#: Of Airflow, of an image or of this chart: a name with a tag or a digest.
IMAGE = re.compile(r"^[a-z0-9][\w.:/-]*(:[\w.-]+|@sha256:[0-9a-f]{64})$")


def named(value: Any) -> Iterator[str]:
    """Images by their keys, at any depth, in JSON and YAML inside of texts, too; not in programs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if str(key).endswith((".py", ".sh")):
                continue
            if KEY.search(str(key)) and isinstance(inner, str) and IMAGE.match(inner):
                yield inner
            yield from named(inner)
        if KEY.search(str(value.get("name", ""))) and IMAGE.match(str(value.get("value", ""))):
            yield value["value"]
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner)
    elif isinstance(value, str) and ("{" in value or "\nkind: " in value):
        for reader in (json.loads, yaml.safe_load):
            try:
                found = reader(value)
            except (ValueError, yaml.YAMLError):
                continue
            if isinstance(found, (dict, list)):
                yield from named(found)
                return


def listed(manifests: Manifests) -> set[str]:
    return {image.name for image in needed(manifests)}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_image_of_a_render_is_listed(scenario: Scenario) -> None:
    manifests = scenario.render()
    found = {image for manifest in manifests for image in named(manifest.raw)}
    assert found
    assert found <= listed(manifests), found - listed(manifests)
    # And those of the values, wherever their name stands in the text.
    registry, images = images_of(scenario)
    for image in images:
        name = image_name(image, registry)
        anywhere = re.search(rf"(?<![\w./:-]){re.escape(name)}(?![\w.-])", programs_removed(manifests))
        assert not anywhere or name in listed(manifests), name


def programs_removed(manifests: Manifests) -> str:
    documents = []
    for manifest in manifests:
        raw = json.loads(json.dumps(manifest.raw))
        if manifest.kind == "ConfigMap":
            data = raw.get("data") or {}
            raw["data"] = {key: value for key, value in data.items() if not key.endswith((".py", ".sh"))}
        documents.append(json.dumps(raw))
    return "\n".join(documents)


def test_images_that_a_daemon_pulls_are_listed() -> None:
    values = {"workers": {"default": {"mode": "dind", "dind": {"pullBeforeStart": ["ghcr.io/team/x:1"]}}}}
    assert "ghcr.io/team/x:1" in listed(render(values))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_one_value_moves_all(scenario: Scenario) -> None:
    """No image of the chart's stays where it was; those that the user's values name elsewhere do."""
    before = {
        **scenario.values,
        "images": {**scenario.values.get("images", {}), "registry": ""},
        "global": {},
    }
    after = {**before, "images": {**before["images"], "registry": "mirror.example.com/team"}}
    options = {"release": scenario.release, "namespace": scenario.namespace}
    old = needed(render(before, **options))  # type: ignore[arg-type]
    new = listed(render(after, **options))  # type: ignore[arg-type]
    for image in old:
        if not image.where.endswith("pulled by the Docker daemon"):
            assert mirrored(image.name, "mirror.example.com/team") in new, image


def test_different_images_with_one_name_are_refused() -> None:
    targets = [
        (name, mirrored(name, "m.example.com")) for name in ("ghcr.io/a/b:1", "quay.io/a/b:1", "a/c:1")
    ]
    assert collisions(targets) == ["quay.io/a/b:1 and ghcr.io/a/b:1 would both be m.example.com/a/b:1."]


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("apache/airflow:3", "m:5000/x/apache/airflow:3"),
        ("docker:29-dind", "m:5000/x/docker:29-dind"),
        ("localhost:5000/a:1", "m:5000/x/a:1"),
        ("localhost/a:1", "m:5000/x/a:1"),
        ("ghcr.io/a/b@sha256:" + "7" * 64, "m:5000/x/a/b@sha256:" + "7" * 64),
    ],
)
def test_names_are_the_charts(image: str, wanted: str) -> None:
    assert mirrored(image, "m:5000/x") == mirrored(image, "m:5000/x/") == wanted
    repository, separator, version = image.partition("@") if "@" in image else image.rpartition(":")
    value = {"repository": repository, "digest" if separator == "@" else "tag": version}
    values = {"images": {"registry": "m:5000/x", "redis": value}}
    assert wanted in listed(render(values))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("images: {registry: mirror.example.com}\n")
    assert main(["--values", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == sorted(lines)
    assert all(line.startswith("mirror.example.com/") for line in lines)
    assert main(["--values", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err
