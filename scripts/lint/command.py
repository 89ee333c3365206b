"""Check a release before it is installed: schemas and security policies.

Exit code: 0 nothing to fix, 1 something to fix, 2 the input cannot be checked.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.chart import KUBE_VERSIONS, ManifestError, Manifests, RenderError, render
from scripts.chart.schemas import SchemaError, problems
from scripts.lint import acceptances, report, sarif
from scripts.lint.accepted import ACCEPTED
from scripts.lint.engine import findings
from scripts.lint.inputs import InputError, label, manifests_of, merged_values, sentence
from scripts.tools import ToolError

FORMATS: dict[str, Callable[[report.Report], str]] = {
    "text": report.text,
    "junit": report.junit,
    "sarif": sarif.sarif,
}
#: What is reported for input that cannot be checked.
FAILURES = {"junit": report.junit_failure, "sarif": sarif.failure}
EXAMPLES = """
examples:
  %(prog)s -f my.yaml                       the chart with your values
  %(prog)s -f my.yaml -f more.yaml          later files win
  helm template my-release my-chart | %(prog)s -        any manifests
"""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m scripts.lint") -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "manifests",
        nargs="*",
        metavar="MANIFESTS",
        help="files with manifests to check in place of the chart; - is standard input",
    )
    parser.add_argument(
        "-f",
        "--values",
        action="extend",
        nargs="+",
        default=[],
        metavar="FILE",
        help="values over the chart's own; later files win",
    )
    parser.add_argument(
        "--accepted",
        metavar="FILE",
        help="findings that you accept: a YAML list of maps with policy, object, reason and optionally until",
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: %(default)s")
    parser.add_argument(
        "--output", metavar="FILE", help="write the report to this file, and text to standard output"
    )
    parser.add_argument("--release", default="airdock", help="default: %(default)s")
    parser.add_argument("--namespace", default="airdock", help="default: %(default)s")
    parser.add_argument(
        "--kube-version", default=KUBE_VERSIONS[-1], metavar="X.Y", help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    if options.values and options.manifests:
        parser.error("give values or manifests, not both")
    try:
        try:
            result = _report(options)
        except (InputError, RenderError, ManifestError, SchemaError, ToolError) as error:
            message = sentence(str(error))
            print(f"lint: {message}", file=sys.stderr)
            if options.format in FAILURES:
                _publish(options, FAILURES[options.format](message), "")
            return 2
        _publish(options, FORMATS[options.format](result), report.text(result) if options.output else "")
    except InputError as error:
        print(f"lint: {error}", file=sys.stderr)
        return 2
    return int(result.failed)


def _publish(options: argparse.Namespace, text: str, instead: str) -> None:
    """Write a report to where the user wants it; in a file, `instead` goes to standard output."""
    if options.output:
        try:
            Path(options.output).write_text(text + "\n")
        except OSError as error:
            raise InputError(f"{options.output} cannot be written: {error.strerror}.") from error
        text = instead
    try:
        if text:
            print(text, flush=True)
    except BrokenPipeError:  # The reader had enough; what follows is for it alone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(options: argparse.Namespace) -> report.Report:
    own = acceptances.load(options.accepted) if options.accepted else ()
    manifests, subject, file, files = _manifests(options)
    try:
        found = findings(manifests, accepted=(*ACCEPTED, *own))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # A field of the wrong shape: the schemas say which.
        sentences = problems(manifests, options.kube_version)
        if not sentences:
            raise InputError(f"{subject}: a field of an object has an unexpected type: {error!r}.") from error
        return report.Report(subject, file, (), sentences, files)
    acceptances.check_used(options.accepted, own, found)
    return report.Report(subject, file, found, problems(manifests, options.kube_version), files)


def _manifests(options: argparse.Namespace) -> tuple[Manifests, str, str, Mapping[str, str]]:
    """What to check, its name for people, the file to point at, and the file of each object, if known."""
    if options.manifests:
        manifests, files = manifests_of(options.manifests)
        return manifests, ", ".join(map(label, options.manifests)), options.manifests[0], files
    values = merged_values(options.values)
    _check_python(values)
    manifests = render(
        values,
        release=options.release,
        namespace=options.namespace,
        kube_version=options.kube_version,
    )
    names = ", ".join(map(label, options.values))
    subject = f"chart with {names}" if names else "chart with its own values"
    return manifests, subject, (options.values or ["charts/airdock/values.yaml"])[-1], {}


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
