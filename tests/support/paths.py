"""Places in the repository that tests read."""

from __future__ import annotations

import os
from pathlib import Path

from scripts.chart import CHART, ROOT

__all__ = ["CHART", "DOCS", "EXAMPLES", "FILES", "GATEWAY", "PLANTED", "ROOT"]

#: Names a directory with a copy of the gateway, for tests that must fail on it.
PLANTED = "AIRDOCK_PLANTED_GATEWAY"
#: What the chart mounts from ConfigMaps.
FILES = Path(os.environ.get(PLANTED) or CHART / "files")
GATEWAY = FILES / "docker_gateway"
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
