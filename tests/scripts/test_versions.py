"""A version stands in one place (scripts/chart/versions.py says where), and others read it there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from scripts.chart import ROOT, load_yaml, versions
from scripts.lint.pod_security import NEWEST_MINOR
from scripts.tools.build import version
from scripts.tools.catalog import TOOLS

#: Pins, and what `make overlays` and `make docs` write.
LEFT_OUT = (
    "overlays/*",
    "*.sum",
    "*.mod",
    "*requirements*.txt",
    "*requirements.in",
    "charts/airdock/README.md",
    "docs/values.md",
)
#: Where the newest Kubernetes minor stands besides, with the reason.
KUBERNETES = {
    "charts/airdock/values.yaml": "tasks.podSecurity.version, which is the users' to set",
    "docs/task-namespace.md": "labels to copy; test_labels_to_copy holds it to the value",
    "docs/first-week.md": "a message of Pod Security; test_first_week compares it",
    "docs/kubernetes-versions.md": "the versions of a table that was measured",
    "docs/docker-gateway.md": "says what was measured, and on which version",
    "docs/modes.md": "says what was measured, and on which version",
}
#: Tools whose version stands elsewhere too.
ELSEWHERE = {
    "statsd_exporter": "charts/airdock/values.yaml",  # it is also that of an image
    "dockerd-27": "charts/airdock/files/docker_gateway/cluster.py",  # what the gateway speaks, as that engine
}
#: Where the version of Airflow stands.
AIRFLOW = {
    "charts/airdock/Chart.yaml": "Helm's field for it",
    "charts/airdock/values.yaml": "the image's tag; test_airflow_is_one_version holds it to Chart.yaml",
    "docs/security.md": "made of the introduction",
    "scripts/lint/introduction.md": "says what was read in the code, and of which version",
}


@cache
def texts() -> dict[str, str]:
    """Tracked text files, by path."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    found = {}
    for name in filter(None, names):
        path = ROOT / name
        if any(
            Path(name).match(pattern) or name.startswith(pattern.removesuffix("*")) for pattern in LEFT_OUT
        ):
            continue
        if path.is_file() and not path.is_symlink():
            try:
                found[name] = path.read_text()
            except UnicodeDecodeError:
                continue
    return found


def places(number: str, pattern: str = "") -> set[str]:
    """Files with a version, not as a part of another one."""
    whole = pattern or rf"(?<![\d.])v?{re.escape(number)}(?![\d.]*\d)"
    return {name for name, text in texts().items() if number in text and re.search(whole, text)}


def pinned_tools() -> Iterator[tuple[str, str]]:
    for tool in TOOLS:
        number = version(tool).removeprefix("v")
        if re.fullmatch(r"\d+\.\d+\.\d+.*", number) and not number.startswith("0.0.0"):
            yield tool.name, number


def test_kubernetes_stands_in_one_place() -> None:
    minor = versions.KUBE_VERSIONS[-1].removesuffix(".0")
    found = places(minor, rf"(?<![\d.:/-])v?{re.escape(minor)}(?:\.\d+)?(?![\d.]*\d)")
    assert found == set(KUBERNETES), "read scripts/chart/versions.py, or say in KUBERNETES why not"


@pytest.mark.parametrize(("tool", "number"), pinned_tools())
def test_a_tool_is_pinned_by_its_go_mod_alone(tool: str, number: str) -> None:
    allowed = {ELSEWHERE[tool]} if tool in ELSEWHERE else set()
    assert places(number) == allowed, f"read tools.version_of({tool!r})"


def test_airflow_stands_in_one_place() -> None:
    assert places(versions.AIRFLOW) == set(AIRFLOW)


def test_airflow_is_one_version() -> None:
    values = load_yaml(texts()["charts/airdock/values.yaml"])[0]
    assert values["images"]["airflow"]["tag"] == versions.AIRFLOW
    packages = (ROOT / "scripts/images/recipes/airflow-packages/requirements.in").read_text()
    assert f"apache-airflow=={versions.AIRFLOW}\n" in packages


def test_the_newest_kubernetes_has_its_pod_security() -> None:
    assert f"{versions.POD_SECURITY}.0".removeprefix("v") == versions.KUBE_VERSIONS[-1]


def test_the_oldest_kubernetes_is_the_charts() -> None:
    oldest = versions.KUBE_VERSIONS[0].removesuffix(".0")
    assert f"Kubernetes >= {oldest}" in texts()["README.md"]


def test_lint_judges_by_the_pinned_pod_security_standards() -> None:
    """tests/policies compares it with that module; the edition that findings name comes from it."""
    pins = (ROOT / "tests/policies/pod_security_upstream/go.mod").read_text()
    assert f"k8s.io/pod-security-admission v0.{NEWEST_MINOR}." in pins
    written = rf"[Pp]od[- ]?[Ss]ecurity.{{0,40}}\bv?(?:1|0)\.{NEWEST_MINOR}\b"
    assert places(f".{NEWEST_MINOR}", written) <= {"docs/security.md"}


def test_labels_to_copy() -> None:
    """A namespace's labels in docs and examples are those that the chart would set."""
    found = {
        (name, label)
        for name, text in texts().items()
        if name.startswith(("docs/", "examples/", "README"))
        for label in re.findall(r"(?:enforce|audit|warn)-version[:=]\s*(\S+)", text)
    }
    assert found
    assert {label for _, label in found} == {versions.POD_SECURITY}, found
