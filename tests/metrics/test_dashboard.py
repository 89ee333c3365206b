"""metrics.dashboard: valid queries, of series that a release exports."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from docker_gateway.cluster_fence import Fence
from docker_gateway.health import Metrics
from docker_gateway.settings import Tasks

from scripts.chart import load_yaml, render
from tests.metrics.series import named, queries
from tests.metrics.test_alerts import CASES, promtool, rules
from tests.render.values import METRICS
from tests.support.paths import FILES


@cache
def dashboard() -> dict[str, Any]:
    (text,) = render(METRICS).one("ConfigMap", name="airdock-dashboard").raw["data"].values()
    return dict(json.loads(text))


def exported() -> str:
    """A pattern of the names of all series that a release exports."""
    names = [
        re.sub(r"\\?\$1", r"\\w+", re.escape(each["name"]))
        for each in load_yaml((FILES / "statsd-mappings.yaml").read_text())[0]
    ]
    gateway = Metrics()
    gateway.phase_seconds("run", 1)
    Fence(None, Tasks(), gateway)  # type: ignore[arg-type]
    names += re.findall("^# TYPE (\\S+)", gateway.text(), re.MULTILINE)
    # In files that need a cluster.
    for file in ("cluster.py", "health_port.py"):
        text = (FILES / "docker_gateway" / file).read_text()
        names += [f"airdock_gateway_{name}" for name in re.findall(r'metrics\.\w+\(\s*"(\w+)"', text)]
    return rf"({'|'.join(names)})(_bucket|_sum|_count)?"


def test_every_series_is_exported() -> None:
    pattern = exported()
    read = named([*queries(dashboard()), *(rule["expr"] for rule in rules())])
    assert len(read) > 30
    assert not {name for name in read if not re.fullmatch(pattern, name)}
    assert not re.fullmatch(pattern, "airflow_of_another_name")
    # The tests of the alerts are about the same ones.
    series = {key.partition("{")[0] for cases in CASES.values() for case in cases for key in case["series"]}
    assert {name for name in series if name.startswith("air")} <= read


def test_the_queries_are_valid() -> None:
    for query in queries(dashboard()):
        promtool("promql", "format", "--experimental", query)


def test_the_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
