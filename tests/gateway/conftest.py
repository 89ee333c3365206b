"""The gateway's package as the chart mounts it: its directory's parent on the path."""

from __future__ import annotations

import sys

from hypothesis import settings

from tests.support.paths import FILES

sys.path.insert(0, str(FILES))

# The same examples in every run: `make fuzz` is what searches.
settings.register_profile("gateway", derandomize=True, database=None, deadline=None)
settings.load_profile("gateway")
