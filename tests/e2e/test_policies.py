"""The mounted airflow_local_settings.py in the image itself, on Airflow's own operators and path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Release

INSIDE = Path(__file__).parent / "inside" / "policies.py"


@pytest.mark.parametrize("component", ["worker", "dag-processor", "triggerer"])
def test_policies_on_real_operators(release: Release, component: str) -> None:
    for pod in release.staying(component):
        container = "worker" if component == "worker" else component
        said = release.inside(pod["metadata"]["name"], container, "python", "-", stdin=INSIDE.read_text())
        assert said.strip().endswith("all policies hold"), said
