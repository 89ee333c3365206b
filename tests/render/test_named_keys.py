"""Every key that a message, a note, a finding or a page names exists in the values, spelled from the root."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from scripts.chart import CHART, ROOT, load_yaml, official
from scripts.chart.values_schema import schema
from tests.render.named_keys import exists, keys, lacks_root, paths, snippets, texts
from tests.render.scenarios import overlaid

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
TEXTS = dict(texts())


@pytest.mark.parametrize("where", TEXTS)
def test_named_keys_exist(where: str) -> None:
    named = dict.fromkeys(keys(TEXTS[where]))
    unknown = {key for key in named if not exists(key)}
    assert not unknown, f"{where} names keys that the values do not have: {sorted(unknown)}"


@pytest.mark.parametrize("where", TEXTS)
def test_named_keys_begin_at_the_root(where: str) -> None:
    short = {key for key in keys(TEXTS[where]) if lacks_root(key)}
    assert not short, f"{where}: write workers.<name>.dind.variant, not dind.variant: {sorted(short)}"


def test_the_official_charts_keys_have_one_here() -> None:
    """And none of the official chart's is one of ours: the template would refuse it."""
    assert len(official.rows()) > 100
    missing = {key for row in official.rows() for key in row.here if not exists(official.relative(key))}
    assert not missing, f"{official.TABLE} names keys that the values do not have: {missing}"
    ours = {
        row.key for row in official.rows() if exists(official.relative(row.key)) and row.key not in row.here
    }
    ours -= {key for key in ours if key.startswith("workers.")}  # Any name can be a group's.
    assert not ours, f"{official.TABLE} has keys that are ours, remove them: {ours}"


def test_templates_read_keys_that_exist() -> None:
    unknown = {
        (str(file.relative_to(ROOT)), key)
        for file in CHART.rglob("templates/**/*")
        if file.is_file()
        for key in re.findall(r"\.Values\.([A-Za-z0-9.]+\w)", file.read_text())
        if not exists(key)
    }
    assert not unknown


def fenced() -> Iterator[Any]:
    for page in PAGES:
        for line, text in snippets(page):
            documents = load_yaml(text, f"{page.name}:{line}")
            values = documents[0] if len(documents) == 1 and isinstance(documents[0], dict) else {}
            if values and set(values) <= set(schema()["properties"]):
                yield pytest.param(values, id=f"{page.name}:{line}")


@pytest.mark.parametrize("values", fenced())
def test_snippets_have_only_keys_that_exist(values: dict[str, Any]) -> None:
    """And values of the right type: they are merged into the defaults, as Helm does it."""
    merged = overlaid(load_yaml((CHART / "values.yaml").read_text())[0], values)
    errors = jsonschema.Draft202012Validator(schema()).iter_errors(merged)
    assert not [f"{error.json_path}: {error.message}" for error in errors]


def test_the_reader_finds_keys() -> None:
    """What the tests above rely on."""
    text = """workers.%s.dind.variant: set images.airflow.tag, `workers.<name>.socket.allowed.images`,
    dind.claim.size, airflow.config.core.parallelism, logs.clam, airflow.cfg, python.exe,
    tasks.quota.hard.pods and workers.{}.env."""
    assert list(keys(text)) == [
        "workers.%s.dind.variant",
        "images.airflow.tag",
        "workers.<name>.socket.allowed.images",
        "dind.claim.size",
        "airflow.config.core.parallelism",
        "logs.clam",
        "tasks.quota.hard.pods",
        "workers.{}.env",
    ]
    assert [key for key in keys(text) if not exists(key) or lacks_root(key)] == [
        "dind.claim.size",
        "logs.clam",
    ]
    assert exists("workers.<name>.tasks.admission.secrets")
    assert not exists("workers.<name>.tasks.admission.secret")
    assert all(exists(".".join(path)) for path in paths())
    assert sum(len(list(keys(said))) for said in TEXTS.values()) > 200
