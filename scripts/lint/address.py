"""The public address of the page with all rules, docs/lint.md, where it is known.

The repository itself does not know where it is published. A released package has the address in its metadata,
and the GitHub Action sets it in the environment.
"""

from __future__ import annotations

import importlib.metadata
import os

#: Name of the variable with the page's address.
VARIABLE = "AIRDOCK_LINT_PAGE"
#: The package, and the label of its link to the page.
PACKAGE, LABEL = "airdock", "Rules"


def page() -> str:
    """The page's address; "" if it is not known."""
    return os.environ.get(VARIABLE) or _of_package()


def of_rule(name: str) -> str:
    """The address of a rule's paragraph; "" if it is not known."""
    return f"{page()}#{name}" if page() else ""


def _of_package() -> str:
    try:
        links = importlib.metadata.metadata(PACKAGE).get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    found = dict(str(link).split(", ", 1) for link in links)
    return str(found.get(LABEL, ""))
