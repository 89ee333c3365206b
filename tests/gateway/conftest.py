"""The gateway's package as the chart mounts it: its directory's parent on the path."""

from __future__ import annotations

import sys

from tests.support.paths import FILES

sys.path.insert(0, str(FILES))
