"""What was found: a line per check, then a line per mode; as text for people and as JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

#: Characters of a name before it has a line of its own.
_WIDEST = 34


class Result(Enum):
    """How a check ended."""

    OK = "ok"
    MISSING = "missing"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        result: how it ended.
        seen: what the cluster answered.
        way_out: what to set, or what an administrator does; "" if nothing is missing.
        stops: the modes that cannot be served while it is missing.
        details: everything that is missing, where `seen` names only the first.
    """

    name: str
    result: Result
    seen: str
    way_out: str = ""
    stops: frozenset[str] = frozenset()
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Whether a mode can be served.

    Attributes:
        mode: its name.
        wanted: whether the values use it.
        reasons: why it cannot be served; none if it can.
        untried: checks that could still show a reason.
    """

    mode: str
    wanted: bool
    reasons: tuple[str, ...]
    untried: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All checks of one cluster."""

    cluster: str
    checks: tuple[Check, ...]
    #: Modes that were looked at: whether the values use it.
    modes: dict[str, bool]

    @property
    def verdicts(self) -> list[Verdict]:
        """One for each mode."""
        return [
            Verdict(mode, wanted, self._names(mode, Result.MISSING), self._names(mode, Result.NOT_TRIED))
            for mode, wanted in self.modes.items()
        ]

    def _names(self, mode: str, result: Result) -> tuple[str, ...]:
        return tuple(check.name for check in self.checks if check.result is result and mode in check.stops)

    @property
    def failed(self) -> bool:
        """Whether a mode that the values use cannot be served."""
        return any(verdict.wanted and verdict.reasons for verdict in self.verdicts)


def shortened(parts: Sequence[str], most: int = 5) -> str:
    """A list in one line, the first few of many."""
    more = len(parts) - most
    return "; ".join(parts[:most]) + (f"; and {more} more" if more > 0 else "")


def text(report: Report, width: int = 120) -> str:
    """A table, then a line per mode."""
    column = min(max(len(check.name) for check in report.checks), _WIDEST) + 2
    lines = [f"cluster: {report.cluster}", ""]
    for check in report.checks:
        start = f"{check.name:<{column}}{check.result.value:<11}"
        if len(check.name) > column - 2:  # The name has a line of its own.
            lines.append(check.name)
            start = f"{'':<{column}}{check.result.value:<11}"
        lines += _wrapped(start, check.seen, width)
        if check.way_out:
            lines += _wrapped(" " * len(start), f"-> {check.way_out}", width)
    lines.append("")
    for verdict in report.verdicts:
        lines += _wrapped(f"mode {verdict.mode}: ", _sentence(verdict), width, indent=4)
    return "\n".join(lines)


def _wrapped(start: str, words: str, width: int, indent: int = 0) -> list[str]:
    later = " " * (indent or len(start))
    return textwrap.wrap(
        words, width, initial_indent=start, subsequent_indent=later, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _sentence(verdict: Verdict) -> str:
    if verdict.reasons:
        return f"cannot be served, see: {_names(verdict.reasons)}"
    if verdict.untried:
        return f"nothing is in the way, but this was not tried: {_names(verdict.untried)}"
    return "can be served"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


def as_json(report: Report) -> str:
    """The same for programs."""
    checks = [
        {
            "name": check.name,
            "result": check.result.value,
            "seen": check.seen,
            "wayOut": check.way_out,
            "stops": sorted(check.stops),
            "details": list(check.details),
        }
        for check in report.checks
    ]
    modes = {
        verdict.mode: {
            "wanted": verdict.wanted,
            "served": not verdict.reasons,
            "missing": list(verdict.reasons),
            "notTried": list(verdict.untried),
        }
        for verdict in report.verdicts
    }
    return json.dumps({"cluster": report.cluster, "checks": checks, "modes": modes}, indent=2)
