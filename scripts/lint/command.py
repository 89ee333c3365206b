"""Check a release before it is installed: schemas and security policies.

python -m scripts.lint --values my.yaml [more.yaml]    # the chart with your values
helm template ... | python -m scripts.lint --manifests -   # any manifests

Exit code: 0 nothing to fix, 1 something to fix, 2 the input cannot be checked.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.chart import KUBE_VERSIONS, ManifestError, Manifests, RenderError, load_yaml, render
from scripts.chart.schemas import SchemaError, problems
from scripts.lint import report
from scripts.lint.accepted import ACCEPTED
from scripts.lint.engine import findings
from scripts.lint.model import Acceptance
from scripts.lint.policies import BY_ID
from scripts.tools import ToolError

FORMATS: dict[str, Callable[[report.Report], str]] = {
    "text": report.text,
    "junit": report.junit,
    "sarif": report.sarif,
}


class InputError(Exception):
    """What was given cannot be checked; the message is one sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.lint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--values",
        action="extend",
        nargs="+",
        default=[],
        metavar="FILE",
        help="values over the chart's own; later files win",
    )
    source.add_argument(
        "--manifests", metavar="FILE", help="check these manifests instead; - is standard input"
    )
    parser.add_argument(
        "--accepted",
        metavar="FILE",
        help="findings that you accept: a YAML list of maps with policy, object and reason",
    )
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--release", default="airdock")
    parser.add_argument("--namespace", default="airdock")
    parser.add_argument(
        "--kube-version", default=KUBE_VERSIONS[-1], metavar="X.Y", help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        result = _report(options)
    except (InputError, RenderError, ManifestError, SchemaError, ToolError) as error:
        message = sentence(str(error))
        print(f"lint: {message}", file=sys.stderr)
        if options.format in report.FAILURES:
            print(report.FAILURES[options.format](message))
        return 2
    try:
        print(FORMATS[options.format](result))
    except BrokenPipeError:  # The reader had enough; what follows is for it alone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(result.failed)


def _report(options: argparse.Namespace) -> report.Report:
    own = _accepted(options.accepted) if options.accepted else ()
    manifests, subject, file = _manifests(options)
    try:
        found = findings(manifests, accepted=(*ACCEPTED, *own))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # A field of the wrong shape: the schemas say which.
        sentences = problems(manifests, options.kube_version)
        if not sentences:
            raise InputError(f"{subject}: a field of an object has an unexpected type: {error!r}.") from error
        return report.Report(subject, file, (), sentences)
    used = {id(finding.accepted) for finding in found}
    for entry in own:
        if id(entry) not in used:
            raise InputError(
                f"{options.accepted}: {entry.policy} of {entry.object} accepts nothing. Remove the entry."
            )
    return report.Report(subject, file, found, problems(manifests, options.kube_version))


def _accepted(path: str) -> tuple[Acceptance, ...]:
    """Read what the user accepts. An entry names one finding's policy, object and reason."""
    documents = load_yaml(_read(path), path)
    entries = documents[0] if len(documents) == 1 else None
    if not isinstance(entries, list):
        raise InputError(f"{path}: one YAML list is expected.")
    needed, allowed = {"policy", "object", "reason"}, {"policy", "object", "reason", "container", "field"}
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not needed <= entry.keys() <= allowed:
            raise InputError(
                f"{path}, entry {number}: policy, object and reason are required, container and field are"
                " optional."
            )
        if not all(isinstance(text, str) and text.strip() for text in entry.values()):
            raise InputError(f"{path}, entry {number}: every value must be a text that is not empty.")
        if entry["policy"] not in BY_ID:
            raise InputError(f"{path}, entry {number}: there is no policy {entry['policy']}.")
    return tuple(Acceptance(**entry) for entry in entries)


def _manifests(options: argparse.Namespace) -> tuple[Manifests, str, str]:
    """What to check, its name for people, and the file to point at."""
    if options.manifests:
        name = "standard input" if options.manifests == "-" else options.manifests
        text = sys.stdin.read() if options.manifests == "-" else _read(options.manifests)
        manifests = Manifests.parse(text, name)
        if not len(manifests):
            raise InputError(f"{name}: the input contains no Kubernetes object.")
        return manifests, name, "stdin" if options.manifests == "-" else options.manifests
    values = merged_values(options.values)
    _check_python(values)
    manifests = render(
        values,
        release=options.release,
        namespace=options.namespace,
        kube_version=options.kube_version,
    )
    subject = f"chart with {', '.join(options.values)}" if options.values else "chart with its own values"
    return manifests, subject, (options.values or ["charts/airdock/values.yaml"])[-1]


def _check_python(values: dict[str, Any]) -> None:
    """Helm cannot parse Python: every Airflow container would end with these errors."""
    for section, key in (("airflow", "localSettings"), ("auth", "webserverConfig")):
        text = (values.get(section) or {}).get(key) if isinstance(values.get(section), dict) else None
        try:
            ast.parse(text if isinstance(text, str) else "")
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else f": {error}"
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise InputError(f"{section}.{key}{line} (Python {version}).") from error


def merged_values(paths: Sequence[str]) -> dict[str, Any]:
    """The values of files, later ones over earlier ones.

    Raises:
        InputError: if one cannot be read.
    """
    values: dict[str, Any] = {}
    for path in paths:
        values = _merged(values, _values(path))
    return values


def sentence(message: str) -> str:
    """An error in one line, without what Helm says about itself."""
    plain = re.sub(r"^execution error at \([^)]*\): ", "", message.strip())
    return " ".join(plain.replace("Use --debug flag to render out invalid YAML", "").split())


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Values in Helm's order: maps deep, all else replaced; a null stays, to reset the chart's own value."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"{path} cannot be read: {reason}.") from error


def _values(path: str) -> dict[str, Any]:
    documents = load_yaml(_read(path), path) or [{}]
    if len(documents) > 1 or not isinstance(documents[0] or {}, dict):
        raise InputError(f"{path} contains no values: one YAML map is expected.")
    return documents[0] or {}
