"""`make test-api VERSIONS=...`: the tier against other Kubernetes minors, one after the other.

python -m tests.api [pytest's options]

A minor's API server and controller manager are built once, into the user's cache (scripts/tools/minors.py).
With the newest minor among others, and without TESTS, it writes the table of docs/kubernetes-versions.md.

    VERSIONS   minors separated by spaces; without it, or with `all`: each that the chart supports
    TESTS      files to run, separated by spaces
    ATTACKS    set: only attacks run
    IF_BUILT   set: a minor that is not in the cache is not built, and is listed as skipped
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.chart import ROOT
from scripts.tools import ToolError, minors
from tests.api import versions

#: Seconds that a run may take on two cores with warm caches.
BUDGET = 600


def run(minor: str, tests: Sequence[str], options: Sequence[str]) -> versions.Run:
    """Run tests against a minor."""
    directory = minors.programs(minor)
    print(f"\n==== Kubernetes {minor}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "attacks.json"
        command = [sys.executable, "-m", "pytest", f"--budget={BUDGET}", f"--attacks-to={file}"]
        command += ["--numprocesses=2", "--dist=loadfile", *options, *tests]
        if os.environ.get("ATTACKS"):
            command.append("--attacks")
        other = {} if minor == minors.minors()[-1] else {"AIRDOCK_KUBERNETES_BINARIES": str(directory)}
        code = subprocess.run(command, cwd=ROOT, env=os.environ | other).returncode
        attacks = json.loads(file.read_text()) if file.exists() else []
    return versions.Run(minor, code == 0, time.monotonic() - began, attacks)


def main(options: Sequence[str]) -> int:
    """Run the chosen minors, also after one has failed; give the exit code."""
    supported, tests = minors.minors(), os.environ.get("TESTS", "").split()
    wanted = os.environ.get("VERSIONS", "all").split()
    chosen = [minor for minor in supported if minor in wanted or wanted == ["all"]]
    if unknown := sorted({*wanted} - {*supported, "all"}):
        print(f"VERSIONS: there is no {unknown[0]}, only {', '.join(supported)}", file=sys.stderr)
        return 2
    skipped = [minor for minor in chosen if os.environ.get("IF_BUILT") and not minors.is_built(minor)]
    try:
        runs = [run(minor, tests or ["tests/api"], options) for minor in chosen if minor not in skipped]
    except ToolError as error:
        print(f"test-api: {error}", file=sys.stderr)
        return 1
    if runs:
        print(f"\n{versions.table(runs)}\n")
    for each in runs:
        print(f"Kubernetes {each.minor}: {'passed' if each.passed else 'FAILED'} in {each.seconds:.0f} s")
    for minor in skipped:
        print(
            f"Kubernetes {minor}: SKIPPED by IF_BUILT, because its API server is not in {minors.CACHE}: "
            f".venv/bin/python -m scripts.tools.minors {minor} builds it"
        )
    if tests:
        print(f"left out by TESTS: all but {' '.join(tests)}")
    if os.environ.get("ATTACKS"):
        print("left out by ATTACKS: what is no attack")
    if weaker := versions.weaker(runs):
        print("\n".join(("attacks that another version refuses:", *weaker)), file=sys.stderr)
    good = not weaker and all(each.passed for each in runs)
    if good and len(runs) > 1 and runs[-1].minor == supported[-1] and not (tests or options):
        versions.write(runs, supported)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
