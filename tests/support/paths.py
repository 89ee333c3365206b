"""Places in the repository that tests read."""

from __future__ import annotations

from scripts.chart import CHART, ROOT

__all__ = ["CHART", "DOCS", "EXAMPLES", "FILES", "GATEWAY", "ROOT"]

#: What the chart mounts from ConfigMaps.
FILES = CHART / "files"
GATEWAY = FILES / "docker_gateway"
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
