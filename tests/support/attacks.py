"""The marker `attack`, and the report of `make attack`: who tries what, and what became of it.

A test with the marker is an attack, or one for each of its parameters. It shows that the attack works where
the defence is off, and passes if the attack is refused where the defence is on:

    @pytest.mark.attack(actor=AUTHOR, finding=(3,))

`finding` names rows of FINDINGS that the attack repeats or varies. `by_design` is for what a mode gives to an
actor all the same: the test shows that it works, and the text is what docs/security.md says about it.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.findings import FINDINGS

#: Actors, as docs/security.md has them.
AUTHOR = "DAG author in a worker"
CONTAINER = "code in a task container"
PROCESSOR = "DAG author in the dag-processor"
TRIGGERER = "DAG author in the triggerer"
PARSING = f"{PROCESSOR} or triggerer"
PEER = "code in the pod network"
ADMINISTRATOR = "administrator of a namespace"
AUTOSCALER = "code in the autoscaler"
ACTORS = (AUTHOR, CONTAINER, PROCESSOR, TRIGGERER, PARSING, PEER, ADMINISTRATOR, AUTOSCALER)
#: By the name of a pod or component.
ACTOR_OF = {"dag-processor": PROCESSOR, "triggerer": TRIGGERER}

MARKER = "attack(actor, finding=(), by_design=''): the test is an attack, and works without the defence"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the report if it is wanted."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("--attacks") or config.getoption("--attacks-to"):
        config.pluginmanager.register(_Report(config.getoption("--attacks-to")))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--attacks`."""
    parser.addoption("--attacks", action="store_true", help="run only attacks, and print what became of each")
    text = "write what became of each attack to a file, as a JSON list of actor, test, outcome and number"
    parser.addoption("--attacks-to", type=Path, metavar="FILE", help=text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check the markers' arguments; leave out what is no attack, where asked to.

    Raises:
        pytest.UsageError: a marker names an actor or a finding that is not there.
    """
    for item in items:
        if marker := item.get_closest_marker("attack"):
            actor, findings = marker.kwargs.get("actor"), marker.kwargs.get("finding", ())
            unknown = marker.kwargs.keys() - {"actor", "finding", "by_design"}
            if marker.args or unknown or actor not in ACTORS or not set(findings) <= FINDINGS.keys():
                raise pytest.UsageError(f"{item.nodeid}: {MARKER}; actors: {', '.join(ACTORS)}")
    if config.getoption("--attacks"):
        others = [item for item in items if not item.get_closest_marker("attack")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.get_closest_marker("attack")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note what became of an attack, in the report, which xdist sends from its workers."""
    report = yield
    if marker := item.get_closest_marker("attack"):
        title = item.nodeid.split("[")[0]
        if reason := marker.kwargs.get("by_design"):
            title += f": {reason}"
        report.user_properties.append(("attack", (marker.kwargs["actor"], title, _outcome(report, marker))))
    return report


def _outcome(report: pytest.TestReport, marker: pytest.Mark) -> str:
    if report.failed:
        return "ADMITTED or not shown"
    if report.skipped:
        return "not tried"
    if report.when != "call":
        return ""
    return "admitted by design" if marker.kwargs.get("by_design") else "refused"


class _Report:
    """Counts outcomes where reports arrive, in the process that prints."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        #: (actor, test, outcome) -> number of attacks.
        self.found: Counter[tuple[str, str, str]] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one."""
        for name, value in report.user_properties:
            actor, title, outcome = value if name == "attack" else ("", "", "")
            if outcome:
                self.found[str(actor), str(title), str(outcome)] += 1

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table, by actor, and the sum of each outcome; or write the file."""
        if self.file:
            self.file.write_text(json.dumps([[*key, number] for key, number in sorted(self.found.items())]))
            return
        totals: Counter[str] = Counter()
        for actor in ACTORS:
            rows = sorted(
                (title, outcome, n) for (who, title, outcome), n in self.found.items() if who == actor
            )
            if rows:
                terminalreporter.section(f"attacks by: {actor}", sep="-")
            for title, outcome, number in rows:
                terminalreporter.write_line(f"{number:5} {outcome:22} {title}")
                totals[outcome] += number
        terminalreporter.section("attacks", sep="-")
        for outcome, number in sorted(totals.items()):
            terminalreporter.write_line(f"{number:5} {outcome}")
