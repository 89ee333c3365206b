"""`--budget SECONDS`: a tier prints its time against its budget, and in CI fails far above it.

The limit is on the test system, not on the product: a tier that has become slow is found by the change that
made it so. It applies only where CI=true: a developer's machine may do other work at the same time.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

#: In CI a tier may take this many times its budget.
LIMIT = 1.5
#: How many of the slowest steps (setup, test, teardown) a tier lists.
SLOWEST = 25

_began = time.monotonic()
_line = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = f"print the time of the run against this budget; with CI=true, fail above {LIMIT} times the budget"
    parser.addoption("--budget", type=float, metavar="SECONDS", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """List the slowest steps, as --durations does."""
    if config.option.budget and config.option.durations is None:
        config.option.durations = SLOWEST


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that passes but takes too long."""
    budget, seconds = session.config.option.budget, time.monotonic() - _began
    if not budget or hasattr(session.config, "workerinput"):  # workers of xdist are no runs
        return
    line = f"time: {_shown(seconds)}, budget: {_shown(budget)}"
    if os.environ.get("CI") == "true" and seconds > LIMIT * budget:
        line += f": the run fails, because it took more than {LIMIT} times its budget"
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    session.config.stash[_line] = line


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the line, below the slowest steps."""
    if _line in config.stash:
        terminalreporter.write_line(config.stash[_line])


def _shown(seconds: float) -> str:
    return "{} min {} s".format(*divmod(round(seconds), 60))
