"""Counts that the end of the run reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def record_fixtures(record_property: Callable[[str, object], None]) -> Callable[[int], None]:
    """Counts upstream's fixtures on which we agree."""
    return lambda count: record_property("fixtures", count)


@pytest.fixture
def record_mutants(record_property: Callable[[str, object], None]) -> Callable[[int, int], None]:
    """Counts weakenings that were caught, and all."""

    def record(caught: int, total: int) -> None:
        record_property("caught", caught)
        record_property("mutants", total)

    return record


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was compared, and what was caught."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    properties = [pair for report in reports for pair in report.user_properties]
    total = {
        name: sum(int(str(v)) for key, v in properties if key == name)
        for name in ("fixtures", "caught", "mutants")
    }
    if total["fixtures"]:
        terminalreporter.write_line(
            f"Pod Security: agrees with upstream on {total['fixtures']} of its fixtures"
        )
    if total["mutants"]:
        line = f"Policies: {total['caught']} of {total['mutants']} weakenings of the chart are caught"
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lint prints does not depend on the terminal of the run."""
    monkeypatch.setenv("COLUMNS", "120")
