"""files/scripts/autoscaler.py: how many tasks a group has, what HTTP gives of it, and when it gives nothing.

tests/api/test_autoscaler.py has what it does with the API server, tests/e2e/test_autoscaling.py the rest.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.support.own_clock import give_clock
from tests.support.paths import FILES


@pytest.fixture
def autoscaler(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FILES / "scripts"))
    import autoscaler

    module: ModuleType = autoscaler
    return module


def groups(module: ModuleType, ordered: bool = False) -> dict[str, Any]:
    return {
        "one": module.Group(["a", "b"], 4, "airdock", ordered),
        "two": module.Group(["c"], 1, "elsewhere", ordered),
    }


def worker(module: ModuleType, name: str, address: str, group: str = "one") -> Any:
    return module.Worker(name, "airdock", group, frozenset({name, address}), "0")


def test_the_demand_is_what_runs_and_waits(autoscaler: ModuleType) -> None:
    tasks = [
        autoscaler.Tasks("a", "running", "10.0.0.1", 3),
        autoscaler.Tasks("b", "restarting", "10.0.0.1", 1),
        # The host of the try before.
        autoscaler.Tasks("b", "queued", "10.0.0.2", 5),
        autoscaler.Tasks("other", "running", "10.0.0.3", 7),
    ]
    found = autoscaler.demand(groups(autoscaler), tasks, [worker(autoscaler, "w-1", "10.0.0.1")])
    assert found == {
        "one": {"running": 4, "queued": 5, "demand": 9},
        "two": {"running": 0, "queued": 0, "demand": 0},
    }
    assert dict(autoscaler.running(tasks)) == {"10.0.0.1": 4, "10.0.0.3": 7}


@pytest.mark.parametrize(
    ("busy", "demand"), [((), 0), ((0,), 4), ((2,), 12), ((0, 1), 8), ((10,), 44)], ids=str
)
def test_a_stateful_set_keeps_its_last_busy_pod(
    autoscaler: ModuleType, busy: tuple[int, ...], demand: int
) -> None:
    """It removes its last pod first: a task of its third one needs room for three."""
    workers = [worker(autoscaler, f"airdock-worker-one-{number}", f"10.0.0.{number}") for number in range(12)]
    tasks = [autoscaler.Tasks("a", "running", f"10.0.0.{number}", 1) for number in busy]
    found = autoscaler.demand(groups(autoscaler, ordered=True), tasks, workers)
    assert found["one"] == {"running": len(busy), "queued": 0, "demand": demand}
    found = autoscaler.demand(groups(autoscaler), tasks, workers)
    assert found["one"]["demand"] == len(busy)


def test_more_tasks_than_kept_pods_have_room_for(autoscaler: ModuleType) -> None:
    tasks = [autoscaler.Tasks("a", "running", "10.0.0.1", 1), autoscaler.Tasks("a", "queued", "", 30)]
    workers = [worker(autoscaler, "airdock-worker-one-1", "10.0.0.1")]
    assert autoscaler.demand(groups(autoscaler, ordered=True), tasks, workers)["one"]["demand"] == 31


@pytest.fixture
def served(autoscaler: ModuleType) -> Iterator[tuple[Any, str]]:
    """The counts, and the URL of their server."""
    counts = autoscaler.Counts()
    with autoscaler.serve(counts, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield counts, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def get(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_http_gives_counts_and_nothing_else(served: tuple[Any, str]) -> None:
    counts, url = served
    found = {"one": {"running": 1, "queued": 0, "demand": 1}}
    counts.set(found)
    code, text = get(f"{url}/demand")
    assert (code, json.loads(text)) == (200, found)
    assert get(f"{url}/health") == (200, "{}")
    for path in ("/", "/demand/", "/demand?x=/etc/passwd", "/../etc/passwd", "/metrics"):
        assert get(url + path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert get(f"{url}/demand", method)[0] == 501, method


def test_a_count_that_is_too_old_is_an_error(
    autoscaler: ModuleType, served: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """KEDA leaves the number of pods alone then; of a demand of 0 it would remove all."""
    counts, url = served
    assert get(f"{url}/demand")[0] == 503, "before the first count"
    now = time.monotonic()
    give_clock(monkeypatch, autoscaler, monotonic=lambda: now)
    counts.set({"one": {"demand": 1}})
    now += autoscaler.STALE - 1
    counts.set(None)
    assert get(f"{url}/demand")[0] == 200
    now += 2
    assert get(f"{url}/demand")[0] == 503
    # A database that is away is no fault of this pod. One look that never ends is.
    assert get(f"{url}/health")[0] == 200
    now += autoscaler.STUCK
    assert get(f"{url}/health")[0] == 503
