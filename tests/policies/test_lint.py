"""``make lint`` as a user and a CI see it: exit codes, formats, one sentence for what cannot be checked."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from scripts.chart import ROOT, render
from scripts.lint.__main__ import main
from scripts.lint.policies import POLICIES
from tests.render.values import RAW_SOCKET

BAD_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "bad\u0007", "namespace": "x"},
    "spec": {
        "hostPID": True,
        "containers": [{"name": "a", "image": "busybox", "securityContext": {"privileged": True}}],
    },
}
WEAK: dict[str, Any] = {"ingress": {"enabled": True, "host": "airflow.example.com"}}


@pytest.fixture
def weak(tmp_path: Path) -> str:
    path = tmp_path / "weak.yaml"
    path.write_text(yaml.safe_dump(WEAK))
    return str(path)


def test_own_values_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.endswith("findings accepted.\n")
    assert f"chart with its own values: {len(POLICIES)} policies, nothing to fix" in out
    assert "rbac-exec, 1 place: Mode kubernetes:" in out


def test_the_raw_socket_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """socket.filter: false is possible, and for whoever lints to accept."""
    path = tmp_path / "raw.yaml"
    path.write_text(yaml.safe_dump(RAW_SOCKET))
    assert main(["--values", str(path)]) == 1
    found = [line.split()[1:4] for line in capsys.readouterr().out.splitlines() if line.startswith("high")]
    worker = "airdock/airdock-worker-node"
    assert found == [["host-path", "Deployment", worker], ["runtime-socket", "Deployment", worker]]


def test_a_finding_says_all_that_is_needed(weak: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--values", weak]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["severity", "policy", "object", "container", "field"]
    assert lines[1].split() == [
        "high",
        "ingress-tls",
        "Ingress",
        "airdock/airdock-api-server",
        "-",
        "spec.tls",
    ]
    assert lines[2] == "    passwords and tokens are sent without encryption"
    assert lines[3].startswith("    why: ")
    assert lines[4] == "    fix: Set ingress.tlsSecretName."
    assert "1 finding to fix" in lines[-1]
    assert not any(
        "ingress-tls" in line for line in lines[lines.index("Accepted (scripts/lint/accepted.py):") :]
    )


def test_later_values_win(weak: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fix = tmp_path / "fix.yaml"
    fix.write_text("ingress: {tlsSecretName: airflow-tls}\n")
    assert main(["--values", weak, "--values", str(fix)]) == 0


def test_null_resets(weak: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reset = tmp_path / "reset.yaml"
    reset.write_text("workers: {default: null, docker: {mode: dind, queues: [docker]}}\n")
    assert main(["--values", str(reset)]) == 0
    out = capsys.readouterr().out
    assert "Mode dind" in out
    assert "Mode kubernetes" not in out


def test_other_manifests(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(BAD_POD)))
    assert main(["--manifests", "-"]) == 1
    out = capsys.readouterr().out
    assert "privileged" in out
    assert "Pod x/bad" in out
    assert out.splitlines()[-1].startswith("standard input: ")


def test_rendered_manifests_are_judged_as_the_chart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(render({}).text)
    assert main(["--manifests", str(path)]) == 0


def test_not_valid_for_kubernetes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "datum": {"a": "b"}}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(wrong)))
    assert main(["--manifests", "-"]) == 1
    assert "Not valid for Kubernetes:\n  ConfigMap a" in capsys.readouterr().out


def test_a_field_of_another_form(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": ["nginx"]}}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(wrong)))
    assert main(["--manifests", "-"]) == 1
    assert "Not valid for Kubernetes:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [", "line 2"),
        ("a: 1\na: 2\n", "the key 'a' occurs twice"),
        ("- 1\n", "contains no values"),
        ("a: 1\n---\nb: 2\n", "contains no values"),
        ("workers: {default: {mode: vm}}\n", "/workers/default/mode"),
        ("ingress: {enabled: true}\n", "ingress.host: is missing"),
        ("\0", "unacceptable character"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_checked(
    content: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.yaml"
    if content is not None:
        path.write_text(content)
    assert main(["--values", str(path)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1, err
    assert err.startswith("lint: ")
    assert words in err
    assert "--debug" not in err


@pytest.mark.parametrize(("text", "words"), [("", "no Kubernetes object"), ("a: 1", "it has no kind")])
def test_manifests_that_are_none(
    text: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert main(["--manifests", "-"]) == 2
    assert words in capsys.readouterr().err


def test_junit(weak: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--values", weak, "--format", "junit"]) == 1
    root = ElementTree.fromstring(capsys.readouterr().out)
    suite = root.find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert [root.tag, suite.get("tests"), suite.get("failures")] == [
        "testsuites",
        str(len(POLICIES) + 1),
        "1",
    ]
    assert len(cases) == len(POLICIES) + 1
    failures = {case.get("name"): case.find("failure") for case in cases if case.find("failure") is not None}
    assert list(failures) == ["ingress-tls: The UI is served over TLS"]
    (failure,) = failures.values()
    assert failure is not None
    assert failure.text is not None
    assert "Ingress airdock/airdock-api-server, spec.tls" in failure.text
    skipped = [case for case in cases if case.find("skipped") is not None]
    assert suite.get("skipped") == str(len(skipped))
    assert any((case.get("name") or "").startswith("rbac-exec") for case in skipped)


def test_junit_of_odd_characters(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(BAD_POD)))
    assert main(["--manifests", "-", "--format", "junit"]) == 1
    ElementTree.fromstring(capsys.readouterr().out)


def test_sarif(weak: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What sarif-schema-2.1.0 requires, and what code scanners need beyond it."""
    assert main(["--values", weak, "--format", "sarif"]) == 1
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids) == len(POLICIES) + 1
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == weak
    open_results = [result for result in run["results"] if "suppressions" not in result]
    assert [result["ruleId"] for result in open_results] == ["ingress-tls"]
    suppressed = [result for result in run["results"] if "suppressions" in result]
    assert suppressed
    assert all(result["suppressions"][0]["justification"] for result in suppressed)
    prints = [result["partialFingerprints"]["place/v1"] for result in run["results"]]
    assert len(set(prints)) == len(prints), "two results look like one to a code scanner"


def test_as_a_command(weak: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.lint", "--values", weak], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "ingress-tls" in done.stdout
    assert not done.stderr
