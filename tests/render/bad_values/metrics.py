"""Metrics that nobody sends or reads."""

from __future__ import annotations

from tests.render.bad_values.model import Bad, group

METRICS = (
    Bad(
        "a PodMonitor of nothing",
        group(mode="dind") | {"metrics": {"podMonitor": {"enabled": True}}},
        ("metrics.podMonitor.enabled: false", "Docker gateway", "metrics.airflow.enabled: true"),
    ),
    Bad(
        "alerts about metrics that nobody reads",
        {
            "metrics": {
                "airflow": {"enabled": True},
                "rules": {"enabled": True},
                "dashboard": {"enabled": True},
            }
        },
        ("metrics.rules.enabled: false", "metrics.podMonitor.enabled: true", "metrics.dashboard.enabled"),
    ),
    Bad(
        "metrics to two servers",
        {
            "metrics": {"airflow": {"enabled": True}},
            "airflow": {"config": {"metrics": {"statsd_host": "statsd.monitoring.svc", "otel_on": True}}},
        },
        (
            "airflow.config.metrics.statsd_host",
            "airflow.config.metrics.otel_on",
            "metrics.airflow.enabled: false",
        ),
    ),
)
