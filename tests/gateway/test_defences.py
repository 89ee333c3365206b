"""Attacks on the gateway work on a copy without the defence: the test that shows them refused fails there.

Findings of the review whose defence is the gateway's own code, so that no setting turns it off.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.attacks import AUTHOR
from tests.support.paths import PLANTED, ROOT

from .planted import plant


@dataclass(frozen=True)
class Defence:
    """The test of an attack, and what to take out: file, what stands there, what is put there."""

    finding: int
    test: str
    edits: tuple[tuple[str, str, str], ...]
    #: Takes up to a minute: `make attack` runs it, `make test` does not.
    slow: bool = False


CAUGHT, NOT_CAUGHT = "except Exception as error:", "except ZeroDivisionError as error:"
ENDING = 'raise ApiError(503, "the Docker gateway is ending with'
DEFENCES = {
    "a directory below an allowed one": Defence(
        3,
        "test_values.py::test_the_daemon_gets_no_hostile_value",
        (
            (
                "daemon_mounts.py",
                'self._directories.get("/" + "/".join(parts))',
                "next((d for p, d in self._directories.items() if source.startswith(p)), None)",
            ),
            ("daemon_mounts.py", 'Mount(target, allowed.path, "bind"', 'Mount(target, source, "bind"'),
        ),
    ),
    "the thread that notices clients": Defence(
        7,
        "test_promise.py::test_a_container_that_prints_ends_with_its_client_each_time",
        (
            ("loops.py", f"{CAUGHT}\n{' ' * 16}self._failed", f"{NOT_CAUGHT}\n{' ' * 16}self._failed"),
            ("hangups.py", "sock is None or callback is None or not hung_up(sock)", "os.fstat(-1)"),
            ("hangups.py", "import contextlib", "import contextlib, os"),
        ),
        slow=True,
    ),
    "a pod with a broken annotation": Defence(
        9,
        "test_promise.py::test_no_pod_keeps_a_gateway_from_starting",
        (
            ("cluster_watch.py", ' or not meta["name"].endswith(f"-{container_id[:12]}")', ""),
            ("cluster_watch.py", "except (ValueError, RecursionError):", "except RecursionError:"),
            ("cluster_watch.py", f'{CAUGHT}\n            log("pod', f'{NOT_CAUGHT}\n            log("pod'),
        ),
        slow=True,
    ),
    "more connections than files": Defence(
        10,
        "test_listener.py::test_no_number_of_clients_ends_the_gateway_or_its_health_port",
        (
            ("listener.py", "if self._slots.acquire(blocking=False):", "if True:"),
            ("listener.py", "time.sleep(0.05)\n                continue", "return"),
        ),
        slow=True,
    ),
    "images compared as text": Defence(
        16,
        "test_references.py::test_the_table",
        (
            (
                "references.py",
                "return admits(parse(image), entries)",
                "return any(image.startswith(entry) for entry in entries)",
            ),
        ),
    ),
    "a start while the gateway ends": Defence(
        19,
        "test_promise.py::test_nothing_is_created_or_started_once_the_gateway_ends",
        (("server.py", f"self._listener.closing:\n{' ' * 16}{ENDING}", f"False:\n{' ' * 16}{ENDING}"),),
        slow=True,
    ),
    "the administrator's labels": Defence(
        20,
        "test_cluster_manifest.py::test_the_administrators_labels_win",
        (("cluster_manifest.py", "reserved = {*tasks", "reserved = {*()} and {*tasks"),),
    ),
    "devices by a variable": Defence(
        21,
        "test_devices.py::test_without_leave_there_are_none",
        (("devices.py", 'kept.append(f"{NVIDIA}=void")', 'kept.append(f"{NVIDIA}=all")'),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFENCES)
@pytest.mark.attack(actor=AUTHOR)
def test_the_attack_works_without_the_defence(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    defence = DEFENCES[name]
    if defence.slow and not request.config.getoption("--attacks"):
        pytest.skip("make attack runs it")
    for edit in defence.edits:
        plant(tmp_path, *edit)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"tests/gateway/{defence.test}"],
        cwd=ROOT,
        env={**os.environ, PLANTED: str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"FAILED tests/gateway/{defence.test}" in done.stdout, done.stdout[-3000:]
