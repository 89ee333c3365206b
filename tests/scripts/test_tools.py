"""The tool builder: names in the cache, what a killed or failed build leaves, what PATH gives."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import tools
from scripts.tools import align, build
from scripts.tools.catalog import TOOLS, Tool
from tests.support.waiting import wait_until

PROGRAM = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("ours") }\n'


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Go module of one program, as if it were a tool's directory, and an empty cache."""
    directory = tmp_path / "pins"
    directory.mkdir()
    (directory / "go.mod").write_text("module example.org/ours\n\ngo 1.21\n\n// example.org/ours v1.2.3\n")
    (directory / "main.go").write_text(PROGRAM)
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build, "LINKS", tmp_path / "bin")
    monkeypatch.setattr(build, "version", lambda _tool: "v1.2.3")
    return directory


@pytest.fixture
def tool(module: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """A tool that is built from `module`."""
    ours = Tool(
        "ours", {"ours": "example.org/ours"}, pins=str(module), minimum=(2, 0), version_command=("-v",)
    )
    monkeypatch.setitem(build._BY_NAME, "ours", ours)
    return ours


def put_on_path(directory: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program `ours` that prints a version first on PATH."""
    directory.mkdir()
    program = directory / "ours"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return program


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_pin_is_whole(tool: Tool) -> None:
    assert (tool.directory / "go.sum").stat().st_size
    assert build.version(tool).startswith("v")
    pins = (tool.directory / "go.mod").read_text()
    assert all(imported in pins for imported in tool.binaries.values())
    assert tool.module in pins


def test_shared_modules_have_one_version() -> None:
    """Go would compile a package once for each version of what is below it: 25 minutes of one CPU."""
    newer = {tool.name: set(found) for tool in TOOLS if (found := align.differing(tool))}
    assert newer == {"coredns": {"github.com/coredns/caddy"}}, "run: python -m scripts.tools.align"


def test_families_build_side_by_side_and_the_one_that_is_shared_first(
    tool: Tool, module: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(module, module.with_name("other"))
    for name, pins, shares in (
        ("second", module, str(module)),
        ("first", module, ""),
        ("apart", other, ""),
    ):
        entry = Tool(name, dict(tool.binaries), pins=str(pins), shares=shares)
        monkeypatch.setitem(build._BY_NAME, name, entry)
    monkeypatch.setattr(build, "_link", lambda *_: None)
    tools.provide(["second", "first", "apart"])
    said = capfd.readouterr().err
    assert said.index("built first") < said.index("building second")
    assert "(3 of 3)" in said


def test_a_tool_is_built_once_and_linked(
    tool: Tool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tools.provide(["ours"])
    assert subprocess.check_output([tmp_path / "bin/ours"], text=True) == "ours\n"
    assert "building ours v1.2.3" in capfd.readouterr().err
    tools.provide(["ours"])
    assert "building" not in capfd.readouterr().err


def test_a_changed_pin_is_another_entry_and_the_link_follows(
    tool: Tool, module: Path, tmp_path: Path
) -> None:
    tools.provide(["ours"])
    before = build.entry(tool)
    (module / "main.go").write_text(PROGRAM.replace("ours", "newer"))
    assert build.entry(tool) != before
    tools.provide(["ours"])
    assert subprocess.check_output([tmp_path / "bin/ours"], text=True) == "newer\n"


def test_a_failed_build_says_why_and_leaves_nothing(tool: Tool, module: Path) -> None:
    (module / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(tools.ToolError, match="undefined: undefined"):
        tools.pinned("ours")
    assert [entry.name for entry in build.CACHE.iterdir()] == [".ours.lock"]


def test_a_killed_build_leaves_no_entry_and_the_next_one_cleans_up(tool: Tool, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "go").write_text('#!/bin/sh\n[ "$1" = env ] && { echo go1.26; exit; }\nexec sleep 60\n')
    (slow / "go").chmod(0o755)
    script = (
        "from pathlib import Path; from scripts.tools import build; from scripts.tools.catalog import Tool;"
        f"build.CACHE = Path({str(build.CACHE)!r}); build.version = lambda tool: 'v1';"
        f"build.build(Tool('ours', {{'ours': 'example.org/ours'}}, pins={tool.pins!r}))"
    )
    environment = os.environ | {"PATH": f"{slow}:{os.environ['PATH']}"}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=build.ROOT, env=environment)
    try:
        wait_until(lambda: list(build.CACHE.glob(".tmp-ours-*")), 20, "the build has begun")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not build.built(tool)
    tools.pinned("ours")
    assert build.built(tool)
    assert not list(build.CACHE.glob(".tmp-ours-*"))


@pytest.mark.parametrize(
    ("version", "used"), [("v2.0.1", True), ("v3.0", True), ("v1.9.9", False), ("?", False)]
)
@pytest.mark.usefixtures("tool")
def test_one_on_path_is_used_if_new_enough(
    version: str, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = put_on_path(tmp_path / "elsewhere", version, monkeypatch)
    assert (tools.path("ours") == program) is used
    tools.provide(["ours"])
    assert ((tmp_path / "bin/ours").resolve() == program) is used
    assert tools.pinned("ours") != program


@pytest.mark.usefixtures("tool")
def test_without_go_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("go") is None
    with pytest.raises(tools.ToolError, match=r"Go is needed .*https://go\.dev/dl"):
        tools.pinned("ours")


def test_an_unknown_tool_is_named() -> None:
    command = [sys.executable, "-m", "scripts.tools", "helmet"]
    done = subprocess.run(command, cwd=build.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no pinned tool 'helmet'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("version", "problem"),
    [("v3.0.1", ""), ("2.17.0", "{program} is older, or does not run"), (None, "it is not on PATH")],
)
def test_an_installed_package_takes_what_is_on_path(
    version: str | None, problem: str, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It builds nothing, and takes older ones than a clone does."""
    installed = replace(tool, minimum=(4, 0), oldest=(3, 0), site="https://ours.example.org")
    monkeypatch.setitem(build._BY_NAME, "ours", installed)
    program = put_on_path(tmp_path / "elsewhere", version, monkeypatch) if version else ""
    assert not build.INSTALLED
    assert tools.path("ours") != program, "a clone builds its own"
    monkeypatch.setattr(build, "INSTALLED", True)
    if not problem:
        assert tools.path("ours") == program
        return
    with pytest.raises(tools.ToolError) as refused:
        tools.path("ours")
    reason = problem.format(program=program)
    assert (
        str(refused.value) == f"ours 3 or later is needed, and {reason}. Install it: https://ours.example.org"
    )
