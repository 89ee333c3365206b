"""Events that are kept: the last ones, none of them large, in order and once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from docker_gateway.backend import EventOptions
from docker_gateway.events import Events

from tests.support.attacks import AUTHOR


def add(events: Events, number: int, **labels: str) -> None:
    events.add("start", f"{number:064x}", f"c{number}", "busybox", labels)


def past(events: Events) -> list[dict[str, Any]]:
    return list(events.read(EventOptions(since=1, until=time.time_ns()), bool))


def test_the_last_ones_are_kept() -> None:
    events = Events()
    for number in range(1200):
        add(events, number)
    found = past(events)
    assert [int(each["id"], 16) for each in found] == list(range(200, 1200))


@pytest.mark.attack(actor=AUTHOR)
def test_large_labels_are_not_kept() -> None:
    events = Events()
    add(events, 1, team="x")
    add(events, 2, team="x" * 100_000)
    small, large = (each["Actor"]["Attributes"] for each in past(events))
    assert small["team"] == "x"
    assert "team" not in large


def test_those_to_come_are_waited_for() -> None:
    events, heard, left = Events(), list[str](), threading.Event()
    add(events, 1)

    def listen() -> None:
        for each in events.read(EventOptions(), left.is_set):
            heard.append(each["id"][-1])
            if len(heard) == 3:
                return

    thread = threading.Thread(target=listen)
    thread.start()
    time.sleep(0.1)
    for number in (2, 3, 4):
        add(events, number)
    thread.join(10)
    assert heard == ["2", "3", "4"]


def test_until_ends_it() -> None:
    begun = time.monotonic()
    assert list(Events().read(EventOptions(until=time.time_ns() + 300_000_000), bool)) == []
    assert 0.2 < time.monotonic() - begun < 5


def test_the_clients_leaving_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docker_gateway.events._LOOK", 0.1)
    assert list(Events().read(EventOptions(), lambda: True)) == []
