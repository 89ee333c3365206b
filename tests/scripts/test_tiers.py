"""The tests of the other tiers can be read: a tier that CI runs in part would not say so."""

from __future__ import annotations

import subprocess
import sys

from scripts.chart import ROOT


def test_all_tests_are_found() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"]
    tiers = ["tests/api", "tests/cgroup2", "tests/e2e", "tests/images"]
    done = subprocess.run([*command, *tiers], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
