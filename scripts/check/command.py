"""Check a cluster before the chart is installed: which modes it can serve, and why not.

Without values it looks at each of the three modes, and the exit code is about the chart's own values (mode
kubernetes). With values it judges what they use: modes, executor, namespaces, images.

It reads, makes dry runs, and starts small probe pods that meet Pod Security restricted. One of them mounts
the node's Docker socket, only for mode socket, and only where the namespace admits it. Namespaces of the
release that do not exist are copied, with their Pod Security labels. Everything is deleted again.

Exit code: 0 every wanted mode can be served, 1 one cannot, 2 the cluster or the values cannot be checked.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.chart import ManifestError, RenderError
from scripts.check import facts, rights, tried
from scripts.check.cluster import Cluster, CommandError
from scripts.check.discovery import Served
from scripts.check.places import Places
from scripts.check.report import Check, Report, as_json, text
from scripts.check.wanted import Wanted
from scripts.lint.inputs import InputError, merged_values, sentence
from scripts.tools import ToolError

FORMATS: dict[str, Callable[[Report], str]] = {"text": text, "json": as_json}
NO_PODS = "--no-pods was given"


def main(arguments: Sequence[str] | None = None, prog: str = "python -m scripts.check") -> int:
    """Entry point; returns the exit code."""
    options = _parser(prog).parse_args(arguments)
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        report = _report(options)
    except CommandError as error:
        print(f"check: {_unreachable(error)}", file=sys.stderr)
        return 2
    except (InputError, RenderError, ManifestError, ToolError) as error:
        print(f"check: {sentence(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("check: interrupted; the probe pods are deleted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    print(FORMATS[options.format](report))
    return int(report.failed)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-f", "--values", action="extend", nargs="+", default=[], metavar="FILE", help="later files win"
    )
    parser.add_argument("--context", default="", help="of the kubeconfig; default: the current one")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: as kubectl has it")
    parser.add_argument("--namespace", "-n", default="airdock", help="of the release; default: %(default)s")
    parser.add_argument("--release", default="airdock", help="default: %(default)s")
    parser.add_argument("--no-pods", action="store_true", help="create nothing, and say what was not tried")
    parser.add_argument("--images", action="store_true", help="pull every image of the values, too (slow)")
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: %(default)s")
    return parser


def _terminated(*_: Any) -> None:
    """SIGTERM cleans up as Ctrl-C does."""
    raise KeyboardInterrupt


def _unreachable(error: CommandError) -> str:
    """One sentence from kubectl's words, which repeat themselves."""
    lines = [line for line in error.stderr.splitlines() if not line.startswith(("E0", "E1", "I0", "I1"))]
    return sentence(lines[-1] if lines else str(error))


def _report(options: argparse.Namespace) -> Report:
    cluster = Cluster(options.context, options.kubeconfig)
    values = merged_values(options.values)
    served = Served.by(cluster)
    given = bool(options.values)
    wanted = Wanted.rendered(values, options.release, options.namespace, given, served)
    name = options.context or cluster.kubectl("config", "current-context").strip()
    with Places.of(cluster, wanted) as places:
        checks = [
            *facts.checks(cluster, wanted, served),
            *rights.checks(cluster, wanted, served, places.new),
            *_of_pods(cluster, wanted, places, options),
        ]
    return Report(f"{name}, {served.version}, namespace {wanted.namespace}", tuple(checks), wanted.modes)


def _of_pods(cluster: Cluster, wanted: Wanted, places: Places, options: argparse.Namespace) -> list[Check]:
    if options.no_pods:
        return [*tried.admitted(cluster, wanted, places, create=False), *tried.untried(wanted, NO_PODS)]
    if wanted.namespace not in places.labels and not places.may_copy:
        reason = (
            f"namespace {wanted.namespace} does not exist, and you may not create and delete namespaces: "
            "have the administrator create it, then try again"
        )
        return [*tried.admitted(cluster, wanted, places, create=False), *tried.untried(wanted, reason)]
    found = [*tried.admitted(cluster, wanted, places, create=places.may_copy)]
    try:
        found += tried.probed(cluster, wanted, places, options.images)
    except CommandError as error:
        found += tried.unprobed(wanted, error.reason, tried.PULL, *tried.AFTER_PULL)
    return [*found, *tried.docker_sockets(cluster, wanted, places)]
