"""Draws the dashboard with the data of a Prometheus, as Grafana lays it out: for the page in docs.

.venv/bin/pip install matplotlib
DASHBOARD_PICTURE=docs/dashboard.png .venv/bin/pytest tests/e2e/test_metrics.py
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

#: Grafana's columns, and the height of a row of its grid in inches.
COLUMNS, WIDTH, ROW = 24, 16.0, 0.32

Series = Iterable[Mapping[str, Any]]


def draw(dashboard: Mapping[str, Any], ask: Callable[[str], Series], file: Path) -> None:
    """Write the picture.

    Args:
        dashboard: Grafana's model, as the chart writes it.
        ask: gives the series of an expression over the time to draw, as the `result` of query_range.
        file: ends with .png or .svg.
    """
    from matplotlib.figure import Figure

    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = Figure(figsize=(WIDTH, rows * ROW))
    for panel in panels:
        at = panel["gridPos"]
        left, bottom = at["x"] / COLUMNS, 1 - (at["y"] + at["h"]) / rows
        width, height = at["w"] / COLUMNS, at["h"] / rows
        if not panel.get("targets"):
            figure.text(left + 0.01, bottom + height / 3, panel["title"], fontsize=13, weight="bold")
            continue
        box = (left + 0.09 * width, bottom + 0.15 * height, 0.87 * width, 0.68 * height)
        axes = figure.add_axes(box)
        axes.set_title(panel["title"], fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        axes.set_xlabel("minutes", fontsize=7, labelpad=0)
        _lines(axes, panel["targets"], ask)
        axes.set_ylim(bottom=0)
    figure.savefig(file, dpi=80)


def _lines(axes: Any, targets: Iterable[Mapping[str, Any]], ask: Callable[[str], Series]) -> None:
    found = [
        (target["legendFormat"], series)
        for target in targets
        for series in ask(target["expr"])
        if any(value != "NaN" for _, value in series["values"])
    ]
    first = min((float(series["values"][0][0]) for _, series in found), default=0)
    for legend, series in found:
        label = re.sub(r"\{\{(\w+)\}\}", r"{\1}", legend).format_map(defaultdict(str, series["metric"]))
        times = [(float(time) - first) / 60 for time, _ in series["values"]]
        axes.plot(
            times, [float(value) for _, value in series["values"]], linewidth=1.2, label=label[:40] or "-"
        )
    if found:
        axes.legend(fontsize=6, loc="upper left", framealpha=0.6)
