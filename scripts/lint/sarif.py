"""Findings as SARIF 2.1.0 (OASIS), for code scanning."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scripts.chart import versions
from scripts.lint import address
from scripts.lint.inputs import STDIN
from scripts.lint.model import Finding, Policy
from scripts.lint.policies import POLICIES
from scripts.lint.report import SCHEMA_RULE, Report, expiry

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"high": "error", "medium": "warning", "low": "note"}


def failure(sentence: str) -> str:
    """Give a run that did not succeed: the input cannot be checked."""
    notification = {"level": "error", "message": {"text": sentence}}
    invocation = {"executionSuccessful": False, "toolExecutionNotifications": [notification]}
    return _log({"invocations": [invocation], "results": []}, [])


def sarif(report: Report) -> str:
    """Accepted findings are results with a suppression, as code scanners expect."""
    rules = [*map(_rule, POLICIES), _schema_rule()]
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [_result(finding, report, numbers[finding.policy.id]) for finding in report.findings]
    for sentence in report.schema:
        results.append(
            {
                "ruleId": SCHEMA_RULE,
                "ruleIndex": numbers[SCHEMA_RULE],
                "level": "error",
                "message": {"text": sentence},
                "locations": [{"physicalLocation": _place(_file_of(sentence, report))}],
            }
        )
    return _log({"results": results}, rules)


def _log(run: Mapping[str, Any], rules: list[dict[str, Any]]) -> str:
    driver = {"name": "airdock lint", "semanticVersion": versions.CHART, "rules": rules}
    if page := address.page():
        driver["informationUri"] = page
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", **run}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _file_of(sentence: str, report: Report) -> str:
    """The file of the object with which a sentence of the schema check begins: `Deployment worker: ...`."""
    for name, file in report.files.items():
        kind, _, rest = name.partition(" ")
        if sentence.startswith(f"{kind} {rest.rpartition('/')[2]}: "):
            return file
    return report.file


def _place(file: str) -> dict[str, Any]:
    """The file as a whole: a finding is about an object that several lines of it, or none, have created."""
    return {"artifactLocation": {"uri": _uri(file)}, "region": {"startLine": 1}}


def _uri(file: str) -> str:
    """A path from the working directory, which a code scanner takes for one from the repository's root."""
    if file == STDIN:
        return "stdin"
    path = Path(os.path.normpath(Path.cwd() / file))
    below = path.is_relative_to(Path.cwd())
    return quote(str(path.relative_to(Path.cwd()) if below else path))


def _rule(policy: Policy) -> dict[str, Any]:
    standards = f"\n\nSee: {'; '.join(map(str, policy.standards))}." if policy.standards else ""
    return _linked(
        {
            "id": policy.id,
            "shortDescription": {"text": policy.title},
            "fullDescription": {"text": policy.why},
            "help": {
                "text": policy.fix,
                "markdown": f"**Why:** {policy.why}\n\n**Fix:** {policy.fix}{standards}",
            },
            "defaultConfiguration": {"level": _LEVELS[policy.severity]},
            "properties": {"tags": ["security", *map(str, policy.standards)]},
        }
    )


def _schema_rule() -> dict[str, Any]:
    return _linked(
        {
            "id": SCHEMA_RULE,
            "shortDescription": {"text": "Objects are valid for Kubernetes"},
            "defaultConfiguration": {"level": "error"},
        }
    )


def _linked(rule: dict[str, Any]) -> dict[str, Any]:
    link = address.of_rule(rule["id"])
    return {**rule, "helpUri": link} if link else rule


def _result(finding: Finding, report: Report, number: int) -> dict[str, Any]:
    where = f"{finding.manifest}" + (
        f", container {finding.found.container}" if finding.found.container else ""
    )
    advice = f"{expiry(finding.expired)} {finding.policy.fix}" if finding.expired else finding.policy.fix
    file = report.files.get(str(finding.manifest), report.file)
    result: dict[str, Any] = {
        "ruleId": finding.policy.id,
        "ruleIndex": number,
        "level": _LEVELS[finding.policy.severity],
        "message": {"text": f"{where}: {finding.found.message}. {advice}"},
        "locations": [
            {
                "physicalLocation": _place(file),
                "logicalLocations": [
                    {"fullyQualifiedName": f"{where}, {finding.found.field}", "kind": "object"}
                ],
            }
        ],
        "partialFingerprints": {
            "place/v1": "/".join(
                (finding.policy.id, str(finding.manifest), finding.found.container, finding.found.field)
            )
        },
    }
    if finding.accepted:
        result["suppressions"] = [{"kind": "external", "justification": finding.accepted.reason}]
    return result
