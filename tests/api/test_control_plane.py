"""The control plane of this tier leaves nothing behind, however a run ends."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from scripts.chart import ROOT
from tests.api import control_plane as module
from tests.api.control_plane import ControlPlane, ControlPlaneError, Refused
from tests.support.waiting import wait_until

KILLED = """
import os, signal, subprocess
from tests.api.control_plane import _die_with_parent
print(subprocess.Popen(["sleep", "600"], preexec_fn=_die_with_parent).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_die_with_a_killed_run() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: not alive(int(done.stdout)), 5, "the child is dead")


def test_directories_of_earlier_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    over, running, starting = (tmp_path / f"airdock-api-{name}" for name in ("over", "running", "starting"))
    for directory in (over, running, starting):
        directory.mkdir()
    (over / "lock").touch()
    with (running / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        module._remove_left_behind()
    assert [path.exists() for path in (over, running, starting)] == [False, True, True]


def test_it_is_a_real_one(control_plane: ControlPlane) -> None:
    """What the other tests lean on: RBAC denies, Pod Security and admission policies are served."""
    nobody = control_plane.user("nobody")
    with pytest.raises(Refused, match="cannot list"):
        nobody.request("GET", "/api/v1/secrets")
    assert control_plane.admin.request("GET", "/apis/admissionregistration.k8s.io/v1")["resources"]
    assert control_plane.version >= (1, 30)


def test_the_end_of_an_api_server() -> None:
    """A test that loses its API server says so with its log; one up to 1.35 is started again."""
    with ControlPlane.started() as plane:
        old = plane.version <= (1, 35)
        plane._processes["kube-apiserver"].kill()
        with nullcontext() if old else pytest.raises(ControlPlaneError, match=r"kube-apiserver ended:\n.*\S"):
            assert plane.admin.request("GET", "/version")
