"""`python -m scripts.cli`: the program `airdock` in a clone."""

import sys

from scripts.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
