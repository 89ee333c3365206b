"""Pins of other Kubernetes minors, and the runs of the API tests against them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.chart import ROOT, versions
from scripts.tools import ToolError, minors
from tests.api.versions import NOT_TRIED, REFUSED, Run, columns, table, weaker

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


OLD = Run("1.30", True, 1, [("author", "tests/api/a.py::test", REFUSED, 3), ("author", "b", NOT_TRIED, 1)])
NEW = Run("1.31", True, 1, [("author", "tests/api/a.py::test", REFUSED, 3), ("author", "b", REFUSED, 1)])


def test_a_version_that_refuses_less_is_named() -> None:
    assert weaker([OLD, NEW]) == []
    less = Run("1.30", True, 1, [("author", "tests/api/a.py::test", REFUSED, 2)])
    assert weaker([less, NEW]) == ["1.30: b", "1.30: tests/api/a.py::test"]


def test_the_table() -> None:
    assert table([OLD, NEW]).splitlines()[2:] == [
        "| author | `b` | 0 (1) | 1 |",
        "| author | `a.py::test` | 3 | 3 |",
        "| | all | 3 | 4 |",
    ]


def test_the_page_has_versions_that_are_supported() -> None:
    """And tests that exist."""
    assert set(columns()) <= set(SUPPORTED)
    page = (ROOT / "docs" / "kubernetes-versions.md").read_text()
    for file, name in re.findall(r"`(test_\w+\.py)::(\w+)`", page):
        assert f"def {name}(" in (ROOT / "tests" / "api" / file).read_text(), name
