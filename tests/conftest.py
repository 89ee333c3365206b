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


#: Begin with tests of many renders, which take longest, and then with those that render one scenario each:
#: tests that look at all scenarios find them in the cache.
FIRST = ("tests/render/test_leaves.py::", "tests/render/test_contracts.py::test_contracts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of FIRST before all others."""
    items.sort(key=lambda item: [not item.nodeid.startswith(first) for first in FIRST])
