"""Adds the repository's address to the metadata of the Python package; hatchling runs this for a wheel.

The address is not in the repository, as that of the chart: AIRDOCK_SOURCE has it (scripts/release/wheel.py).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: As scripts/release/wheel.py has it. hatchling loads this file alone, so it imports nothing of `scripts`.
VARIABLE = "AIRDOCK_SOURCE"


class Links(MetadataHookInterface):
    """The hook; hatchling finds it by its base."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `urls`; none if the address is not known."""
        source = os.environ.get(VARIABLE, "")
        chart = Path(self.root, "charts", "airdock", "Chart.yaml").read_text()
        version = re.search(r"^version: (\S+)", chart, re.MULTILINE)
        assert version
        files = f"{source}/blob/v{version[1]}"
        # SARIF links each rule to its paragraph of the page `Rules` (scripts/lint/address.py).
        links = {"Source": source, "Rules": f"{files}/docs/lint.md", "Changelog": f"{files}/CHANGELOG.md"}
        metadata["urls"] = links if source else {}
