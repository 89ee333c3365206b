"""`make test-api VERSIONS=...`: the tier against other Kubernetes minors, one after the other.

python -m tests.api all                   # every minor; writes the table of docs/kubernetes-versions.md
python -m tests.api 1.30 1.33             # some of them
python -m tests.api 1.30 -- -k fence      # with options of pytest

A minor's API server and controller manager are built once, into the user's cache (scripts/tools/minors.py).
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
BUDGET = 480


def run(minor: str, options: Sequence[str]) -> versions.Run:
    """Run the tier against a minor."""
    directory = minors.programs(minor)
    print(f"\n==== Kubernetes {minor}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "attacks.json"
        command = [sys.executable, "-m", "pytest", f"--budget={BUDGET}", f"--attacks-to={file}"]
        command += ["--numprocesses=2", "--dist=loadfile", "tests/api", *options]
        environment = os.environ | {"AIRDOCK_KUBERNETES_BINARIES": str(directory)}
        code = subprocess.run(command, cwd=ROOT, env=environment).returncode
        attacks = json.loads(file.read_text()) if file.exists() else []
    return versions.Run(minor, code == 0, time.monotonic() - began, attacks)


def main(arguments: Sequence[str]) -> int:
    """Run the chosen minors, also after one has failed; give the exit code."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    chosen, options = arguments[:split], arguments[split + 1 :]
    wanted = minors.minors() if list(chosen) == ["all"] else chosen
    try:
        runs = [run(minor, options) for minor in wanted]
    except ToolError as error:
        print(f"test-api: {error}", file=sys.stderr)
        return 1
    print(f"\n{versions.table(runs)}")
    for each in runs:
        print(f"Kubernetes {each.minor}: {'passed' if each.passed else 'FAILED'} in {each.seconds:.0f} s")
    if weaker := versions.weaker(runs):
        print("\n".join(("attacks that an older version does not refuse:", *weaker)), file=sys.stderr)
    good = not weaker and all(each.passed for each in runs)
    if good and not options:
        versions.write(runs)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
