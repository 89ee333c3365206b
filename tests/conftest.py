"""What all tiers share: the report names what was rendered with, and the time against the tier's budget."""

from __future__ import annotations

from scripts.chart import HELM3, HELM4, KUBE_VERSIONS

pytest_plugins = ["tests.support.budget"]


def pytest_report_header() -> str:
    """One line that a bug report needs."""
    return f"chart rendered by {HELM4} and {HELM3} for Kubernetes {KUBE_VERSIONS[0]} to {KUBE_VERSIONS[-1]}"
