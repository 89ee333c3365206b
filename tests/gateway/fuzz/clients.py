"""Sequences of requests of several clients that leave at any point, against a model of the promise.

    python -m tests.gateway.fuzz.clients PACKAGE BACKEND SEED STEPS [SECONDS] [THREADS]

A whole gateway runs in this process; behind it stands a daemon or API server that runs nothing. A step is a
request, a disconnect (in the middle of a request, too), a fault (what is cut, lost or killed) or what a
container does, that was carried out; connecting and reading an answer are none. After each step:

- nothing has ended a container whose clients stay (`Made.touched` says what may),
- no thread that the gateway cannot do without has ended, unless it says so,
- what a client was told is true: exit code 0 is the container's own, and all of its output came before it.

After each round, and after some steps, what has to end has ended. Some rounds end with the gateway's own end.

    promise.py the model, and what must hold
    deeds.py   what clients and the world do
    ends.py    the end of a round

PACKAGE is the directory that holds `docker_gateway`. The seed decides the deeds and, as THREADS is
"simulated" (../simulation), how threads interleave: a seed finds again what it has found. "real" ones decide
themselves. Prints the number of steps from time to time; or the deeds of a round that broke the promise, with
exit code 1.
"""

from __future__ import annotations

import os
import sys
import time

from tests.gateway.simulation.load import load


def main(
    package: str, backend: str, seed: str, steps: str, seconds: str = "inf", threads: str = "simulated"
) -> int:
    """Run rounds until all steps are done, or the time is up."""
    sys.path.insert(0, package)
    entry = "tests.gateway.fuzz.rounds"
    if threads == "simulated":
        rounds = load("docker_gateway", "tests.gateway.stand_ins", "tests.gateway.fuzz.", entry=entry)
    else:
        from . import rounds  # type: ignore[no-redef]
    return int(rounds.search(package, backend, int(seed), int(steps), time.monotonic() + float(seconds)))


if __name__ == "__main__":
    result = main(*sys.argv[1:])
    sys.stdout.flush()
    # Connections of a round that failed are still open.
    os._exit(result)
