"""Lanes: which tests run side by side, and which wait until nothing else runs.

The marker `touches` says what a test may break. A test without it only looks: it runs DAGs and creates pods
that are its alone, and changes nothing that another test sees. The lanes run one after the other.

    look     tests that touch nothing; they share one release and run side by side
    release  tests that change a release, its workers or its daemons: one at a time; first those of the shared
             release, then those that install one of their own, while the shared one is scaled to nothing
    node     tests that stop or drain the node: one at a time
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

#: What a test touches -> its lane.
TOUCHES: Mapping[str, str] = {
    "gpus": "look",  # the number of GPUs that the node reports: its tests run one after the other
    "daemon": "release",
    "release": "release",
    "node": "node",
}
LANES = ("look", "release", "node")
#: Groups that take longest. They start first, or the lane would wait for them at the end.
LONGEST = (
    "keda",
    "test_metrics",
    "test_gateway_differential",
    "native_cluster",
    "overlay kubernetes",
    "test_metrics_of_others",
    "test_kubernetes_executor",
    "system_dags test_system_dags",
    "test_upgrade outages",
    "test_worker_namespaces",
    "task_namespaces",
    "test_upgrade rollouts",
)
#: Folders that are one group: their tests share an installation, or compare the whole host.
WHOLE = ("native_cluster", "images", "task_namespaces")
#: Files of which each test is a group: their tests share nothing.
SPREAD = ("gateway_cluster test_faults", "dind test_storage", "dind test_variants", "dind test_life")


def add_option(parser: pytest.Parser) -> None:
    """Add `--lane`."""
    parser.addoption("--lane", choices=LANES, help="run only the tests of this lane (tests/e2e/lanes.py)")


def touched(item: pytest.Item) -> set[str]:
    """Give what a test touches.

    Raises:
        pytest.UsageError: the marker names something that is not in TOUCHES.
    """
    found: set[str] = set()
    for marker in item.iter_markers("touches"):
        found |= set(marker.args)
        if marker.kwargs or not marker.args or not set(marker.args) <= TOUCHES.keys():
            raise pytest.UsageError(
                f"{item.nodeid}: touches{_shown(marker)} is unknown: use one of {', '.join(sorted(TOUCHES))}"
            )
    return found


def _shown(marker: pytest.Mark) -> str:
    words: list[Any] = [*marker.args, *(f"{key}={value}" for key, value in marker.kwargs.items())]
    return f"({', '.join(map(repr, words))})"


def lane(item: pytest.Item) -> str:
    """Give a test's lane: the last of those that what it touches needs."""
    return max((TOUCHES[what] for what in touched(item)), key=LANES.index, default="look")


def group(item: pytest.Item) -> str:
    """Give the group of tests that one worker of xdist runs one after the other."""
    if marker := item.get_closest_marker("xdist_group"):
        return str(marker.args[0] if marker.args else marker.kwargs["name"])
    if "gpus" in touched(item):
        return "gpus"
    folder, file = item.path.parent.name, item.path.stem
    if folder in WHOLE:
        return folder
    name = file if folder == "e2e" else f"{folder} {file}"
    return f"{name} {item.name}" if name in SPREAD else name


def uses_shared_release(items: Collection[pytest.Item]) -> bool:
    """Tell whether one of these tests asks for the release that `make up` installs."""
    return any("release" in getattr(item, "fixturenames", ()) for item in items)


def arrange(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of other lanes, put the others into groups, and the longest groups first."""
    wanted = config.getoption("lane", None)
    others = [item for item in items if wanted and lane(item) != wanted]
    if others:
        config.hook.pytest_deselected(items=others)
    chosen = [item for item in items if not wanted or lane(item) == wanted]
    if wanted:
        groups: dict[str, list[pytest.Item]] = {}
        for item in chosen:
            groups.setdefault(group(item), []).append(item)
        place = {name: LONGEST.index(name) if name in LONGEST else len(LONGEST) for name in groups}
        own = {name: wanted == "release" and not uses_shared_release(items) for name, items in groups.items()}
        ordered = sorted(groups, key=lambda name: (own[name], place[name]))
        chosen = [item for name in ordered for item in groups[name]]
    for item in chosen:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(group(item)))
    items[:] = chosen
