"""metrics.rules: each alert fires when it should and not before, and has a paragraph in the runbook."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scripts import tools
from scripts.chart import ROOT, load_yaml, render
from tests.render.values import ATTACHED, METRICS, MODES, overlaid

RULES: dict[str, Any] = overlaid(METRICS, {"metrics": {"rules": {"enabled": True}}})
CASES: dict[str, list[dict[str, Any]]] = load_yaml((Path(__file__).parent / "alerts.yaml").read_text())[0]
JOBS = {'"JOB"': '"airdock/airdock-statsd"', '"GATEWAY"': '"airdock/airdock-docker-gateway"'}


@cache
def rules() -> list[dict[str, Any]]:
    """Those of a release that has all that an alert can be about."""
    rule = render(overlaid(MODES, RULES)).one("PrometheusRule").raw
    return list(rule["spec"]["groups"][0]["rules"])


def name(rule: dict[str, Any]) -> str:
    """The key of an alert in alerts.yaml."""
    return "/".join(filter(None, (rule["alert"], rule["labels"].get("component"))))


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run([tools.path("promtool"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps(render(overlaid(MODES, RULES)).one("PrometheusRule").raw["spec"]))
    assert f"{len(rules())} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", file)


def test_every_alert_has_a_test() -> None:
    assert {name(rule) for rule in rules()} == CASES.keys()
    for alert, cases in CASES.items():
        assert any(case.get("fires") for case in cases), alert
        assert any(case.get("silent") for case in cases), alert


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_when_it_should(alert: str, tmp_path: Path) -> None:
    rule = next(each for each in rules() if name(each) == alert)
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "all", "rules": [rule]}]}))
    tests = []
    for number, case in enumerate(CASES[alert]):
        series = []
        for key, values in case["series"].items():
            for short, job in JOBS.items():
                key = key.replace(short, job)
            series.append({"series": key, "values": values})
        # That of the alert is 1 while it fires.
        firing = f'count(ALERTS{{alertname="{rule["alert"]}",alertstate="firing"}})'
        tests.append(
            {
                "name": f"{alert} {number}",
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {"expr": firing, "eval_time": f"{minute}m", "exp_samples": expected}
                    for key, expected in (("fires", [{"value": 1}]), ("silent", []))
                    for minute in case.get(key, ())
                ],
            }
        )
    (tmp_path / "tests.yaml").write_text(
        json.dumps({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests})
    )
    promtool("test", "rules", tmp_path / "tests.yaml")


def test_every_alert_has_a_paragraph() -> None:
    page = (ROOT / "docs/operations.md").read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    headings = re.findall("^### (.*)$", page, re.MULTILINE)
    assert set(headings) == {rule["alert"] for rule in rules()}
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_alerts_are_about_what_a_release_has() -> None:
    def found(values: dict[str, Any]) -> set[str]:
        rule = render(overlaid(RULES, values)).one("PrometheusRule").raw
        return {name(each) for each in rule["spec"]["groups"][0]["rules"]}

    everything = set(CASES)
    assert found({}) == everything - {"AirdockDaemonRestarts", "AirdockDaemonDiskFull"}
    assert found({"controlPlane": {"triggerer": {"replicas": 0}}}) == found({}) - {
        "AirdockHeartbeatMissing/triggerer"
    }
    gateway = {"AirdockGatewayNotReady", "AirdockFenceMissing", "AirdockContainersLost", "AirdockQuotaFull"}
    assert found({"metrics": {"airflow": {"enabled": False}}}) == gateway
    # It has a group of mode dind, too.
    assert found(ATTACHED) == gateway | {"AirdockDaemonRestarts", "AirdockDaemonDiskFull"}
