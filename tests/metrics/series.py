"""What the dashboard and the alerts read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

#: A series of Airflow or of the Docker gateways.
NAME = re.compile(r"\b(?:airflow|airdock)_[a-z_]+[a-z]")


def queries(dashboard: Mapping[str, Any]) -> list[str]:
    """Give the expressions of Grafana's model."""
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def named(expressions: Iterable[str]) -> set[str]:
    """Give the names of the series in PromQL expressions."""
    return {name for each in expressions for name in NAME.findall(re.sub(r'"[^"]*"', "", each))}
