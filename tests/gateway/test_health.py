"""Health, readiness and metrics over TCP."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from docker_gateway import health, health_port

from tests.support.ports import free_port


@pytest.fixture
def port() -> int:
    return free_port()


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_and_readiness(port: int) -> None:
    problems = {"ready": "", "alive": ""}
    health_port.serve("", port, health.Metrics(), lambda: problems["ready"], lambda: problems["alive"])
    assert get(port, "readyz") == get(port, "healthz") == (200, "ok\n")
    problems["ready"] = "no list yet"
    assert get(port, "readyz") == (503, "no list yet\n")
    assert get(port, "healthz")[0] == 200
    assert get(port, "nothing")[0] == 404


def test_metrics(port: int) -> None:
    metrics = health.Metrics()
    health_port.serve("127.0.0.1", port, metrics, str, str)
    metrics.refused('a"b\\c\nd')
    metrics.refused("privileged")
    metrics.ended("success", "sales")
    metrics.phase_seconds("pull", 3)
    metrics.delayed("quota")
    metrics.start_seconds(0.7)
    metrics.start_seconds(7000)
    metrics.opened("streams")
    metrics.opened("streams", -1)
    metrics.gauge("containers", "By state.", lambda: {"running": 2})
    lines = get(port, "metrics")[1].splitlines()
    for line in (
        'airdock_gateway_refusals_total{reason="a\\"b\\\\c\\nd"} 1',
        'airdock_gateway_refusals_total{reason="privileged"} 1',
        'airdock_gateway_ended_total{outcome="success",dag_id="sales"} 1',
        'airdock_gateway_start_seconds_bucket{le="0.5"} 0',
        'airdock_gateway_start_seconds_bucket{le="1.0"} 1',
        'airdock_gateway_start_seconds_bucket{le="+Inf"} 2',
        "airdock_gateway_start_seconds_count 2",
        'airdock_gateway_open{kind="streams"} 0',
        'airdock_gateway_delays_total{reason="quota"} 1',
        'airdock_gateway_phase_seconds_bucket{phase="pull",le="2.0"} 0',
        'airdock_gateway_phase_seconds_bucket{phase="pull",le="5.0"} 1',
        'airdock_gateway_phase_seconds_count{phase="pull"} 1',
        'airdock_gateway_probe_failing{probe="ready"} 0',
        'airdock_gateway_containers{state="running"} 2',
    ):
        assert line in lines, line
    # Every sample belongs to a family that was described before it.
    described = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    for line in lines:
        name = line.split("{")[0].split()[0]
        if not line.startswith("#"):
            assert (
                name in described
                or name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") in described
            )


def test_dags_have_a_limit_of_series() -> None:
    metrics = health.Metrics()
    for number in range(500):
        metrics.ended("failure", f"dag{number}")
    metrics.ended("failure", "dag7")
    metrics.ended("success", None)
    lines = [line for line in metrics.text().splitlines() if line.startswith("airdock_gateway_ended_total")]
    assert 'airdock_gateway_ended_total{outcome="failure",dag_id="dag7"} 2' in lines
    assert 'airdock_gateway_ended_total{outcome="failure",dag_id="(other)"} 300' in lines
    assert 'airdock_gateway_ended_total{outcome="success",dag_id="(other)"} 1' in lines
    assert len(lines) == 202
