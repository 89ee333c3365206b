"""``make lint`` as a user and a CI see it: exit codes, formats, one sentence for what cannot be checked."""

from __future__ import annotations

import contextlib
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
from scripts.chart.values_schema import defaults
from scripts.lint.command import main
from scripts.lint.policies import POLICIES
from tests.render.values import RAW_SOCKET, overlaid
from tests.support.paths import EXAMPLES

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
    assert lines[4].startswith("    fix: Set ingress.tlsSecretName, ")
    assert "1 finding to fix" in lines[-1]
    assert not any("ingress-tls" in line for line in lines[lines.index("Accepted:") :])


@pytest.mark.parametrize(
    ("values", "policy", "place", "field"),
    [
        (
            {
                "httpRoute": {
                    "enabled": True,
                    "parentRefs": [{"name": "public"}],
                    "hostnames": ["airflow.example.com"],
                    "scheme": "http",
                }
            },
            "ingress-tls",
            "HTTPRoute",
            "spec.hostnames",
        ),
        (
            overlaid(
                WEAK, {"ingress": {"tlsSecretName": "a", "hosts": {"b.example.com": {"tlsSecretName": ""}}}}
            ),
            "ingress-tls",
            "Ingress",
            "spec.rules[b.example.com].host",
        ),
        (
            {
                "controlPlane": {"apiServer": {"service": {"type": "LoadBalancer"}}},
                "networkPolicy": {"uiFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
            },
            "service-exposed",
            "Service",
            "spec.type",
        ),
    ],
    ids=["route", "host", "service"],
)
def test_plain_and_exposed(
    values: dict[str, Any],
    policy: str,
    place: str,
    field: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "values.json"
    path.write_text(json.dumps(values))
    assert main(["--values", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[1:] == [policy, place, "airdock/airdock-api-server", "-", field]
    assert "1 finding to fix" in lines[-1]


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
    assert main(["-"]) == 1
    out = capsys.readouterr().out
    assert "privileged" in out
    assert "Pod x/bad" in out
    assert out.splitlines()[-1].startswith("standard input: ")


def test_rendered_manifests_are_judged_as_the_chart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(render({}).text)
    assert main([str(path)]) == 0


def test_not_valid_for_kubernetes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "datum": {"a": "b"}}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(wrong)))
    assert main(["-"]) == 1
    assert "Not valid for Kubernetes:\n  ConfigMap a" in capsys.readouterr().out


def test_a_field_of_another_form(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": ["nginx"]}}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(wrong)))
    assert main(["-"]) == 1
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
        ("airflow: {localSettings: 'def f('}\n", "airflow.localSettings, line 1: '(' was never closed"),
        ('auth: {webserverConfig: "A = 1\\n B = 2"}\n', "auth.webserverConfig, line 2: unexpected indent"),
        ("airflow: {localSettings: \"a = '\\\\0\\0'\"}\n", "airflow.localSettings"),
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
    assert main(["-"]) == 2
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
    assert main(["-", "--format", "junit"]) == 1
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
        assert location["physicalLocation"]["region"]["startLine"] == 1, "GitHub shows none without a line"
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


def _admission(key: str, value: Any, tmp_path: Path) -> list[str]:
    """The findings' lines with one value of tasks.admission; the error, if the chart refuses it."""
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump({"tasks": {"admission": {key: value}}}))
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        main(["--values", str(path)])
    return [line.strip() for line in out.getvalue().splitlines()]


#: Lists that may admit everything: why no policy speaks of it.
OPEN_LISTS = {
    "images": "by default any image is admitted",
    "controllers": "the list has names, and * is none",
    "exemptUsers": "the list has names, and * is none",
    "exemptGroups": "the list has names, and * is none",
    "requiredLimits": "the list makes the policy stricter",
}


def test_every_list_that_admits_everything_is_found(tmp_path: Path) -> None:
    """A list that a new version brings fails here until somebody decides about it."""
    lists = {key for key, value in defaults()["tasks"]["admission"].items() if isinstance(value, list)}
    assert lists >= {"secrets", "labels", "execContainers"}
    for key in sorted(lists - OPEN_LISTS.keys()):
        lines = _admission(key, ["*"], tmp_path)
        refused = any(line.startswith("lint: ") and key in line for line in lines)
        assert refused or f"tasks.admission.{key} admits everything" in lines, (key, lines)


@pytest.mark.parametrize(
    ("group", "found"),
    [("system:masters", True), ("system:serviceaccounts:kube-system", True), ("oidc:platform-team", False)],
)
def test_exempt_groups(tmp_path: Path, group: str, found: bool) -> None:
    lines = _admission("exemptGroups", [group], tmp_path)
    assert (f"the policy does not apply to {group}" in lines) == found


@pytest.mark.parametrize("values", sorted((EXAMPLES / "values").glob("*.yaml")), ids=lambda path: path.name)
def test_our_own_examples_pass(values: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if values.name.endswith(".accepted.yaml"):
        pytest.skip("belongs to another file")
    accepted = values.with_suffix(".accepted.yaml")
    given = ["--accepted", str(accepted)] if accepted.exists() else []
    assert main(["--values", str(values), *given]) == 0, capsys.readouterr().out
    if given:
        assert main(["--values", str(values)]) == 1, "they are needed"


def test_a_users_own_acceptance(weak: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "accepted.yaml"
    entry = {"policy": "ingress-tls", "object": "Ingress airdock/airdock-api-server", "reason": "Balancer."}

    def lint(*entries: Any) -> int:
        file.write_text(yaml.safe_dump(list(entries)))
        capsys.readouterr()
        return main(["--values", weak, "--accepted", str(file)])

    assert lint() == 1
    assert lint(entry) == 0
    assert "ingress-tls, 1 place: Balancer." in capsys.readouterr().out
    other = {**entry, "object": "Ingress airdock/other"}
    for wrong, said in (
        ([entry, other], "ingress-tls of Ingress airdock/other accepts nothing"),
        ([{**entry, "reason": " "}], "entry 1: every value must be a text"),
        ([{**entry, "policy": "ingres-tls"}], "there is no policy ingres-tls"),
        ([{"policy": "ingress-tls", "reason": "x"}], "policy, object and reason are required"),
        ([{**entry, "kind": "Ingress"}], "policy, object and reason are required"),
        (["ingress-tls"], "policy, object and reason are required"),
    ):
        assert lint(*wrong) == 2, wrong
        assert said in capsys.readouterr().err
    file.write_text("policy: ingress-tls\n")
    assert main(["--values", weak, "--accepted", str(file)]) == 2


def test_bad_values_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A reader of reports gets one that it can read, and the reason."""
    path = tmp_path / "bad.yaml"
    path.write_text("workers: 7\n")
    said = {}
    for kind in ("text", "junit", "sarif"):
        assert main(["--values", str(path), "--format", kind]) == 2
        said[kind] = capsys.readouterr()
        assert said[kind].err.startswith("lint: ")
    assert said["text"].out == ""
    error = ElementTree.fromstring(said["junit"].out).find("testsuite/testcase/error")
    assert error is not None
    assert "workers" in error.attrib["message"]
    (run,) = json.loads(said["sarif"].out)["runs"]
    assert run["results"] == []
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "workers" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_several_files_after_one_option(
    weak: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fix = tmp_path / "fix.yaml"
    fix.write_text("ingress: {tlsSecretName: tls}\n")
    assert main(["--values", weak, str(fix)]) == 0, capsys.readouterr().out


def test_without_the_packages(tmp_path: Path) -> None:
    """Outside .venv: one sentence."""
    bare = [sys.executable, "-S", "-m", "scripts.lint"]
    done = subprocess.run(bare, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Run .venv/bin/python -m scripts.lint" in done.stderr


def test_dag_code_beside_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("controlPlane: {separateDagCode: false}\n")
    assert main(["--values", str(path)]) == 1
    found = {tuple(line.split()[1:6]) for line in capsys.readouterr().out.splitlines() if line[:4] == "high"}
    assert found == {
        ("dag-code-secrets", "Deployment", f"airdock/airdock-{component}", component, f"env.{name}")
        for component, name in (
            ("dag-processor", "AIRFLOW__CORE__FERNET_KEY"),
            ("dag-processor", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"),
            ("triggerer", "AIRFLOW__CORE__FERNET_KEY"),
            ("triggerer", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"),
        )
    }
