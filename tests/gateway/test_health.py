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
    metrics.ended("success")
    metrics.start_seconds(0.7)
    metrics.start_seconds(7000)
    metrics.opened("streams")
    metrics.opened("streams", -1)
    metrics.gauge("containers", "By state.", lambda: {"running": 2})
    lines = get(port, "metrics")[1].splitlines()
    for line in (
        'airdock_gateway_refusals_total{reason="a\\"b\\\\c\\nd"} 1',
        'airdock_gateway_refusals_total{reason="privileged"} 1',
        'airdock_gateway_ended_total{outcome="success"} 1',
        'airdock_gateway_start_seconds_bucket{le="0.5"} 0',
        'airdock_gateway_start_seconds_bucket{le="1.0"} 1',
        'airdock_gateway_start_seconds_bucket{le="+Inf"} 2',
        "airdock_gateway_start_seconds_count 2",
        'airdock_gateway_open{kind="streams"} 0',
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
