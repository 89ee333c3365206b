"""The values of the end-to-end tests pass the checks of the chart: a node would tell after minutes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

import tests.e2e
from scripts import up
from scripts.chart import render
from scripts.overlays.definitions import merged
from tests.render.values_schema import schema

#: Scripts, which do something when they are imported.
SCRIPTS = ("tests.e2e.inside", "tests.e2e.__main__")


def constants() -> Iterator[Any]:
    """Give each constant of the tests that looks like values."""
    known = schema()["properties"].keys()
    for module in pkgutil.walk_packages(tests.e2e.__path__, "tests.e2e."):
        if module.name.startswith(SCRIPTS):
            continue
        try:
            content = vars(importlib.import_module(module.name))
        except ModuleNotFoundError as error:
            # What runs inside Airflow has no values.
            if error.name != "airflow":
                raise
            continue
        for name, value in content.items():
            if isinstance(value, dict) and value and name.isupper() and value.keys() <= known:
                yield pytest.param(value, id=f"{module.name.removeprefix('tests.e2e.')}.{name}")


@pytest.mark.parametrize("values", constants())
def test_the_chart_takes_them(values: dict[str, Any]) -> None:
    # Over the release that they change.
    assert list(render(merged(yaml.safe_load(up.VALUES.read_text()), values)))
