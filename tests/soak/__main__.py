"""Run DAGs in every mode for HOURS, break something each minute, and print what came of it: `make soak`.

    python -m tests.soak HOURS [--seed N] [--pause SECONDS] [--only REGEX] [--clock]

It installs its own release on the node of the cluster that `make up` starts, and needs root there. It also
breaks the node's programs: use it when nobody else uses the node.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from scripts import up
from scripts.live import Airflow, ApiError, CommandError, choose
from scripts.live.airflow_api import FINISHED
from scripts.overlays.definitions import merged
from tests.e2e.own_release import OwnRelease, own_release
from tests.soak import verdict
from tests.soak.faults import MISSED, Faults
from tests.soak.memory import Memory

NAMESPACE = "airdock-soak"
#: Seconds between two faults, between two samples of the memory, and for the last tasks and Leases to end.
PAUSE, SAMPLE, SETTLE = 60, 15, 1200
#: Seconds between two runs of each DAG: no part of the time between two faults, so that each phase of a task
#: is hit.
EVERY = 37
#: Runs of one DAG at a time: what waits for the end of a fault must not become more and more.
OPEN = 3
DAGS = Path(__file__).with_name("soak_dags.py").read_text()


def say(line: str) -> None:
    """Print progress, at once."""
    print(time.strftime("%H:%M:%S"), line, flush=True)


def own_values(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values beside those of `make up`: the DAGs, and shorter times until a loss is seen."""
    groups = chosen["workers"]
    kubernetes = [group["queues"][0] for group in groups.values() if group["mode"] == "kubernetes"]
    return {
        "dags": {"examples": False},
        "tests": {"enabled": False},
        "workerDefaults": {"concurrency": 4},
        "airflow": {
            "env": {
                "SOAK_RETRIES": str(verdict.RETRIES),
                "SOAK_DOCKER_QUEUES": ",".join(group["queues"][0] for group in groups.values()),
                "SOAK_KUBERNETES_QUEUES": ",".join(kubernetes),
            },
            "config": {"scheduler": {"task_instance_heartbeat_timeout": 90, "task_queued_timeout": 180}},
        },
    }


def break_things(
    faults: Mapping[str, Callable[[], str]],
    chance: random.Random,
    memory: Memory,
    seconds: float,
    pause: float,
) -> dict[str, Counter[str]]:
    """Break something, after each pause, until the time is over; give what was hit and missed."""
    hits = {name: Counter[str]() for name in faults}
    end, sample_at, break_at = time.monotonic() + seconds, 0.0, time.monotonic() + pause
    order: list[str] = []
    while time.monotonic() < end:
        if time.monotonic() >= sample_at:
            sample_at = time.monotonic() + SAMPLE
            memory.sample()
        if time.monotonic() >= break_at:
            break_at = time.monotonic() + pause
            # Each one before any comes again.
            order = order or chance.sample(list(faults), len(faults))
            name = order.pop()
            try:
                say(f"{name}: {faults[name]()}")
                hits[name]["hit"] += 1
            except MISSED as error:
                say(f"{name}: missed: {error}")
                hits[name]["missed"] += 1
        time.sleep(1)
    return hits


def feed(airflow: Airflow, dag_ids: Sequence[str], stopped: threading.Event) -> None:
    """Start a run of each DAG again and again, unless several of its runs are open."""
    while not stopped.wait(EVERY):
        for dag_id in dag_ids:
            try:
                runs = airflow.all(f"/dags/{dag_id}/dagRuns", "dag_runs", state=["queued", "running"])
                if len(runs) < OPEN:
                    airflow.trigger(dag_id)
            except (ApiError, requests.RequestException, OSError, LookupError, ValueError) as error:
                say(f"{dag_id} could not be started: {str(error)[:150]}")


@contextmanager
def fed(airflow: Airflow, dag_ids: Sequence[str]) -> Iterator[None]:
    """Do this beside, until the block ends."""
    stopped = threading.Event()
    # The loop must go on while the API server is away.
    patience, airflow.patience = airflow.patience, 10
    feeder = threading.Thread(target=feed, args=(airflow, dag_ids, stopped))
    feeder.start()
    try:
        yield
    finally:
        stopped.set()
        feeder.join()
        airflow.patience = patience


def settle(release: OwnRelease, dag_ids: Sequence[str], memory: Memory) -> list[str]:
    """Let the last runs end and everything be cleaned up; give what is left."""
    deadline = time.monotonic() + SETTLE
    orphans = ["runs that have not ended"]
    while orphans and time.monotonic() < deadline:
        time.sleep(SAMPLE)
        memory.sample()
        try:
            if all(set(release.runs(dag_id).values()) <= FINISHED for dag_id in dag_ids):
                orphans = verdict.left(release)
        except (ApiError, CommandError) as error:
            orphans = [str(error)]
    return orphans


def main() -> int:
    """Soak; exit code 1 if something does not hold."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("hours", type=float)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds between two faults")
    parser.add_argument("--only", default="", help="a regular expression for the names of the faults")
    parser.add_argument("--clock", action="store_true", help="also step the clock of this machine")
    arguments = parser.parse_args()
    target = choose()
    if not target.native:
        parser.error("the faults need the node of the cluster that `make up` starts: set CLUSTER=native")
    up.start(target)
    chosen, skipped = up.values(target)
    for mode, reason in skipped.items():
        say(f"left out: mode {mode}: {reason}")
    say(f"seed {arguments.seed}")
    with own_release(target, NAMESPACE, merged(chosen, own_values(chosen)), {"soak.py": DAGS}) as release:
        release.airflow.wait_for_dags(["soak_docker_default"], 240)
        dag_ids = sorted(release.airflow.dags())
        for dag_id in dag_ids:
            release.airflow.unpause(dag_id)
        say(f"release is up: {', '.join(dag_ids)}")
        chance, memory = random.Random(arguments.seed), Memory(release)
        faults = {
            name: fault
            for name, fault in Faults(release, chance, arguments.clock).all.items()
            if re.search(arguments.only, name)
        }
        with fed(release.airflow, dag_ids):
            hits = break_things(faults, chance, memory, arguments.hours * 3600, arguments.pause)
        say("waiting for the last runs")
        orphans = settle(release, dag_ids, memory)
        results = verdict.outcomes(release, dag_ids)
        return verdict.report(release, results, hits, memory, orphans)


if __name__ == "__main__":
    sys.exit(main())
