"""Each system call of the gateway fails in turn, and its thread dies there: the promise holds (faults.py).

The places are found by walking the code, so that a new call is a new case. Here every second place fails, in
one of three ways; `make fuzz` lets each fail in each.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import FILES, GATEWAY, ROOT

from . import faults
from .planted import plant

#: Modules with places that no client of DockerOperator reaches: they answer other requests, or carry their
#: bytes. In all others, which see to it that containers end and that somebody notices, each place is reached.
ELSEWHERE = {
    "cluster", "cluster_api", "cluster_input", "cluster_logs", "cluster_replacement", "cluster_retrieval",
    "cluster_waiting", "cluster_websocket", "daemon", "daemon_api", "daemon_cgroup", "daemon_images",
    "daemon_inspect", "daemon_output", "health_port", "server", "wire",
}  # fmt: skip
#: But these, which take an error before, more connections than a process may have, or admission policies.
UNREACHED = (
    "cluster_fence:",
    "cluster_cleanup:stream.close", "cluster_cleanup:result.close", "cluster_leases:self._api.request#5",
    "cluster_pods:self._api.request#2",
    "listener:resource.setrlimit", "listener:resource.getrlimit#2", "listener:sock.close#1",
    "listener:next(iter(self._open)).shutdown",
)  # fmt: skip


#: What the walk of a backend leaves out.
OTHER = {"cluster": "daemon", "daemon": "cluster"}


def inject(package: Path, backend: str, how: str, *places: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.gateway.faults", str(package), backend, how, *places]
    # The time is for a machine that hangs, not for a slow one.
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)


@pytest.mark.parametrize("backend", ["cluster", "daemon"])
def test_the_promise_holds_whatever_fails(backend: str) -> None:
    done = inject(FILES, backend, "some")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert int(re.findall(r"(\d+) places", done.stdout)[0]) > 30, done.stdout
    missed = re.findall(r"not reached: (.*)", done.stdout)[0].split()
    core = [place for place in missed if place.partition(":")[0] not in ELSEWHERE]
    assert not [place for place in core if not place.startswith(UNREACHED)]
    others = {place.partition(":")[0] for place in missed if not place.startswith(UNREACHED)}
    stale = {each for each in ELSEWHERE if not each.startswith(OTHER[backend])} - others
    assert not stale, "each of their places is reached now"


def test_the_walk_finds_what_is_a_system_call() -> None:
    _, places = faults.walk(GATEWAY)
    expected = (
        "listener:self._socket.accept hangups:self._epoll.poll loops:self._thread.start wire:self.socket.recv"
    )
    assert {f"{place}#1" for place in expected.split()} <= set(places)


#: Faults to find: the backend, the place to let fail, the file, what stands there, what is put there.
PLANTED = {
    "a thread's end is not noticed": (
        "daemon", "hangups:self._epoll.poll#1", "server.py", "return HANGUPS.problem() or ", "return ",
    ),
    "a cut connection looks like the end of the output": (
        "daemon", "wire:self._socket.sendall#1", "daemon_output.py",
        'container.lost = container.lost or f"the connection to a client broke ({error!r})"', "pass",
    ),
    "a cut connection looks like the end of a pod's output": (
        "cluster", "wire:self._socket.sendall#1", "cluster.py",
        'container.lost_output(f"the connection to a client broke ({error!r})")', "pass",
    ),
    "a deletion that fails is forgotten": (
        "cluster", "cluster_pods:self._api.request#4", "loops.py",
        "                    container.end_due = time.monotonic()\n", "                    pass\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRDOCK_FUZZ_PATIENCE", "5")
    backend, place, file, old, new = PLANTED[name]
    done = inject(plant(tmp_path, file, old, new), backend, "all", place)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.startswith(place), done.stdout
