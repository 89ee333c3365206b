"""`python -m scripts.check`: the command `airdock check` in a clone."""

import sys

from scripts.check.command import main

if __name__ == "__main__":
    sys.exit(main())
