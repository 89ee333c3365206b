"""files/scripts/groom_logs.py: what goes, what stays, and that no file which a process writes is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from scripts.chart import CHART
from tests.support.chart_modules import load_module

SCRIPT = CHART / "files" / "scripts" / "groom_logs.py"
NOW = time.time()
DAY = 86400
KIB = 1024


@pytest.fixture(scope="module")
def groomer() -> ModuleType:
    return load_module(SCRIPT)


def log(top: Path, name: str, age: float, kib: int = 4) -> Path:
    """Write a log file of some age in days."""
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * kib * KIB)
    os.utime(path, (NOW - age * DAY, NOW - age * DAY))
    return path


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Have another process write a file, in silence."""
    script = "import sys; f = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield
        process.communicate()


def groom(module: ModuleType, top: Path, days: float = 15, kib: int = 0, shared: bool = False) -> list[str]:
    """Groom once; give the files that are left."""
    module.groom(top, module.Retention(days, kib * KIB, shared), NOW)
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())


def test_files_of_an_age_go(groomer: ModuleType, tmp_path: Path) -> None:
    log(tmp_path, "dag/old.log", 16)
    log(tmp_path, "dag/young.log", 14)
    assert groom(groomer, tmp_path) == ["dag/young.log"]


def test_the_oldest_go_until_the_rest_is_small_enough(groomer: ModuleType, tmp_path: Path) -> None:
    for age in (3, 1, 2, 0):
        log(tmp_path, f"{age}.log", age, kib=100)
    assert groom(groomer, tmp_path, kib=250) == ["0.log", "1.log"]


def test_what_it_tells(groomer: ModuleType, tmp_path: Path) -> None:
    log(tmp_path, "a.log", 16, kib=8)
    log(tmp_path, "b.log", 1, kib=4)
    assert groomer.groom(tmp_path, groomer.Retention(15, 0, False), NOW) == (1, 8 * KIB, 4 * KIB)


@pytest.mark.parametrize("reason", ["old", "large"])
def test_a_file_that_a_silent_process_writes_stays(groomer: ModuleType, tmp_path: Path, reason: str) -> None:
    running = log(tmp_path, "running.log", 20 if reason == "old" else 2, kib=100)
    log(tmp_path, "ended.log", 1, kib=100)
    kib = 0 if reason == "old" else 50
    with written(running):
        assert "running.log" in groom(groomer, tmp_path, kib=kib)
    # Then nobody writes it: what kept it was the other process.
    assert groom(groomer, tmp_path, kib=kib) == (["ended.log"] if reason == "old" else [])


def test_a_reader_keeps_nothing(groomer: ModuleType, tmp_path: Path) -> None:
    path = log(tmp_path, "a.log", 20)
    with path.open("rb"):
        assert groom(groomer, tmp_path) == []


def test_links_are_not_followed(groomer: ModuleType, tmp_path: Path) -> None:
    outside = log(tmp_path, "outside/old.log", 20)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "directory").symlink_to(outside.parent)
    (logs / "file.log").symlink_to(outside)
    groom(groomer, logs)
    assert outside.exists()


def test_empty_directories_go_after_a_day(groomer: ModuleType, tmp_path: Path) -> None:
    for name, age in (("old", 2), ("new", 0)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (NOW - age * DAY, NOW - age * DAY))
    log(tmp_path, "used/a.log", 1)
    os.utime(tmp_path / "used", (NOW - 2 * DAY, NOW - 2 * DAY))
    groom(groomer, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "used"]


def test_in_a_shared_directory_the_last_day_stays(groomer: ModuleType, tmp_path: Path) -> None:
    """Processes of other nodes may write there, which no lease tells."""
    log(tmp_path, "old.log", 2, kib=100)
    log(tmp_path, "young.log", 0.5, kib=100)
    assert groom(groomer, tmp_path, kib=10, shared=True) == ["young.log"]


@contextmanager
def process(top: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run the script on a directory of its own."""
    start = (
        f"import groom_logs, pathlib; groom_logs.LOGS = pathlib.Path({str(top)!r}); "
        f"groom_logs.ROUND = pathlib.Path({str(top)!r} + '-round'); groom_logs.main()"
    )
    environment = {"AIRDOCK_LOGS_DAYS": "15", "AIRDOCK_LOGS_MAX_BYTES": "0", **variables}
    command = [sys.executable, "-c", start]
    with subprocess.Popen(
        command, cwd=SCRIPT.parent, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_it_ends_at_once_when_the_pod_does(groomer: ModuleType, tmp_path: Path) -> None:
    log(tmp_path, "old.log", 20)
    with process(tmp_path) as running:
        assert running.stdout
        assert running.stdout.readline() == "Removed 1 log files with 4 KiB. 0 KiB are left.\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0


def test_it_says_when_what_is_written_is_too_much(groomer: ModuleType, tmp_path: Path) -> None:
    running = log(tmp_path, "running.log", 1, kib=100)
    with written(running), process(tmp_path, AIRDOCK_LOGS_MAX_BYTES="51200") as groomer_process:
        assert groomer_process.stdout
        assert "Set a larger logs.sizeLimit" in groomer_process.stdout.readline()


def test_one_groomer_works_in_a_shared_directory(tmp_path: Path) -> None:
    log(tmp_path, "for the first.log", 20)
    with process(tmp_path, AIRDOCK_LOGS_SHARED="true") as first:
        assert first.stdout
        assert first.stdout.readline().startswith("Removed 1")
        # The first one looks again after some seconds, a second one at once.
        log(tmp_path, "for the second.log", 20)
        with process(tmp_path, AIRDOCK_LOGS_SHARED="true") as second:
            time.sleep(2)
            assert second.poll() is None
            assert (tmp_path / "for the second.log").exists()
