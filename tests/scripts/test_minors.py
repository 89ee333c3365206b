"""Pins of other Kubernetes minors, and the runs of the API tests against them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.chart import ROOT, versions
from scripts.tools import ToolError, minors
from tests.api import __main__ as command
from tests.api import versions as results
from tests.api.fence_decisions import DECISIONS, OBJECTS
from tests.api.versions import NOT_TRIED, REFUSED, Run

SUPPORTED = [each.removesuffix(".0") for each in versions.KUBE_VERSIONS]
GO_MOD = """\
module k8s.io/kubernetes

go 1.22.0

require k8s.io/api v0.0.0

replace (
	k8s.io/api => ./staging/src/k8s.io/api
)
"""


def test_every_supported_minor_can_be_had() -> None:
    assert minors.minors() == SUPPORTED


@pytest.mark.parametrize("pin", sorted(minors.PINS.glob("*.sum")), ids=lambda pin: pin.stem)
def test_every_pin_is_whole(pin: Path) -> None:
    """Kubernetes itself, and its own modules at the version of the same release."""
    lines = [line.split() for line in pin.read_text().splitlines()]
    (version,) = {at for name, at, _ in lines if name == "k8s.io/kubernetes" and "/go.mod" not in at}
    assert version.startswith(f"v{pin.stem}.")
    own = version.replace("v1.", "v0.", 1)
    others = {at.removesuffix("/go.mod") for name, at, _ in lines if name != "k8s.io/kubernetes"}
    assert others == {own}
    assert all(hashed.startswith("h1:") for _, _, hashed in lines)


def test_go_mod_has_released_modules() -> None:
    text = minors._go_mod(GO_MOD, "v1.30.1")
    assert "module airdock.dev/tools/kubernetes\n" in text
    assert "k8s.io/api => k8s.io/api v0.30.1\n" in text
    assert text.endswith("require k8s.io/kubernetes v1.30.1\n")
    assert "staging" not in text


def test_another_module_than_the_pinned_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The hash of the zip stands for the go.sum in it. The version is one that Go's cache has."""
    other = tmp_path / "1.0.sum"
    other.write_text(f"k8s.io/kubernetes {versions.KUBERNETES} h1:AAAA=\n")
    monkeypatch.setattr(minors, "CACHE", tmp_path)
    with pytest.raises(ToolError, match="not the pinned h1:AAAA="):
        minors._module(other)
    assert not list(tmp_path.glob("module-*"))


def test_a_minor_without_a_pin_is_named() -> None:
    with pytest.raises(ToolError, match=r"Kubernetes 1\.2 has no pin; there are 1\.30"):
        minors.programs("1.2")


def of(minor: str, *attacks: tuple[str, str, str, int], passed: bool = True) -> Run:
    return Run(minor, passed, 1, attacks)


A, B = ("author", "tests/api/a.py::test"), ("author", "tests/api/b.py::test")
OLD = of("1.30", (*A, REFUSED, 3), (*B, NOT_TRIED, 1))
NEW = of(SUPPORTED[-1], (*A, REFUSED, 3), (*B, REFUSED, 1))


def test_a_version_that_refuses_less_is_named() -> None:
    assert results.weaker([OLD, NEW]) == []
    less = of("1.30", (*A, REFUSED, 2))
    assert results.weaker([less, NEW]) == ["1.30: tests/api/a.py::test", "1.30: tests/api/b.py::test"]
    # Whatever the order, and by each actor.
    assert results.weaker([NEW, less]) == results.weaker([less, NEW])
    other = of("1.30", (*A, REFUSED, 3), ("peer", B[1], REFUSED, 1))
    assert results.weaker([other, NEW])


def test_the_table() -> None:
    """Without what is admitted by design."""
    with_more = of("1.30", *OLD.attacks, ("author", "tests/api/a.py::other: why", "admitted by design", 1))
    assert results.table([with_more, NEW]).splitlines()[2:] == [
        "| author | `a.py::test` | 3 | 3 |",
        "| author | `b.py::test` | 0 (1) | 1 |",
        "| | all | 3 | 4 |",
    ]


