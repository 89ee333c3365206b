"""Run DAGs in every mode for HOURS, break something each minute, and print what came of it: `make soak`.

    python -m tests.soak HOURS [--node] [--seed N]

It installs a release of its own. `--node` also kills the API server and the kubelet, for a cluster that
nobody else uses. A clock that is stepped is not among the faults: it would be that of the whole machine. It
needs root on the node of the cluster that `make up` starts.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from scripts import up
from scripts.live import ApiError, CommandError, choose
from scripts.live.airflow_api import FINISHED
from scripts.overlays.definitions import merged
from tests.e2e.own_release import OwnRelease, own_release
from tests.soak import verdict
from tests.soak.faults import Faults
from tests.support.waiting import wait_until

NAMESPACE = "airdock-soak"
#: Seconds between two runs of each DAG, between two faults, and for the last tasks and Leases to end.
EVERY, PAUSE, SETTLE = 30, 60, 900
VALUES: dict[str, Any] = {
    "workerDefaults": {"resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": "2", "memory": "1Gi"}}},
    "dags": {"examples": False},
    "airflow": {"env": {"SOAK_RETRIES": verdict.RETRIES}},
}
DAGS = Path(__file__).with_name("soak_dags.py").read_text()


def say(line: str) -> None:
    """Print progress, at once."""
    print(time.strftime("%H:%M:%S"), line, flush=True)


def break_and_run(release: OwnRelease, dag_ids: list[str], seconds: float, faults: Faults) -> Any:
    """Trigger runs and break things until the time is over; give the hits and the memory."""
    hits = {name: Counter[str]() for name in faults.all}
    memory = verdict.Memory(release)
    end, run_at, break_at = time.monotonic() + seconds, 0.0, time.monotonic() + PAUSE
    order: list[str] = []
    while time.monotonic() < end:
        if time.monotonic() >= run_at:
            run_at = time.monotonic() + EVERY
            for dag_id in dag_ids:
                try:
                    release.airflow.trigger(dag_id)
                except ApiError as error:
                    say(f"{dag_id} could not be started: {str(error)[:200]}")
        if time.monotonic() >= break_at:
            break_at = time.monotonic() + PAUSE
            # Each one before any comes again.
            order = order or faults.chance.sample(list(faults.all), len(faults.all))
            name = order.pop()
            try:
                say(f"{name}: {faults.all[name]()}")
                hits[name]["hit"] += 1
                memory.sample()
            except (CommandError, OSError, ValueError) as error:
                say(f"{name}: missed: {error}")
                hits[name]["missed"] += 1
        time.sleep(1)
    return hits, memory


def main() -> int:
    """Soak; exit code 1 if something does not hold."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("hours", type=float)
    parser.add_argument("--node", action="store_true", help="also kill the API server and the kubelet")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    target = choose()
    if not target.native:
        parser.error("the faults need the node of the cluster that `make up` starts: set CLUSTER=native")
    up.start(target)
    chosen, skipped = up.values(target)
    for mode, reason in skipped.items():
        say(f"left out: mode {mode}: {reason}")
    say(f"seed {arguments.seed}")
    values = merged(chosen, VALUES)
    with own_release(target, NAMESPACE, values, {"soak.py": DAGS}) as release:
        wait_until(lambda: bool(release.airflow.dags()), 240, "the DAGs")
        dag_ids = sorted(release.airflow.dags())
        for dag_id in dag_ids:
            release.airflow.unpause(dag_id)
        faults = Faults(release, random.Random(arguments.seed), arguments.node)
        hits, memory = break_and_run(release, dag_ids, arguments.hours * 3600, faults)
        say("waiting for the last tasks")
        release.rolled()
        wait_until(
            lambda: all(set(release.runs(dag_id).values()) <= FINISHED for dag_id in dag_ids),
            SETTLE, "the last tasks",
        )  # fmt: skip
        deadline = time.monotonic() + SETTLE
        while (orphans := verdict.left(release)) and time.monotonic() < deadline:
            time.sleep(10)
        results = verdict.outcomes(release, dag_ids)
        return verdict.report(results, hits, list(memory.growing()), orphans)


if __name__ == "__main__":
    sys.exit(main())
