"""The lanes of the end-to-end tests: by what a test touches; a marker that is not known is an error."""

from __future__ import annotations

import os

import pytest

from scripts import tools
from scripts.tools.catalog import DOCKER_ENGINES
from tests.e2e import __main__ as tier

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
from tests.e2e import lanes

def pytest_addoption(parser):
    lanes.add_option(parser)

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    lanes.arrange(config, items)
"""
TESTS = """
import pytest

def test_nothing(): pass

@pytest.mark.touches("daemon")
def test_daemon(): pass

@pytest.mark.touches("release", "node")
def test_both(): pass

@pytest.mark.touches("gpus")
def test_gpus(): pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    return pytester


def passed(suite: pytest.Pytester, *options: str) -> set[str]:
    result = suite.inline_run("-p", "no:cacheprovider", *options)
    return {report.nodeid.rpartition("::")[2] for report in result.listoutcomes()[0]}


@pytest.mark.parametrize(
    ("lane", "tests"),
    [
        ("look", {"test_nothing", "test_gpus"}),
        ("release", {"test_daemon"}),
        ("node", {"test_both"}),
    ],
)
def test_a_lane_has_its_tests_alone(suite: pytest.Pytester, lane: str, tests: set[str]) -> None:
    suite.makepyfile(TESTS)
    assert passed(suite, f"--lane={lane}") == tests


def test_without_a_lane_all_tests_run(suite: pytest.Pytester) -> None:
    suite.makepyfile(TESTS)
    assert len(passed(suite)) == 4


@pytest.mark.parametrize("marker", ["'relaese'", "", "'node', what='daemon'"])
def test_an_unknown_marker_is_an_error(suite: pytest.Pytester, marker: str) -> None:
    suite.makepyfile(f"import pytest\n\n@pytest.mark.touches({marker})\ndef test_it(): pass\n")
    result = suite.runpytest("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_it: touches(*) is unknown: *daemon, gpus, node, release*"])


def test_releases_of_their_own_come_after_the_shared_one(suite: pytest.Pytester) -> None:
    start = 'import pytest\n\npytestmark = pytest.mark.touches("release")\n\n'
    fixture = "@pytest.fixture\ndef release(): pass\n\n"
    suite.makepyfile(
        test_a=start + "def test_own(): pass\n",
        test_b=start + fixture + "def test_first(): pass\n\ndef test_shared(release): pass\n",
    )
    result = suite.inline_run("-p", "no:cacheprovider", "--lane=release")
    names = [report.nodeid.rpartition("::")[2] for report in result.listoutcomes()[0]]
    assert names == ["test_first", "test_shared", "test_own"]


@pytest.mark.parametrize(
    ("variables", "tests"),
    [
        ({}, ""),
        ({"AIRFLOW": "3.1"}, tier.EACH_LINE),
        ({"DOCKER": "28"}, "tests/e2e/gateway_daemon"),
        ({"DOCKER": "28", "TESTS": "tests/e2e/test_a.py"}, "tests/e2e/test_a.py"),
    ],
)
def test_what_a_variable_leaves_out(
    variables: dict[str, str], tests: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", variables)
    assert tier.chosen_tests() == tests


def test_an_engine_is_built_where_it_is_asked_for_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[str] = []
    monkeypatch.setattr(tools, "pinned", built.append)
    monkeypatch.setattr(tier, "run", lambda *_: True)
    monkeypatch.delenv("DOCKER", raising=False)
    assert tier.main([]) == 0
    assert built == []
    for engine in DOCKER_ENGINES:
        monkeypatch.setenv("DOCKER", engine)
        assert tier.main([]) == 0
    assert built == [f"dockerd-{engine}" for engine in DOCKER_ENGINES]
    monkeypatch.setenv("DOCKER", "1.13")
    assert tier.main([]) == 2
    assert "DOCKER=1.13: use one of 27, 28, or none" in capsys.readouterr().err
