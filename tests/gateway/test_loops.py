"""The gateway's own threads: what could not begin, or failed, is tried again, and liveness knows."""

from __future__ import annotations

import ast
import gc
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker_gateway import (
    cluster_cleanup,
    cluster_container,
    cluster_creation,
    cluster_pods,
    daemon_cleanup,
    loops,
    server,
    wire,
)
from docker_gateway.backend import ApiError
from docker_gateway.cluster_api import ApiStatus
from docker_gateway.hangups import Hangups
from docker_gateway.loops import Endings, Loop
from docker_gateway.model import Create

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.gateway import BACKENDS, running
from tests.support.own_clock import give_clock
from tests.support.paths import GATEWAY
from tests.support.waiting import wait_until

PATIENCE = 20


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_cleanup, "_TICK", 0.02)
    monkeypatch.setattr(daemon_cleanup, "TICK", 0.02)
    monkeypatch.setattr(loops, "_RETRY", 0.01)
    monkeypatch.setattr(loops, "_LONGEST_RETRY", 0.01)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Let the next `count` threads of a name fail to start."""
    left: dict[str, int] = {}
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if left.get(thread.name, 0):
            left[thread.name] -= 1
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return left.__setitem__


# ---- loops


def test_a_loop_is_well_from_its_start_on() -> None:
    """A thread has an identity some time before it counts as alive."""
    loop = Loop("x", lambda: None, lambda: 60.0)
    thread, told = loop._thread, []
    alive = thread._started.set  # type: ignore[attr-defined]

    def set_started() -> None:
        told.append(loop.problem())
        alive()

    thread._started.set = set_started  # type: ignore[attr-defined]
    loop.start()
    loop.closing = True
    assert told == [""]


def test_a_loop_of_which_each_step_fails_says_so() -> None:
    failing = True

    def step() -> None:
        if failing:
            raise OSError("injected")

    loop = Loop("x", step, lambda: 0.01, failing=0.1)
    loop.start()
    assert "fails" in wait_until(loop.problem, PATIENCE, "the problem is told", 0.01)
    failing = False
    wait_until(lambda: not loop.problem(), PATIENCE, "it has recovered", 0.01)
    loop.closing = True


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_has_ended_says_so() -> None:
    def step() -> None:
        raise SystemExit

    loop = Loop("x", step)
    loop.start()
    assert "has ended" in wait_until(loop.problem, PATIENCE, "the problem is told", 0.01)


#: Loops that wait for others without an end: why their silence says nothing.
SILENT = {
    "listen": "a daemon says nothing while nothing happens; the cleanup's requests notice one that hangs"
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_liveness_knows_that_a_loop_has_ended_or_hangs(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [each for each in gc.get_objects() if isinstance(each, Loop)]
    hangups = Hangups()
    monkeypatch.setattr(server, "HANGUPS", hangups)
    monkeypatch.setattr(wire, "HANGUPS", hangups)
    with running(backend, tmp_path) as gateway:
        wait_until(lambda: not gateway.server.ready(), PATIENCE, "ready", 0.01)
        client = gateway.attached()[0]
        every = [each for each in gc.get_objects() if isinstance(each, Loop)]
        found = [
            each for each in every if all(each is not old for old in before) and each._name not in UNASKED
        ]
        assert {each._name for each in found} == {
            name for name, where in LOOPS.items() if where in (backend, "")
        }
        ended = threading.Thread()
        ended.start()
        ended.join()
        for loop in found:
            thread, loop._thread = loop._thread, ended
            for ask in (gateway.server.alive, gateway.server.ready):
                assert f"{loop._name} has ended" in ask()
            loop._thread = thread
            with monkeypatch.context() as later:  # Its beats come between; one that hangs has none.
                give_clock(later, loops, monotonic=lambda: time.monotonic() + 1e5)
                said = loop.problem()
            assert (f"{loop._name} has been silent" in said) == (loop._name not in SILENT)
        client.close()


#: The threads that must live, and the backend that has them.
LOOPS = {
    "hangups": "",
    "watch": "cluster",
    "create": "cluster",
    "collect": "",
    "listen": "daemon",
    "storage": "daemon",
}
#: Loops that liveness does not ask, with the reason.
UNASKED = {"fence": "only the metric fence_missing depends on it"}
#: All other threads: what happens if one ends.
THREADS = {
    "__main__ serve": "the gateway ends, and the kubelet starts it again",
    "cluster_input input": "one container's input is lost, so the gateway ends the container",
    "cluster_logs Timer": "the log of one request goes on after its `until`",
    "cluster_replacement replace": "the next look at its container begins another one",
    "daemon_cleanup remove": "one of 32 as the gateway ends; the next gateway's cleanup sees to what is left",
    "daemon_output input": "the input of one container ends",
    "health_port health": "the kubelet gets no answer, and restarts the gateway",
    "listener self._name": "one connection ends",
    "loops end": "its container is due again at once, and noted as not ended",
    "loops name": "the thread of each loop",
}


def test_every_thread_is_decided() -> None:
    """A thread or loop that the code gains fails here until somebody says what notices its end."""
    begun: set[str] = set()
    loops_: set[str] = set()
    for file in sorted(GATEWAY.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            what = ast.unparse(node.func).rpartition(".")[2]
            names = {each.arg: ast.unparse(each.value).strip("'") for each in node.keywords}
            if what == "Loop":
                loops_.add(ast.literal_eval(node.args[0]))
            elif what in ("Thread", "Timer", "start_new_thread", "ThreadPoolExecutor", "Process", "fork"):
                begun.add(f"{file.stem} {names.get('name', what)}")
    assert loops_ == {*LOOPS, *UNASKED}
    assert begun == THREADS.keys()


def test_a_thread_for_hangups_that_could_not_start_is_tried_again(
    no_threads: Callable[[str, int], None],
) -> None:
    no_threads("hangups", 1)
    hangups, called = Hangups(), threading.Event()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(RuntimeError, match="new thread"):
            hangups.watch(ours, called.set)
        hangups.watch(ours, called.set)
        theirs.close()
        assert called.wait(20)
    hangups._loop.closing = True


# ---- containers that end


class Container:
    id, end_due, end_error = "c0ffee" * 10, 0.0, ""

    def names(self) -> dict[str, Any]:
        return {"container": self.id[:12]}


def fail() -> bool:
    raise ApiError(500, "injected")


def die() -> bool:
    raise SystemExit


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("work", [fail, die])
def test_what_fails_to_end_is_due_at_once(work: Callable[[], bool]) -> None:
    endings, container = Endings(), Container()
    # The place of each is free again.
    for _ in range(2 * loops._ENDINGS):
        endings.end(container, 60.0, work)
        wait_until(lambda: container.end_error, PATIENCE, "the error is noted", 0.001)
        assert 0 < container.end_due <= time.monotonic()
        container.end_error = ""


def test_what_ends_is_due_later() -> None:
    endings, container = Endings(), Container()
    container.end_error = "of before"
    endings.end(container, 60.0, lambda: False)
    endings.finish(20.0)
    assert container.end_due > time.monotonic() + 50
    assert container.end_error == ""


def test_what_has_ended_is_not_due_unless_it_was_ended_again() -> None:
    """A stop that came before the start ends nothing: the one after it counts, also if it fails at first."""
    endings, container, slow = Endings(), Container(), threading.Event()
    endings.end(container, 60.0, lambda: True)
    wait_until(lambda: container.end_due == float("inf"), PATIENCE, "it has ended", 0.001)
    endings.end(container, 60.0, slow.wait)
    endings.end(container, 60.0, fail)
    wait_until(lambda: container.end_error, PATIENCE, "the error is noted", 0.001)
    slow.set()
    endings.finish(PATIENCE)
    assert container.end_due <= time.monotonic()


def test_what_has_no_thread_is_due_at_once(no_threads: Callable[[str, int], None]) -> None:
    endings, container = Endings(), Container()
    no_threads("end", 2 * loops._ENDINGS)
    for _ in range(2 * loops._ENDINGS):
        endings.end(container, 60.0, lambda: False)
        assert container.end_due == 0.0
        assert "new thread" in container.end_error
    endings.end(container, 60.0, lambda: False)
    assert container.end_due > 0


def test_what_finds_no_place_is_due_at_once() -> None:
    endings, container, full = Endings(), Container(), threading.Event()
    for _ in range(loops._ENDINGS):
        endings.end(container, 60.0, full.wait)
        assert container.end_due > 0
    endings.end(container, 60.0, lambda: False)
    assert container.end_due == 0.0
    full.set()
    endings.finish(20.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_container_that_cannot_be_ended_makes_the_gateway_unready(
    backend: str, tmp_path: Path, no_threads: Callable[[str, int], None]
) -> None:
    with running(backend, tmp_path) as gateway:
        wait_until(lambda: not gateway.server.ready(), PATIENCE, "ready", 0.01)
        client = gateway.attached()[0]
        no_threads("end", 10**6)
        client.close()
        assert "cannot be ended" in wait_until(gateway.server.ready, PATIENCE, "the problem is told", 0.01)
        assert gateway.world.alive()
        no_threads("end", 0)
        wait_until(lambda: not gateway.world.alive(), PATIENCE, "the container has ended", 0.01)
        wait_until(lambda: not gateway.server.ready(), PATIENCE, "ready", 0.01)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_container_that_never_began_is_no_lasting_problem(
    backend: str, tmp_path: Path, no_threads: Callable[[str, int], None]
) -> None:
    with running(backend, tmp_path) as gateway:
        wait_until(lambda: not gateway.server.ready(), PATIENCE, "ready", 0.01)
        client = gateway.client()
        client.attach(client.create())
        no_threads("end", 1)
        client.close()
        (container,) = gateway.backend.containers.all()
        wait_until(lambda: container.fate, PATIENCE, "its client has left", 0.01)
        wait_until(lambda: not gateway.server.ready(), PATIENCE, "ready", 0.01)


def test_a_pod_that_comes_after_its_deletion_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to its creation was lost, and it could not be found yet when it was deleted."""
    monkeypatch.setattr(cluster_creation, "_PATIENCE", 0.0)
    with running("cluster", tmp_path, direct=True, create_timeout_seconds=0) as gateway:
        world = gateway.world
        assert isinstance(world, ClusterWorld)
        wait_until(lambda: not gateway.server.ready(), PATIENCE, "ready", 0.01)
        client = gateway.client()
        container = client.create()
        manifest: dict[str, Any] = {}
        handle = world.handle

        def lose(method: str, path: str, query: dict[str, str], body: Any) -> Any:
            if method == "POST" and path.endswith("/pods"):
                manifest.update(body)
                raise ApiStatus(0, "Unreachable", "injected")
            return handle(method, path, query, body)

        monkeypatch.setattr(world, "handle", lose)
        assert client.ask("POST", f"/containers/{container}/start")[0] == 204
        assert "injected" in client.ask("POST", f"/containers/{container}/wait")[1]["message"]
        found = gateway.backend.containers.get(container)
        wait_until(lambda: found and found.gone, PATIENCE, "the deletion found nothing", 0.01)  # type: ignore[union-attr]
        world.add(manifest)
        wait_until(lambda: not world.alive(), PATIENCE, "the pod has ended", 0.01)


def test_a_deletion_that_was_answered_before_the_pod_came_does_not_count() -> None:
    container = cluster_container.Container("c0ffee" * 10, Create(image="a"), "p", begun=1.0)

    class Api:
        def request(self, *_: Any) -> None:
            # By now `start` has got its answer.
            container.uid = "u"
            raise ApiStatus(404, "NotFound", "")

    pods = cluster_pods.Pods(Api(), "tasks")  # type: ignore[arg-type]
    pods.delete(container, "its client left", 1)
    pods.deletions.finish(PATIENCE)
    assert not container.gone
    assert container.end_due <= time.monotonic()


def test_a_container_of_a_former_life_is_stopped_until_it_has_ended(
    tmp_path: Path, no_threads: Callable[[str, int], None]
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running("daemon", tmp_path / "first") as gateway:
        wait_until(lambda: not gateway.server.ready(), PATIENCE, "ready", 0.01)
        client = gateway.attached()[0]
        no_threads("end", 1)
        with running("daemon", tmp_path / "second", world=gateway.world):
            wait_until(lambda: not gateway.world.alive(), PATIENCE, "the container has ended", 0.01)
        client.close()
