"""The verdict of `make soak` sees each thing that must not be."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scripts.live import ApiError
from tests.e2e.own_release import OwnRelease
from tests.soak import verdict
from tests.soak.memory import Life

MIB = 1 << 20
LAST = verdict.RETRIES + 1


@dataclass
class OneRun:
    """A release with one run of one DAG."""

    state: str
    try_number: int
    returned: str | None = None

    @property
    def airflow(self) -> OneRun:
        return self

    def runs(self, _dag_id: str) -> dict[str, str]:
        return {"a": self.state}

    def tasks(self, _dag_id: str, _run_id: str) -> list[Any]:
        return [SimpleNamespace(try_number=self.try_number)] if self.try_number else []

    def xcom(self, _task: object) -> str:
        if self.returned is None:
            raise ApiError("HTTP 404")
        return self.returned


@pytest.mark.parametrize(
    ("run", "wrong"),
    [
        (OneRun("success", 1, "the end of a"), ""),
        (OneRun("success", LAST, "the end of a\n"), ""),
        (OneRun("success", 1, "the end of b"), "false"),
        (OneRun("success", 1), "false"),
        (OneRun("failed", LAST), "spent"),
        (OneRun("failed", LAST - 1), "lost"),
        (OneRun("running", LAST), "lost"),
        (OneRun("queued", 0), "lost"),
    ],
)
def test_a_run(run: OneRun, wrong: str) -> None:
    outcome = verdict.outcomes(cast("OwnRelease", run), ["dag"])["dag"]
    counts = {"false": len(outcome.false), "lost": len(outcome.lost), "spent": outcome.spent}
    assert counts == {name: int(name == wrong) for name in counts}


def life(*mebibytes: int) -> Life:
    """Give a container that had these at one sample in 15 s each."""
    return Life("worker", [(15.0 * number, used * MIB) for number, used in enumerate(mebibytes)])


def test_memory_that_stays_higher_grows() -> None:
    assert life(*[100] * 20, *[200] * 20).grows


def test_tasks_that_come_and_go_are_no_growth() -> None:
    assert not life(*[100, 400, 300] * 14).grows
    assert not life(*[100] * 20, *[100, 400] * 10).grows


def test_a_short_life_tells_nothing() -> None:
    assert life(*[100] * 10, *[200] * 10).ends is None
