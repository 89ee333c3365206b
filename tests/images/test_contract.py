"""Each image keeps the contract of the official one: configuration, files, programs."""

from __future__ import annotations

import re

import pytest

from scripts.images import DEFAULTS
from tests.images.conftest import Run, layout
from tests.images.contract import CONTRACTS, Contract, Directory

NAMES = [image.name for image in DEFAULTS]
#: Nobody in particular, and of no group that owns anything (but Airflow asks for group 0).
STRANGER = {"airflow": (50000, 0)}


def test_every_image_has_a_contract() -> None:
    assert set(CONTRACTS) == set(NAMES)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def contract(name: str) -> Contract:
    return CONTRACTS[name]


def test_configuration(name: str, contract: Contract) -> None:
    config = layout(name).config
    assert (config.get("Entrypoint") or []) == contract.entrypoint
    assert (config.get("Cmd") or []) == contract.cmd
    assert config.get("User", "") in contract.user
    assert (config.get("WorkingDir") or "/") == contract.directory
    assert config.get("StopSignal", "SIGTERM") == contract.stop_signal
    assert set(config.get("ExposedPorts") or {}) == contract.ports
    assert set(config.get("Volumes") or {}) == contract.volumes


def test_environment(name: str, contract: Contract) -> None:
    env = dict(variable.split("=", 1) for variable in layout(name).config["Env"])
    for variable, value in contract.env.items():
        assert env.get(variable), variable
        assert value in (None, env[variable]), variable


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        pytest.param(name, directory, id=f"{name}-{directory.path}")
        for name, contract in CONTRACTS.items()
        for directory in contract.directories
    ],
)
def test_directory(container: Run, name: str, directory: Directory) -> None:
    said = container(name, writable=()).shell(f"stat -c '%u %g %a %F' {directory.path}")
    uid, gid, mode, kind = said.split(" ", 3)
    assert kind == "directory"
    assert directory.uid in (None, int(uid))
    assert directory.gid in (None, int(gid))
    assert int(mode, 8) & directory.mode == directory.mode, f"{mode} lacks bits of {directory.mode:o}"


@pytest.mark.parametrize(
    ("name", "command", "expected"),
    [
        pytest.param(name, command, expected, id=f"{name}-{command[:40]}")
        for name, contract in CONTRACTS.items()
        for command, expected in contract.commands.items()
    ],
)
def test_command(container: Run, name: str, command: str, expected: str) -> None:
    said = container(name, user=STRANGER.get(name, (4321, 4321)), env={"HOME": "/tmp"}).shell(command)
    assert re.search(expected, said), said
