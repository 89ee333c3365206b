"""tasks.admission.images: what is an entry, by the table of all implementations."""

from __future__ import annotations

import pytest

from scripts.chart import render
from scripts.chart.helm import RenderError
from tests.support.image_references import CASES, MALFORMED_ENTRIES


def test_entries_of_the_table_are_accepted() -> None:
    entries = list(dict.fromkeys(entry for entry, _, _ in CASES if entry))
    assert render({"tasks": {"admission": {"images": entries}}})


@pytest.mark.parametrize("entry", MALFORMED_ENTRIES)
def test_malformed_entry_is_named(entry: str) -> None:
    with pytest.raises(RenderError, match=r"tasks\.admission\.images|/tasks/admission/images"):
        render({"tasks": {"admission": {"images": [entry]}}})
