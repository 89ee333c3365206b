"""The docker program in the release's workers: the same as on a plain Docker daemon, or listed here.

A daemon of mode dind is the plain one: nothing is before it.
"""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scripts.live import NAMESPACE, Group
from tests.e2e.conftest import Release
from tests.support.paths import ROOT

SCRIPT = Path(__file__).parent / "inside" / "docker_program.py"
PROGRAM = ROOT / ".tools/bin/docker"
#: For all cases in one worker, on a node with other work.
SECONDS = 1500
Outcome = dict[str, Any]
#: What is different: case -> mode -> what is then in the program's errors or its output; empty for anything.
BOTH = ("kubernetes", "socket")
DIFFERENT: dict[str, dict[str, str]] = {
    "run: both streams": {"kubernetes": ""},
    "run: a command that is not there": {"kubernetes": "could not be run"},
    "run -i": {"kubernetes": "attach_stdin"},
    "run -i: much input": {"kubernetes": "attach_stdin"},
    "run -v": {"kubernetes": "binds", "socket": "binds"},
    "run -p": {"kubernetes": "port_bindings", "socket": "port_bindings"},
    "run --privileged": dict.fromkeys(BOTH, "privileged"),
    "run --network host": dict.fromkeys(BOTH, "network_mode"),
    "run --security-opt systempaths": dict.fromkeys(BOTH, "masked_paths"),
    # Nobody reads the image: its own labels are not known.
    "inspect": {"kubernetes": "map[x:y]"},
    "kill -s USR1": {"kubernetes": "SIGUSR1"},
    "pull": {"kubernetes": ""},
    "pull: an image that is not there": {"kubernetes": "neither pulled nor looked for"},
    "exec": dict.fromkeys(BOTH, "command of a container"),
    "cp into": dict.fromkeys(BOTH, "retrieve_output"),
    "commit": dict.fromkeys(BOTH, "mode dind"),
    "build": dict.fromkeys(BOTH, "mode dind"),
    "network create": dict.fromkeys(BOTH, "network_mode"),
    "volume create": dict.fromkeys(BOTH, "mounts"),
}  # fmt: skip


def run(release: Release, group: Group) -> dict[str, Outcome]:
    """Execute all cases in a worker of a group."""
    (pod, *_) = [
        pod["metadata"]["name"]
        for pod in release.staying("worker")
        if pod["metadata"]["labels"]["airdock.dev/worker-group"] == group.name
    ]
    program = base64.b64encode(PROGRAM.read_bytes()).decode()
    place = "base64 -d > /tmp/docker && chmod +x /tmp/docker"
    release.inside(pod, "worker", "sh", "-c", place, stdin=program)
    release.inside(pod, "worker", "sh", "-c", "cat > /tmp/docker_program.py", stdin=SCRIPT.read_text())
    words = ("python", "/tmp/docker_program.py", "/tmp/docker")
    said = release.target.kubectl("exec", pod, "-n", NAMESPACE, "-c", "worker", "--", *words, timeout=SECONDS)
    found: dict[str, Outcome] = json.loads(said.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def results(release: Release) -> dict[str, dict[str, Outcome]]:
    """Give mode -> case -> outcome."""
    groups = {group.mode: group for group in reversed(release.serving("docker"))}
    if "dind" not in groups:
        pytest.skip("no worker group has a plain Docker daemon to compare with")
    with ThreadPoolExecutor() as pool:
        running = {mode: pool.submit(run, release, group) for mode, group in groups.items()}
        return {mode: each.result() for mode, each in running.items()}


def same(one: Outcome, other: Outcome) -> bool:
    """Compare ends and outputs; errors are in each server's own words."""
    return (one["code"], one["out"]) == (other["code"], other["out"])


#: The same end with a reason of our own: case -> mode -> what is in the program's errors.
REASONS: dict[str, dict[str, str]] = {
    "run: an image that is not there": {"kubernetes": "cannot be pulled", "socket": "allowed.registries"},
    "pull: an image that is not there": {"socket": "allowed.registries"},
    "swarm": dict.fromkeys(BOTH, "DockerOperator"),
}


@pytest.mark.parametrize("mode", BOTH)
def test_errors_name_the_reason(results: dict[str, dict[str, Outcome]], mode: str) -> None:
    if mode not in results:
        pytest.skip(f"the release has no worker group of mode {mode}")
    for case, modes in REASONS.items():
        if mode in modes:
            assert modes[mode] in results[mode][case]["err"], results[mode][case]


@pytest.mark.parametrize("mode", BOTH)
def test_the_docker_program_does_the_same_or_listed(
    results: dict[str, dict[str, Outcome]], mode: str
) -> None:
    if mode not in results:
        pytest.skip(f"the release has no worker group of mode {mode}")
    assert DIFFERENT.keys() <= results["dind"].keys(), "a case that is listed is not there"
    wrong = []
    for case, expected in results["dind"].items():
        found, listed = results[mode][case], DIFFERENT.get(case, {}).get(mode)
        if listed is None and not same(expected, found):
            wrong.append(f"{case}: {expected} -> {found}")
        elif listed and same(expected, found):
            wrong.append(f"{case}: no difference any more")
        elif listed and listed not in found["err"] + found["out"]:
            wrong.append(f"{case}: not {listed!r}: {found}")
    assert not wrong, "\n".join(each[:1500] for each in wrong)
