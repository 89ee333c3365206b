"""The gateway's package as the chart mounts it: its directory's parent on the path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "charts/airdock/files"))
