"""docs/values.md and the comments of values.yaml are what `make docs` writes, and show every value."""

from __future__ import annotations

import re

import pytest

from scripts.chart import docs
from scripts.chart.values_comments import commented
from tests.render.values_schema import LEAVES, PLACES


def test_are_up_to_date() -> None:
    assert docs.README.read_text() == docs.readme(), "run `make docs` and commit charts/airdock/README.md"
    assert docs.PAGE.read_text() == docs.page(), "run `make docs` and commit docs/values.md"
    text = docs.VALUES.read_text()
    assert text == commented(text), "run `make docs` and commit charts/airdock/values.yaml"


def test_comments_explain_every_value() -> None:
    """Each description of the schema is in values.yaml, so that `helm show values` has it."""
    lines = [line.strip() for line in docs.VALUES.read_text().splitlines()]
    text = re.sub(r"\s+", " ", " ".join(line.removeprefix("#") for line in lines if line.startswith("#")))
    keys = [place for place in PLACES if place.path and place.path[-1] not in ("[]", "*")]
    missing = {str(key): key.description for key in keys if key.description not in text}
    assert missing == {}


def test_comments_take_their_place() -> None:
    """Blank lines, texts of several lines and values stay; other comments go, or are refused."""
    text = docs.VALUES.read_text()
    foreign = text.replace("images:\n", "# another\nimages:\n    # and one more\n")
    assert foreign != text
    assert commented(foreign) == text
    kept = text.replace("    AUTH_TYPE = AUTH_DB\n", "    # part of the value\n    AUTH_TYPE = AUTH_DB\n")
    assert commented(kept) == kept != text
    with pytest.raises(ValueError, match=r"line \d+"):
        commented(text.replace("replicas: 1\n", "replicas: 1  # lost\n", 1))


def test_shows_every_value() -> None:
    """Each leaf of the schema has a row, its own or one that it shares."""
    rows = {re.sub("<[^>]*>", "x", row) for row in re.findall(r"(?m)^\| `(.+?)` \|", docs.page())}
    missing = []
    for leaf in LEAVES:
        path = [step for step in leaf.path if step not in ("(one of)",)]
        if "resources" in path:  # One row for the whole.
            path = path[: path.index("resources") + 1]
        if path[0] == "workerDefaults":
            path[:1] = ["workers", "x"]
        name = ".".join(path).replace("*", "x")
        for group in ("images", "controlPlane", "networkPolicy"):
            if path[0] == group and len(path) > 2 and name not in rows:
                path[1] = "x"
        if not {name, ".".join(path).replace("*", "x")} & rows:
            missing.append(name)
    assert not missing


def test_rows_have_a_type_and_a_description() -> None:
    for line in docs.page().splitlines():
        if line.startswith("| `"):
            key, _, _, description = re.split(r"(?<!\\) \| ", line[2:-2])
            assert description, f"{key} has no description in values.schema.json"
