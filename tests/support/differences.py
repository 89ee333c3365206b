"""The tables of docs/migrating.md: what is different from a Docker daemon, or from Airflow's own tests.

The page is where each list is written. Tests compare it with what they see, in both directions.
"""

from __future__ import annotations

import re

from tests.support.paths import DOCS

PAGE = DOCS / "migrating.md"
#: The marks of the tables, each of the form `<!-- differences: OPERATORS -->`.
OPERATORS, DOCKER_PROGRAM, SYSTEM_DAGS = "operators", "docker program", "system DAGs"


def rows(table: str) -> list[list[str]]:
    """Give the rows of a table below its heading, each as its cells."""
    found = re.findall(
        rf"^<!-- differences: {re.escape(table)} -->\n(.*?)^<!-- end -->$",
        PAGE.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert len(found) == 1, f"{PAGE.name} has {len(found)} tables {table!r}"
    return [line.strip("| ").split(" | ") for line in found[0].splitlines()[2:]]
