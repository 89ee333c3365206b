"""`python -m scripts.lint`: command.py says what it does."""

import sys

try:
    from scripts.lint.command import main
except ModuleNotFoundError as error:
    if (error.name or "").startswith("scripts"):
        raise
    print(
        f"lint: the Python package {error.name} is missing. Run .venv/bin/python -m scripts.lint; `make lint`"
        " creates .venv.",
        file=sys.stderr,
    )
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
