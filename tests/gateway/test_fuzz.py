"""Inputs of the fuzzer: those of the corpus and a fixed number of mutations break no rule (fuzz/rules.py).

Nothing here is left to chance or to a clock: `make fuzz` is the search at random, and what it finds is a case
of the corpus from then on.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import FILES, ROOT

from .planted import plant

#: Mutations of each target.
COUNT = {"wire": 2000, "body": 2000}


def replay(package: Path, target: str) -> subprocess.CompletedProcess[str]:
    """Run a target over its inputs, in a process of its own: it may load another package."""
    command = [sys.executable, "-m", "tests.gateway.fuzz.replay", str(package), target, str(COUNT[target])]
    # The time is for a machine that hangs, not for a slow one.
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("target", COUNT)
def test_no_input_breaks_a_rule(target: str) -> None:
    done = replay(FILES, target)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert int(done.stdout.split()[0]) > COUNT[target]


#: Faults to find: the target, the file, what stands there, and what is put in its place.
PLANTED = {
    "two lengths are taken": (
        "wire", "wire.py", "if length is not None and encoding is not None:", "if False:",
    ),
    "a chunk's size may have a sign": ("wire", "wire.py", 'rb"[0-9A-Fa-f]{1,8}', 'rb"[+]?[0-9A-Fa-f]{1,8}'),
    "a client's path is passed on": (
        "wire", "daemon.py", 'f"/containers/{container.id}/json"', 'f"/containers/{container_id}/json"',
    ),
    "a number is not looked at": (
        "wire", "queries.py", "if text and not re.fullmatch", "if False and not re.fullmatch",
    ),
    "a key may come twice": ("body", "model.py", "if len(result) != len(pairs):", "if False:"),
    "a spelling is passed over": (
        "body", "model.py", "if key not in known:",
        "if key not in known and key.lower() == 'privileged': continue\n            if key not in known:",
    ),
    "the node's namespace": (
        "body", "policy.py", '_check_private("ipc_mode", host.ipc_mode, ("", "private", "none"))',
        '_check_private("ipc_mode", host.ipc_mode, ("", "private", "host"))',
    ),
    "the kubelet expands a variable": ("body", "cluster_manifest.py", 'value.replace("$", "$$")}', "value}"),
    "a refusal names the temporary directory": (
        "body", "fields.py", 'message.replace(mount.source, "(temporary directory)")', "message",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str, tmp_path: Path) -> None:
    target, file, old, new = PLANTED[name]
    done = replay(plant(tmp_path, file, old, new), target)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "broke" not in done.stderr
    assert done.stdout.startswith("input "), done.stdout[-2000:]
