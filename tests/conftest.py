"""What all tiers share: the report names what was rendered with."""

from __future__ import annotations

from scripts.render import HELM3, HELM4, KUBE_VERSIONS


def pytest_report_header() -> str:
    """One line that a bug report needs."""
    return f"chart rendered by {HELM4} and {HELM3} for Kubernetes {KUBE_VERSIONS[0]} to {KUBE_VERSIONS[-1]}"