def test_the_page_has_versions_that_are_supported() -> None:
    """And tests that exist."""
    run, left = results.versions_of_the_page()
    assert sorted(run + left) == SUPPORTED
    assert run[-1] == SUPPORTED[-1], "without it nothing says what has to be refused"
    page = results.PAGE.read_text()
    for file, name in re.findall(r"`(test_\w+\.py)::(\w+)`", page):
        assert f"def {name}(" in (ROOT / "tests" / "api" / file).read_text(), name


def test_the_page_has_the_fields_that_came_later() -> None:
    rows = dict(re.findall(r"^\| (`.*) \| (1\.\d+) \|$", results.PAGE.read_text(), re.M))
    written = {(name, since) for names, since in rows.items() for name in re.findall("`(.+?)`", names)}
    decisions = {**DECISIONS, **{path: one for kind in OBJECTS.values() for path, one in kind.items()}}
    assert written == {
        (path.removeprefix("spec."), "{}.{}".format(*one.since))
        for path, one in decisions.items()
        if one.since > (1, 30)
    }


class Runs:
    """In place of the runs: notes what is run, and gives a result."""

    def __init__(self, *results: Run):
        self.results = {each.minor: each for each in results}
        self.asked: list[tuple[str, list[str]]] = []

    def __call__(self, minor: str, tests: Sequence[str], options: Sequence[str]) -> Run:
        self.asked.append((minor, [*tests, *options]))
        return self.results[minor]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    copy = tmp_path / "page.md"
    copy.write_text(results.PAGE.read_text())
    monkeypatch.setattr(results, "PAGE", copy)
    return copy


def ask(monkeypatch: pytest.MonkeyPatch, runs: Runs, **variables: str) -> int:
    for name in ("VERSIONS", "TESTS", "ATTACKS", "IF_BUILT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command, "run", runs)
    return command.main([])


def test_the_page_is_written_after_a_run_with_the_newest(monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    runs = Runs(OLD, NEW)
    before = page.read_text()
    assert ask(monkeypatch, runs, VERSIONS="1.30") == 0
    assert ask(monkeypatch, runs, VERSIONS=f"1.30 {NEW.minor}", TESTS="tests/api/test_fence.py") == 0
    assert page.read_text() == before
    assert ask(monkeypatch, runs, VERSIONS=f"{NEW.minor} 1.30") == 0
    assert results.versions_of_the_page() == (["1.30", NEW.minor], SUPPORTED[1:-1])
    assert runs.asked[1][1] == ["tests/api/test_fence.py"]
    assert [minor for minor, _ in runs.asked[-2:]] == ["1.30", NEW.minor]


def test_a_failed_run_fails_after_the_others(monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    before = page.read_text()
    runs = Runs(of("1.30", passed=False), NEW)
    assert ask(monkeypatch, runs, VERSIONS=f"1.30 {NEW.minor}") == 1
    assert len(runs.asked) == 2
    weak = Runs(of("1.30", (*A, REFUSED, 3)), NEW)
    assert ask(monkeypatch, weak, VERSIONS=f"1.30 {NEW.minor}") == 1
    assert page.read_text() == before


def test_a_version_that_is_not_supported_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, Runs(), VERSIONS="1.30 1.2") == 2
    assert "there is no 1.2, only 1.30" in capsys.readouterr().err


def test_what_is_not_built_is_skipped_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nothing is fetched to find that out."""
    monkeypatch.setattr(minors, "CACHE", tmp_path)
    runs = Runs()
    assert ask(monkeypatch, runs, VERSIONS="1.30 1.33", IF_BUILT="1") == 0
    assert not runs.asked
    said = capsys.readouterr().out
    assert "Kubernetes 1.30: SKIPPED" in said
    assert "python -m scripts.tools.minors 1.33" in said
    assert not list(tmp_path.iterdir())
