"""The Docker gateway's package can be imported."""

from __future__ import annotations

import sys

from tests.support.paths import FILES

sys.path.insert(0, str(FILES))
