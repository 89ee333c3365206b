"""files/scripts/ship_logs.py: which logs are uploaded, and that none is removed that was not."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from types import ModuleType

import pytest

from scripts.chart import CHART
from tests.scripts.test_groom_logs import written
from tests.support.chart_modules import load_module
from tests.support.own_clock import give_clock

SCRIPT = CHART / "files" / "scripts" / "ship_logs.py"
RUN = "dag_id=a/run_id=b/task_id=c"


class Store:
    """Takes logs as Airflow's handlers for S3, GCS and Azure do: with all that is beside them."""

    def __init__(self, base_log_folder: Path, works: bool = True):
        self.base_log_folder, self.works = base_log_folder, works
        self.taken: dict[str, str] = {}

    def upload(self, path: str, _task: object) -> None:
        if self.works:
            # Airflow appends.
            self.taken[path] = self.taken.get(path, "") + (self.base_log_folder / path).read_text()
            shutil.rmtree((self.base_log_folder / path).parent)


@pytest.fixture
def shipper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_module(SCRIPT)
    monkeypatch.setattr(module, "LOGS", tmp_path)
    monkeypatch.setattr(module, "PARCEL", tmp_path / ".parcel")
    return module


def log(top: Path, name: str, age: float = 60) -> Path:
    path = top / RUN / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def ship(shipper: ModuleType, store: Store) -> bool:
    return bool(shipper.upload_all(shipper.QUIET, store))


def test_a_log_that_nobody_writes_is_uploaded_and_goes(shipper: ModuleType, tmp_path: Path) -> None:
    path, store = log(tmp_path, "attempt=1.log"), Store(shipper.PARCEL)
    assert ship(shipper, store)
    assert store.taken == {f"{RUN}/attempt=1.log": "attempt=1.log"}
    assert not path.exists()


def test_the_logs_beside_it_stay(shipper: ModuleType, tmp_path: Path) -> None:
    """Airflow removes the directory of what it has uploaded."""
    log(tmp_path, "attempt=1.log")
    running, store = log(tmp_path, "attempt=2.log"), Store(shipper.PARCEL)
    with written(running):
        assert ship(shipper, store)
    assert list(store.taken) == [f"{RUN}/attempt=1.log"]
    assert running.exists()


def test_one_that_airflow_empties_is_uploaded(shipper: ModuleType, tmp_path: Path) -> None:
    """Airflow does so with delete_local_logs = False."""

    class Emptying(Store):
        def upload(self, path: str, _task: object) -> None:
            (self.base_log_folder / path).write_text("")

    path = log(tmp_path, "attempt=1.log")
    assert ship(shipper, Emptying(shipper.PARCEL))
    assert not path.exists()


def test_a_silent_task_keeps_its_log(shipper: ModuleType, tmp_path: Path) -> None:
    path, store = log(tmp_path, "attempt=1.log"), Store(shipper.PARCEL)
    with written(path):
        assert ship(shipper, store)
        assert path.exists()
    assert ship(shipper, store)
    assert not path.exists()


def test_a_log_that_could_not_be_uploaded_stays(shipper: ModuleType, tmp_path: Path) -> None:
    path, store = log(tmp_path, "attempt=1.log"), Store(shipper.PARCEL, works=False)
    assert not ship(shipper, store)
    assert path.read_text() == "attempt=1.log"
    store.works = True
    assert ship(shipper, store)
    assert not path.exists()


def test_one_that_fails_does_not_keep_the_others(shipper: ModuleType, tmp_path: Path) -> None:
    class OnlySecond(Store):
        def upload(self, path: str, task: object) -> None:
            if path.endswith("1.log"):
                raise OSError("no answer")
            super().upload(path, task)

    first = log(tmp_path, "attempt=1.log")
    log(tmp_path, "attempt=2.log")
    store = OnlySecond(shipper.PARCEL)
    assert not ship(shipper, store)
    assert list(store.taken) == [f"{RUN}/attempt=2.log"]
    assert first.exists()


def test_a_young_log_waits_until_the_pod_ends(shipper: ModuleType, tmp_path: Path) -> None:
    log(tmp_path, "attempt=1.log", age=1)
    assert not list(shipper.left_over(shipper.QUIET))
    assert len(list(shipper.left_over(0))) == 1


def test_what_is_no_file_is_left_alone(shipper: ModuleType, tmp_path: Path) -> None:
    """A task can put anything there; a pipe would block whoever opens it."""
    outside = log(tmp_path / "outside", "attempt=1.log")
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "attempt=1.log").symlink_to(outside)
    os.mkfifo(tmp_path / RUN / "attempt=2.log")
    (tmp_path / RUN / "attempt=3.log").touch()
    assert not list(shipper.left_over(0))


def test_what_a_running_task_has_printed_is_uploaded_early(shipper: ModuleType, tmp_path: Path) -> None:
    """In whole lines: the store gets the rest when the task was killed."""
    path, store = log(tmp_path, "attempt=1.log"), Store(shipper.PARCEL)
    with written(path):
        path.write_text("one\ntw")
        sent = shipper.upload_beginnings(store)
        assert store.taken == {f"{RUN}/attempt=1.log": "one\n"}
        path.write_text("one\ntwo\nthree")
        assert shipper.upload_all(0, store, sent)
        assert path.exists()
    assert shipper.upload_all(0, store, sent)
    assert store.taken == {f"{RUN}/attempt=1.log": "one\ntwo\nthree"}
    assert not path.exists()


def test_a_killed_task_that_printed_nothing_more(shipper: ModuleType, tmp_path: Path) -> None:
    path, store = log(tmp_path, "attempt=1.log"), Store(shipper.PARCEL)
    path.write_text("one\n")
    sent = shipper.upload_beginnings(store)
    assert shipper.upload_all(0, store, sent)
    assert store.taken == {f"{RUN}/attempt=1.log": "one\n"}
    assert not path.exists()


def test_a_beginning_that_was_not_uploaded_comes_with_the_rest(shipper: ModuleType, tmp_path: Path) -> None:
    log(tmp_path, "attempt=1.log").write_text("one\n")
    store = Store(shipper.PARCEL, works=False)
    assert shipper.upload_beginnings(store) == {}
    store.works = True
    assert shipper.upload_all(0, store, {})
    assert store.taken == {f"{RUN}/attempt=1.log": "one\n"}


def test_the_whole_way_of_a_pod_that_is_deleted(
    shipper: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginning goes while the task still runs, and the signal brings the rest."""
    path, store = log(tmp_path, "attempt=1.log"), Store(shipper.PARCEL)
    path.write_text("one\n")
    steps = iter(range(100))

    def sleep(_seconds: float) -> None:
        step = next(steps)
        if step == 0:
            shipper.ENDING.touch()
            os.utime(shipper.ENDING, (time.time() - 20, time.time() - 20))
        elif store.taken and len(path.read_text()) == 4:
            assert store.taken == {f"{RUN}/attempt=1.log": "one\n"}
            path.write_text("one\ntwo\n")
            signal.raise_signal(signal.SIGTERM)

    for name in ("ENDING", "ROUND"):
        monkeypatch.setattr(shipper, name, tmp_path / name)
    monkeypatch.setattr(shipper, "load", lambda: store)
    monkeypatch.setattr(shipper, "upload_apart", lambda _quiet: pytest.fail("it does not know what was sent"))
    monkeypatch.setattr(shipper, "QUIET", 3600)
    give_clock(monkeypatch, shipper, sleep=sleep)
    before = signal.getsignal(signal.SIGTERM)
    try:
        shipper.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert store.taken == {f"{RUN}/attempt=1.log": "one\ntwo\n"}
