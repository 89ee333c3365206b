"""Round after round of clients of one gateway, until its end is part of a round; then of the next one."""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker_gateway import cluster_cleanup, cluster_output, daemon_cleanup, daemon_watch, loops, server

from tests.gateway.simulation import threads
from tests.gateway.simulation.load import real_time
from tests.gateway.stand_ins.gateway import running

from .deeds import Clock, until
from .ends import Round

#: Deeds of a round; many find nothing to do, and are no steps.
ROUND = 100
#: Seconds between two lines about the number of steps.
PROGRESS = 60.0
SIMULATED = threading.Thread is threads.Thread  # type: ignore[comparison-overlap]


def prepare(package: str) -> None:
    """Silence the package's log; with real threads, shorten the times that it waits."""
    assert Path(package).resolve() in Path(str(server.__file__)).resolve().parents, "another package"
    for name, module in list(sys.modules.items()):
        if name.startswith("docker_gateway.") and hasattr(module, "log"):
            module.log = lambda *_, **__: None  # type: ignore[attr-defined]
    if not SIMULATED:
        Clock.patience, Clock.look, Clock.second = 60.0, 0.02, 0.001
        cluster_cleanup._TICK = daemon_cleanup.TICK = loops._RETRY = daemon_watch.PAUSE = 0.005
        cluster_output.LATE_OUTPUT, cluster_output.END_AGREES = 0.001, 0.05


@contextmanager
def serving(backend: str, world: Any = None) -> Iterator[Any]:
    """Give a gateway that is ready, and knows its `loops`, and the threads `before` it."""
    before = set(threading.enumerate())
    with (
        tempfile.TemporaryDirectory() as directory,
        running(backend, Path(directory), direct=True, world=world) as gateway,
    ):
        parts = [*vars(gateway.backend).values(), gateway.backend]
        gateway.before = before  # type: ignore[attr-defined]
        gateway.loops = [each.loop for each in parts if hasattr(each, "loop")]  # type: ignore[attr-defined]
        until(lambda: not gateway.server.ready(), gateway.server.ready)
        yield gateway
    gateway.world.cut()


def decide(number: int, package: str) -> None:
    """Decide how threads interleave: often or not, by rank or not; without greenlets, in some at any line."""
    if SIMULATED:
        scheduler, pick = threads.SCHEDULER, random.Random(f"threads {number}")
        scheduler.random.seed(number)
        scheduler.mean = pick.choice((1.0, 4.0, 4.0, 20.0))
        scheduler.ranked = pick.random() < 0.25
        lines = not threads.greenlet and pick.random() < 0.05
        scheduler.traced = str(Path(package) / "docker_gateway") if lines else ""


def search(package: str, backend: str, number: int, steps: int, deadline: float) -> int:
    """Run rounds until all steps are done, or the real time is up; 1 if something was found."""
    prepare(package)
    done: Counter[str] = Counter()
    world = None
    begin = said = now = real_time()

    def more() -> bool:
        return done.total() < steps and now < deadline

    def figures() -> str:
        return f"{backend}: {done.total()} steps in {now - begin:.0f} s, {done.total() / (now - begin):.0f}/s"

    while more():
        decide(number, package)
        with serving(backend, world) as gateway:
            world = gateway.world
            while more() and not gateway.closed:
                each = Round(gateway, random.Random(number))
                decide(number, package)
                behave(world, each, random.Random(number))
                try:
                    for _ in range(ROUND):
                        each.step()
                    each.finish()
                except (AssertionError, OSError, threads.Hang) as error:
                    print(
                        f"seed {number}: {type(error).__name__} {error}", *each.deeds, *stacks(), sep="\n  "
                    )
                    print(f"{done.total() + each.steps.total()} steps until then")
                    return 1
                done += each.steps
                number += 1
                now = real_time()
                if now - said > PROGRESS:
                    said = now
                    print(f"{figures()}, nothing found", flush=True)
    print(f"{figures()}, nothing found; next seed {number}")
    print(f"{backend}:", ", ".join(f"{count} {kind}" for kind, count in done.most_common()), flush=True)
    return 0


def behave(world: Any, each: Round, chance: random.Random) -> None:
    """Let requests to the world take their time, and some fail; let containers end as they like."""

    often = chance.choice((0.02, 0.05, 0.2))

    def pause() -> None:
        if (kind := chance.random()) < often:
            time.sleep(chance.random() * (0.002 if kind < often * 0.8 or not SIMULATED else 3.0))

    world.pause = pause
    world.failing = lambda: each.failing and chance.random() < 0.03
    world.term_code, world.lingering = each.pick.choice((0, 143)), each.pick.random() < 0.5
    world.ended = []


def stacks() -> Iterator[str]:
    """Say what each connection does."""
    for thread in threading.enumerate():
        frames = sys._current_frames()
        frame = thread.carrier.frame() if SIMULATED else frames.get(thread.ident or 0)  # type: ignore[attr-defined]
        if thread.name == "connection" and frame:
            where = [f"{each.name}:{each.lineno}" for each in traceback.extract_stack(frame)]
            yield "connection in " + " ".join(where[3:])
