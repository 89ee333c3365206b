"""Findings as text for people, and as JUnit XML for a CI's test view. sarif.py has SARIF."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from scripts.lint.model import Acceptance, Finding, Policy
from scripts.lint.policies import POLICIES

#: The name of the schema check among the rules.
SCHEMA_RULE = "kubernetes-schema"


@dataclass
class Report:
    """All that a run found."""

    #: What was checked, for people: a chart with values, or a file.
    subject: str
    #: The file to which a code scanner should point.
    file: str
    findings: Sequence[Finding] = ()
    #: Sentences of the schema check.
    schema: Sequence[str] = field(default_factory=list)
    #: The file of each object, where that is not `file`.
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def open(self) -> list[Finding]:
        """Findings that nothing accepts."""
        return [finding for finding in self.findings if not finding.accepted]

    @property
    def accepted(self) -> list[Finding]:
        """Findings that an acceptance covers."""
        return [finding for finding in self.findings if finding.accepted]

    @property
    def failed(self) -> bool:
        """Whether there is anything to fix."""
        return bool(self.open or self.schema)


def text(report: Report, width: int | None = None) -> str:
    """A table of what to fix, then what is accepted, then one line that sums up. ``width`` in characters."""
    width = max(width or shutil.get_terminal_size((120, 24)).columns, 60)
    parts = []
    if report.schema:
        parts.append("Not valid for Kubernetes:\n" + "\n".join(f"  {line}" for line in report.schema))
    if report.open:
        parts.append(_open_table(report.open, width))
    if report.accepted:
        groups: dict[tuple[str, str], list[Finding]] = {}
        for finding in report.accepted:
            assert finding.accepted
            until = f" Until {finding.accepted.until}." if finding.accepted.until else ""
            groups.setdefault((finding.policy.id, finding.accepted.reason + until), []).append(finding)
        lines = ["Accepted:"]
        for (policy, reason), members in groups.items():
            lines += textwrap.wrap(
                f"{policy}, {_counted(len(members), 'place')}: {reason}",
                width,
                initial_indent="  ",
                subsequent_indent="    ",
            )
        parts.append("\n".join(lines))
    parts.append(summary(report))
    return "\n\n".join(parts)


def _open_table(findings: Sequence[Finding], width: int) -> str:
    """A row for each finding; what is wrong, why and the way out once for all rows that share it.

    The containers of an object share a row, if the same is wrong in all of them.
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        key = (
            finding.policy.id,
            str(finding.manifest),
            finding.found.field,
            finding.found.message,
            finding.expired,
        )
        groups.setdefault(key, []).append(finding)
    header, *rows = columns(
        [("severity", "policy", "object", "container", "field"), *map(_row, groups.values())]
    )
    lines = [header]
    firsts = [group[0] for group in groups.values()]
    for number, (finding, row) in enumerate(zip(firsts, rows, strict=True)):
        following = firsts[number + 1] if number + 1 < len(firsts) else None
        lines.append(row)
        if finding.expired:
            lines += _wrapped(expiry(finding.expired), width)
        last = following is None or following.policy is not finding.policy
        if last or (following and following.found.message != finding.found.message):
            lines += _wrapped(finding.found.message, width)
        if last:
            lines += _advice(finding.policy, width)
    return "\n".join(lines).rstrip()


def expiry(entry: Acceptance) -> str:
    """Say why a finding that somebody accepted is to be fixed all the same."""
    return f"Accepted until {entry.until}, which has passed. The reason was: {entry.reason}"


def summary(report: Report) -> str:
    """One line: how many policies, what is to be fixed, what is accepted."""
    verdict = (
        f"{_counted(len(report.open) + len(report.schema), 'finding')} to fix"
        if report.failed
        else "nothing to fix"
    )
    accepted = f", {_counted(len(report.accepted), 'finding')} accepted" if report.accepted else ""
    return f"{report.subject}: {_counted(len(POLICIES), 'policy')}, {verdict}{accepted}."


def _counted(number: int, word: str) -> str:
    plural = word.removesuffix("y") + "ies" if word.endswith("y") else word + "s"
    return f"{number} {word if number == 1 else plural}"


def _row(findings: Sequence[Finding]) -> tuple[str, ...]:
    first = findings[0]
    return (
        first.policy.severity,
        first.policy.id,
        str(first.manifest),
        ", ".join(finding.found.container for finding in findings) or "-",
        first.found.field,
    )


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Give a line for each row, with its cells below those of the row before."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _wrapped(sentence: str, width: int, indent: str = "    ") -> list[str]:
    return textwrap.wrap(sentence, width, initial_indent=indent, subsequent_indent=indent)


def _advice(policy: Policy, width: int) -> list[str]:
    standards = "; ".join(str(standard) for standard in policy.standards)
    return [
        *_wrapped(f"why: {policy.why}", width),
        *_wrapped(f"fix: {policy.fix}", width),
        *(_wrapped(f"see: {standards}", width) if standards else ()),
        "",
    ]


def junit_failure(sentence: str) -> str:
    """Give a suite with one error: the input cannot be checked."""
    suites = ElementTree.Element("testsuites", name="airdock lint")
    suite = ElementTree.SubElement(suites, "testsuite", name="airdock lint", tests="1", errors="1")
    case = ElementTree.SubElement(suite, "testcase", classname="airdock.lint", name="input")
    ElementTree.SubElement(case, "error", message=_xml(sentence))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def junit(report: Report) -> str:
    """One test case per policy (and one for the schemas); accepted findings are skipped, others failures."""
    cases = len(POLICIES) + 1
    suite = ElementTree.Element("testsuite", name=f"airdock lint: {report.subject}")
    schema = ElementTree.SubElement(suite, "testcase", classname="airdock.lint", name=SCHEMA_RULE)
    if report.schema:
        failure = ElementTree.SubElement(schema, "failure", message="not valid for Kubernetes", type="schema")
        failure.text = _xml("\n".join(report.schema))
    failures, skipped = int(bool(report.schema)), 0
    for policy in POLICIES:
        name = f"{policy.id}: {policy.title}"
        case = ElementTree.SubElement(suite, "testcase", classname="airdock.lint", name=name)
        found = [finding for finding in report.open if finding.policy is policy]
        covered = [finding for finding in report.accepted if finding.policy is policy]
        if found:
            failures += 1
            failure = ElementTree.SubElement(case, "failure", message=_xml(policy.fix), type=policy.severity)
            failure.text = _xml("\n".join([*map(_line, found), f"why: {policy.why}", f"fix: {policy.fix}"]))
        elif covered:
            skipped += 1
            reasons = dict.fromkeys(finding.accepted.reason for finding in covered if finding.accepted)
            ElementTree.SubElement(case, "skipped", message=_xml("accepted: " + " ".join(reasons)))
    counts = {"tests": str(cases), "failures": str(failures), "skipped": str(skipped), "errors": "0"}
    suite.attrib.update(counts)
    suites = ElementTree.Element("testsuites", {"name": "airdock lint", **counts})
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _line(finding: Finding) -> str:
    container = f" container {finding.found.container}" if finding.found.container else ""
    lapse = f". {expiry(finding.expired)}" if finding.expired else ""
    return f"{finding.manifest}{container}, {finding.found.field}: {finding.found.message}{lapse}"


def _xml(words: str) -> str:
    """Without the control characters that XML 1.0 cannot carry."""
    return "".join(letter for letter in words if letter in "\t\n" or letter >= " ")
