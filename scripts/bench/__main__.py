"""``python -m scripts.bench``: every benchmark, one after the other; stops at the first that fails."""

from __future__ import annotations

import sys

from scripts.bench import checks, dind, modes

if __name__ == "__main__":
    sys.exit(checks.main([]) or modes.main([]) or dind.main([]))
