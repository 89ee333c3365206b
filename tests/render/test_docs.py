"""The chart's README is what `make docs` writes, and shows every value."""

from __future__ import annotations

import re

from scripts.chart import docs
from tests.render.test_schema import LEAVES


def test_is_up_to_date() -> None:
    assert docs.README.read_text() == docs.readme(), "run `make docs` and commit charts/airdock/README.md"


def test_shows_every_value() -> None:
    """Each leaf of the schema has a row, its own or one that it shares."""
    rows = {re.sub("<[^>]*>", "x", row) for row in re.findall(r"(?m)^\| `(.+?)` \|", docs.readme())}
    missing = []
    for leaf in LEAVES:
        path = [step for step in leaf.path if step not in ("(one of)",)]
        if "resources" in path:  # One row for the whole.
            path = path[: path.index("resources") + 1]
        if path[0] == "workerDefaults":
            path[:1] = ["workers", "x"]
        for group in ("images", "controlPlane"):
            if path[0] == group and len(path) > 2:
                path[1] = "x"
        name = ".".join(path).replace("*", "x")
        if name not in rows:
            missing.append(name)
    assert not missing


def test_rows_have_a_type_and_a_description() -> None:
    for line in docs.readme().splitlines():
        if line.startswith("| `"):
            key, _, _, description = re.split(r"(?<!\\) \| ", line[2:-2])
            assert description, f"{key} has no description in values.schema.json"
