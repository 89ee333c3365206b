"""`make bench`, the half without a cluster: what rendering and checking the chart costs.

    python -m scripts.bench.checks [REPEATS]      # 5 repeats by default

The baseline is checkov over the same manifests in the same run, each as one command from start to exit. It is
installed once, into a directory of its own in the user's cache.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scripts.chart import ROOT, load_yaml
from scripts.chart import helm as renderer
from scripts.lint.engine import findings
from scripts.lint.policies import POLICIES
from scripts.tools.build import CACHE

CHECKOV = "3.3.30"
VALUES = ROOT / "examples" / "values" / "three-modes.yaml"


def checkov() -> Path:
    """checkov's command, installed on demand."""
    home = CACHE.parent / f"checkov-{CHECKOV}"
    command = home / "bin" / "checkov"
    if not command.exists():
        print(f"installing checkov {CHECKOV}, once", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", f"checkov=={CHECKOV}"], check=True)
    return command


def seconds(action: Callable[[], object], repeats: int) -> float:
    """The median of `repeats` runs, in seconds."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def main(arguments: list[str]) -> int:
    """Measure and print the table."""
    repeats = int(arguments[0]) if arguments else 5
    (values,) = load_yaml(VALUES.read_text())
    manifests = renderer.render(values)
    count = len(list(manifests))

    def cached() -> None:
        renderer._rendered.cache_clear()
        renderer._shared.cache_clear()
        renderer.render(values)

    fresh = seconds(lambda: renderer.template(values), repeats)
    kept = seconds(cached, repeats)
    checks = seconds(lambda: findings(manifests), repeats)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "manifests.yaml"
        file.write_text(renderer.template(values))

        def run(*command: str | Path) -> Callable[[], object]:
            def check() -> None:
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode not in (0, 1):  # 1: there are findings.
                    sys.exit(f"{command[0]} failed: {done.stderr or done.stdout}")

            return check

        theirs = seconds(run(checkov(), "--framework", "kubernetes", "--quiet", "--file", file), repeats)
        ours = seconds(run(sys.executable, "-m", "scripts.lint", file), repeats)
    print(f"{VALUES.name}: {count} manifests, {len(POLICIES)} policies (a check: one policy on one manifest)")
    print(f"medians of {repeats} runs")
    print(f"helm template                {fresh:7.3f} s   {1 / fresh:8.1f} renders/s")
    print(f"the same from the cache      {kept:7.3f} s   {1 / kept:8.1f} renders/s")
    print(f"all policies, in a process   {checks:7.3f} s   {len(POLICIES) * count / checks:8.0f} checks/s")
    print(f"checkov {CHECKOV}, as a command  {theirs:7.3f} s       1.0 x (baseline)")
    print(f"make lint, as a command      {ours:7.3f} s   {theirs / ours:8.1f} x as fast, schemas included")
    print(f"policies alone               {checks:7.3f} s   {theirs / checks:8.1f} x as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
