"""`make e2e`: the lanes of lanes.py, one after the other, against one budget.

python -m tests.e2e [pytest's options]

Without these variables all lanes and tests run; what is left out is listed:

    LANES      lanes to run, separated by spaces
    TESTS      files or folders to run, separated by spaces
    AIRFLOW    an older line of Airflow, such as 3.1: only the tests that compare lines run, unless TESTS says
               otherwise
    DOCKER     an older Docker engine on the node, such as 28: only the tests of the gateway before a Docker
               daemon run, against that engine, unless TESTS says otherwise
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from scripts import tools
from scripts.tools.catalog import DOCKER_ENGINES
from tests.e2e.lanes import LANES

#: Lane -> seconds that it may take on two cores with warm caches.
BUDGET = {"look": 1500, "release": 2700, "node": 420}
#: Lane -> workers of xdist, 0 for none. If two releases start at once on two cores, probes time out.
WORKERS = {"look": 2, "release": 0, "node": 0}


#: The example DAGs, and what the Docker provider of each line makes of a gateway and of Docker itself.
EACH_LINE = "tests/e2e/test_examples.py tests/e2e/test_gateway_differential.py"
#: Variable -> the tests that it is for.
OF_VARIABLE = {"AIRFLOW": EACH_LINE, "DOCKER": "tests/e2e/gateway_daemon"}


def chosen_tests() -> str:
    """Give the files and folders that run, separated by spaces; empty for all."""
    return os.environ.get("TESTS") or " ".join(OF_VARIABLE[name] for name in _variables())


def _variables() -> list[str]:
    return [name for name in OF_VARIABLE if os.environ.get(name)]


def run(lane: str, options: list[str]) -> bool:
    """Run a lane and tell whether all its tests passed."""
    paths = chosen_tests().split() or ["tests/images", "tests/e2e"]
    # In this order: what xdist would do first by itself is what has most tests, not what takes longest.
    # Each file for AIRFLOW starts tens of tasks at once: beside another, they miss their heartbeats.
    workers = 0 if os.environ.get("AIRFLOW") else WORKERS[lane]
    spread = [f"--numprocesses={workers}"]
    if workers:
        spread += ["--dist=loadgroup", "--no-loadscope-reorder"]
    command = [sys.executable, "-m", "pytest", f"--lane={lane}", f"--budget={BUDGET[lane]}", *spread]
    code = subprocess.run([*command, *options, *paths], check=False).returncode
    return code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def main(options: list[str]) -> int:
    """Run all lanes, also after one has failed; give the exit code."""
    seconds: dict[str, float] = {}
    failed = []
    chosen = os.environ.get("LANES", "").split() or list(LANES)
    if unknown := sorted(set(chosen) - set(LANES)):
        print(f"LANES: {unknown[0]} is no lane; there are {', '.join(LANES)}", file=sys.stderr)
        return 2
    if problem := _build_engine():
        print(problem, file=sys.stderr)
        return 2
    for lane in chosen:
        print(f"\n==== lane {lane}", flush=True)
        began = time.monotonic()
        if not run(lane, options):
            failed.append(lane)
        seconds[lane] = time.monotonic() - began
    print("\nlane      time      budget")
    for lane in chosen:
        print(f"{lane:8}{_shown(seconds[lane]):>10}{_shown(BUDGET[lane]):>10}")
    total = sum(BUDGET[lane] for lane in chosen)
    print(f"{'all':8}{_shown(sum(seconds.values())):>10}{_shown(total):>10}")
    if left_out := [lane for lane in LANES if lane not in chosen]:
        print(f"left out by LANES: {', '.join(left_out)}")
    if tests := chosen_tests():
        by = "TESTS" if os.environ.get("TESTS") else " and ".join(_variables())
        print(f"left out by {by}: all but {tests}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _build_engine() -> str:
    """Build the engine of DOCKER, or say why there is none."""
    engine = os.environ.get("DOCKER")
    if not engine:
        return ""
    if engine not in DOCKER_ENGINES:
        return f"DOCKER={engine}: use one of {', '.join(DOCKER_ENGINES)}, or none for the node's engine"
    try:
        tools.pinned(f"dockerd-{engine}")
    except tools.ToolError as error:
        return f"DOCKER={engine}: {error}"
    return ""


def _shown(seconds: float) -> str:
    return "{}:{:02}".format(*divmod(round(seconds), 60))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
