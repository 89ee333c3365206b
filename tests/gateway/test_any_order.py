"""Clients that leave at any point, in any order: the promise holds (fuzz/clients.py).

The seed is fixed here; `make fuzz` goes on from where its last search ended. What it finds becomes a test in
test_promise.py or test_loops.py, as a seed means other deeds after each change of clients.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import FILES, ROOT

from .planted import plant

#: Steps of each backend, and at most for a planted fault.
STEPS, PLANTED_STEPS = 6000, 40_000
#: The same with threads of the operating system, real sockets and a real clock.
REAL_STEPS = 1000


def clients(package: Path, backend: str, steps: int, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.gateway.fuzz.clients", str(package), backend, "1", str(steps)]
    command += more
    # The time is for a machine that hangs, not for a slow one.
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)


@pytest.mark.parametrize("backend", ["cluster", "daemon"])
def test_clients_in_any_order_break_no_promise(backend: str) -> None:
    done = clients(FILES, backend, STEPS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("backend", ["cluster", "daemon"])
def test_neither_do_they_with_real_threads(backend: str) -> None:
    done = clients(FILES, backend, REAL_STEPS, "inf", "real")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


#: Faults to find: the backend, the file, what stands there, what is put in its place, and what is said.
PLANTED = {
    "one of two clients ends the container": (
        "cluster", "containers.py", "return not self._container.attached", "return True", "was ended",
    ),
    "what the cluster has deleted is a success": (
        "cluster", "cluster_judgement.py", "        if by_cluster:\n", "        if False:\n", "killed=",
    ),
    "a client that leaves is not noticed": (
        "cluster", "cluster.py", "            stream.on_hangup(leave)\n", "", "",
    ),
    "what something else has stopped is a success": (
        "daemon", "daemon_watch.py", "        return container.lost\n", '        return ""\n', "killed=",
    ),
    "what was deleted while the watch was cut is not missed": (
        "cluster", "cluster_watch.py", "            if container.uid and container.uid not in seen",
        "            if False", "timed out",
    ),
    "what loses its output as the daemon ends runs on": (
        "daemon", "daemon_watch.py", "self._lose_all(", "str(", "timed out",
    ),
    "a client that leaves during the start is forgotten": (
        "daemon", "daemon.py", "        if container.fate:  # the client left in the meantime\n",
        "        if False:\n", "has stayed",
    ),
    "a client that does not read a pod's output to its end spoils its exit code": (
        "cluster", "cluster.py", "if stream and not stream.hung_up():", "if stream:", "client broke",
    ),
    "a client that does not read a container's output to its end spoils its exit code": (
        "daemon", "daemon_output.py", "if stream and not stream.hung_up():", "if stream:", "client broke",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str, tmp_path: Path) -> None:
    backend, file, old, new, said = PLANTED[name]
    done = clients(plant(tmp_path, file, old, new), backend, PLANTED_STEPS)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    found = [line for line in done.stdout.splitlines() if line.startswith("seed ")]
    assert found and said in found[0], done.stdout[-2000:] + done.stderr[-2000:]
