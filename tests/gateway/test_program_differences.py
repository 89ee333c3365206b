"""What docs/migrating.md says of flags of `docker run` that a gateway refuses, with the program itself.

tests/e2e/test_gateway_clients.py compares the whole table with a real daemon, on a node.
"""

from __future__ import annotations

import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.stand_ins.gateway import BACKENDS, Gateway, running
from tests.support.differences import DOCKER_PROGRAM, rows
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

PROGRAM = ROOT / ".tools/bin/docker"
#: Flags about which people ask, and which at least one mode refuses.
ASKED = ("--init", "--memory-swap", "--log-driver")
#: Case -> its shell script.
SCRIPTS: dict[str, str] = runpy.run_path(str(ROOT / "tests/e2e/inside/docker_program.py"))["CASES"]
#: Backend -> case -> what the error contains.
REFUSED = {
    backend: {
        row[0].strip("`"): cell.removeprefix("fails: ").strip("`")
        for row in rows(DOCKER_PROGRAM)
        if row[0].startswith("`run -") and (cell := row[column]).startswith("fails: ")
    }
    for column, backend in enumerate(BACKENDS, 1)
}


@pytest.fixture(params=BACKENDS, scope="module")
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(request.param, tmp_path_factory.mktemp("g")) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        yield gateway


def test_flags_that_people_ask_about_are_cases() -> None:
    assert all(any(flag in case for each in REFUSED.values() for case in each) for flag in ASKED)


@pytest.mark.parametrize("case", sorted(set().union(*REFUSED.values())))
def test_a_flag_fails_as_the_page_says(
    gateway: Gateway, request: pytest.FixtureRequest, tmp_path: Path, case: str
) -> None:
    backend = request.node.callspec.params["gateway"]
    if case not in REFUSED[backend]:
        pytest.skip("only another mode refuses it")
    found = subprocess.run(
        ["bash", "-c", f'docker() {{ "{PROGRAM}" "$@"; }}; C=case; I=busybox:1.37\n{SCRIPTS[case]}'],
        env={"DOCKER_HOST": f"unix://{gateway.path}", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert found.returncode != 0
    assert REFUSED[backend][case] in found.stderr
