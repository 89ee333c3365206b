"""What all tiers share: the report names what was rendered with, and the time against the tier's budget."""

from __future__ import annotations

import hypothesis
import pytest

from scripts.chart import HELM3, HELM4, KUBE_VERSIONS

pytest_plugins = ["tests.support.attacks", "tests.support.budget"]

# What a run decides does not depend on chance, or on what an earlier run has found.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.load_profile("fixed")


def pytest_report_header() -> str:
    """One line that a bug report needs."""
    return f"chart rendered by {HELM4} and {HELM3} for Kubernetes {KUBE_VERSIONS[0]} to {KUBE_VERSIONS[-1]}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that render one scenario each; those that look at all find them in the cache."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/render/test_contracts.py::test_contracts"))
