"""Counts that the end of the run reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def record_fixtures(record_property: Callable[[str, object], None]) -> Callable[[int], None]:
    """Counts upstream's fixtures on which we agree."""
    return lambda count: record_property("fixtures", count)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line: what was compared."""
    properties = [pair for report in terminalreporter.getreports("passed") for pair in report.user_properties]
    fixtures = sum(int(str(value)) for key, value in properties if key == "fixtures")
    if fixtures:
        terminalreporter.write_line(f"Pod Security: agrees with upstream on {fixtures} fixtures")
