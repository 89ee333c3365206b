"""A tier's time against its budget: a line in the report, and in CI the end of a tier that is too slow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.chart import ROOT


@pytest.mark.parametrize(
    ("ci", "budget", "code"), [("true", "0.001", 1), ("true", "600", 0), ("", "0.001", 0)]
)
def test_only_ci_fails_a_slow_tier(
    ci: str, budget: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.budget", f"--rootdir={tmp_path}"]
    command += [f"--budget={budget}", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == code, done.stdout
    assert "slowest 25 durations" in done.stdout
    assert "time: 0 min " in done.stdout
    assert ("the run fails" in done.stdout) == bool(code)
