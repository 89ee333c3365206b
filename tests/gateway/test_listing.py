"""Which containers a list has, by the filters of Docker's clients."""

from __future__ import annotations

import time
from typing import Any

import pytest
from docker_gateway.backend import ApiError, ListOptions
from docker_gateway.listing import FILTERS, Entry, duration, name_like, select

from tests.support.attacks import AUTHOR

NOW = time.time()
ENTRIES = [
    Entry("a" * 64, "old", "busybox:1.37", "sha256:" + "1" * 64, ("true",), NOW - 40_000, "exited", 0,
          NOW - 30_000, NOW - 11_000, {"team": "x"}),
    Entry("b" * 64, "middle", "docker.io/library/alpine", "sha256:" + "2" * 64, ("sh", "-c", "exit 3"),
          NOW - 200, "exited", 3, NOW - 190, NOW - 100, {"team": "y", "k": ""}, "none"),
    Entry("c" * 64, "new", "busybox:1.37", "sha256:" + "1" * 64, (), NOW - 100, "running", None, NOW - 7300),
    Entry("d" * 64, "newest", "r.example/a:1", "sha256:" + "3" * 64, (), NOW, "created"),
]  # fmt: skip


def names(every: bool = True, limit: int = 0, **filters: str | tuple[str, ...]) -> list[str]:
    listed = {key: (value,) if isinstance(value, str) else value for key, value in filters.items()}
    found = select(ENTRIES, ListOptions(every, limit, listed))
    return [each["Names"][0].removeprefix("/") for each in found]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["newest", "new", "middle", "old"]),
        ({"limit": 2}, ["newest", "new"]),
        ({"every": False}, ["new"]),
        ({"label": "team"}, ["middle", "old"]),
        ({"label": "team=x"}, ["old"]),
        ({"label": ("team", "k")}, ["middle"]),
        ({"name": "new"}, ["newest", "new"]),
        ({"name": "^/new$"}, ["new"]),
        ({"name": ("old", "middle")}, ["middle", "old"]),
        ({"id": "bbb"}, ["middle"]),
        ({"status": "exited"}, ["middle", "old"]),
        ({"status": ("created", "running")}, ["newest", "new"]),
        ({"exited": "3"}, ["middle"]),
        ({"ancestor": "busybox:1.37"}, ["new", "old"]),
        ({"ancestor": "docker.io/library/busybox:1.37"}, ["new", "old"]),
        ({"ancestor": "alpine"}, ["middle"]),
        ({"ancestor": "sha256:" + "1" * 64}, ["new", "old"]),
        ({"ancestor": "111111111111"}, ["new", "old"]),
        ({"ancestor": "busybox"}, []),
        ({"before": "new"}, ["middle", "old"]),
        ({"since": "b" * 12}, ["newest", "new"]),
        ({"network": "none"}, ["middle"]),
        ({"label": "team=x", "status": "running"}, []),
    ],
)
def test_filters(filters: dict[str, Any], expected: list[str]) -> None:
    assert names(**filters) == expected


def test_every_filter_that_is_served_is_tried() -> None:
    (mark,) = test_filters.pytestmark  # type: ignore[attr-defined]
    assert {key for case in mark.args[1] for key in case[0]} >= set(FILTERS)


@pytest.mark.parametrize(
    ("filters", "status"),
    [({"status": "x"}, 400), ({"exited": "x"}, 400), ({"before": "nothing"}, 404), ({"name": "a|b"}, 501)],
)
def test_bad_values(filters: dict[str, str], status: int) -> None:
    with pytest.raises(ApiError) as error:
        names(**filters)
    assert error.value.status == status


@pytest.mark.attack(actor=AUTHOR)
def test_no_pattern_takes_any_time() -> None:
    begun = time.monotonic()
    with pytest.raises(ApiError):
        name_like("a" * 200, "(a+)+$")
    assert time.monotonic() - begun < 1


def test_what_is_written() -> None:
    old = select(ENTRIES, ListOptions(True, 0, {"name": ("old",)}))[0]
    assert old["Status"] == "Exited (0) 3 hours ago"
    assert old["Command"] == "true"
    assert select(ENTRIES, ListOptions(False))[0]["Status"] == "Up 2 hours"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"),
        (3599, "59 minutes"), (3600, "About an hour"), (7200, "2 hours"), (86400, "24 hours"),
        (172_800, "2 days"), (1_209_600, "2 weeks"), (5_184_000, "2 months"), (63_072_000, "2 years"),
    ],
)  # fmt: skip
def test_durations(seconds: int, said: str) -> None:
    assert duration(seconds) == said
