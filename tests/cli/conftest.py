"""The program `airdock` as users get it: a wheel from the tree, installed into an environment of its own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import tools
from scripts.chart import HELM4, ROOT


@dataclass(frozen=True)
class Program:
    """An installed `airdock`."""

    wheel: Path
    environment: Path
    #: Where the commands keep renders and schemas.
    cache: Path

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.environment / "bin" / "python"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


#: Runs `airdock`: arguments, programs on PATH (name there: path), standard input.
Airdock = Callable[..., Done]


def build(folder: Path) -> Path:
    """A wheel from the tree, by the pinned hatchling and without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def link_dependencies(environment: Path, names: Iterable[str]) -> None:
    """Link what a distribution needs, directly or not, from the developer's environment into another one.

    pip would unpack the same files: 17,000 of kubernetes-validate alone.
    """
    (site,) = environment.glob("lib/python*/site-packages")
    left, linked = list(names), set()
    while left:
        needed = Requirement(left.pop())
        name = canonicalize_name(needed.name)
        if name in linked or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        linked.add(name)
        found = distribution(needed.name)
        assert needed.specifier.contains(found.version), f"{needed}: {found.version} is installed"
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(str(found.locate_file(top))))
        left += found.requires or ()


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Installed once, with the dependencies that the wheel names; processes of one run share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "airdock-program"
    folder.mkdir(exist_ok=True)
    environment, done = folder / "venv", folder / "done"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            wheel = build(folder)
            venv.create(environment)
            command = [
                sys.executable,
                "-m",
                "pip",
                "--python",
                str(environment / "bin" / "python"),
                "install",
            ]
            command += ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", str(wheel)]
            subprocess.run(command, check=True, capture_output=True, text=True)
            (site,) = environment.glob("lib/python*/site-packages")
            (installed,) = distributions(name="airdock", path=[str(site)])
            link_dependencies(environment, installed.requires or ())
            done.write_text(wheel.name)
    return Program(folder / done.read_text(), environment, folder / "cache")


@pytest.fixture
def airdock(program: Program, tmp_path: Path) -> Airdock:
    """Run the program outside of the clone, with nothing on PATH but what a test puts there."""

    def run(*arguments: str | Path, path: dict[str, Path] | None = None, stdin: str = "") -> Done:
        found = {"helm": tools.path(HELM4)} if path is None else path
        links = tmp_path / f"bin-{'-'.join(f'{name}={target.name}' for name, target in found.items())}"
        links.mkdir(exist_ok=True)
        for name, target in found.items():
            if not (links / name).exists():
                (links / name).symlink_to(target)
        environment = {"PATH": str(links), "HOME": str(tmp_path), "COLUMNS": "120"}
        environment["XDG_CACHE_HOME"] = str(program.cache)
        done = subprocess.run(
            [program.environment / "bin" / "airdock", *arguments],
            cwd=tmp_path, env=environment, input=stdin, capture_output=True, text=True,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    return run
