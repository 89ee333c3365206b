"""Programs of containers: what is created with a command that is known here runs it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence

from .world import Task, World


def command(task: Task) -> Sequence[str]:
    """Give the command of a container or a pod."""
    spec = task.spec.get("spec")
    found = spec["containers"][0].get("args") if spec else task.spec.get("Cmd")
    return tuple(found or ())


class Programs:
    """Runs the containers of a world: `echo` prints its words, `exit` ends with a code, `cat`, `sum`, ....

    `head` ends after one line of its input; `sleep` reads nothing.
    """

    def __init__(self, world: World) -> None:
        self._world, self._seen = world, set[str]()
        self._closing = False
        self._thread = threading.Thread(target=self._watch, name="programs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._thread.join()

    def _watch(self) -> None:
        while not self._closing:
            for task in self._world.alive():
                if task.id not in self._seen:
                    self._seen.add(task.id)
                    threading.Thread(target=self._run, args=(task,), name="program", daemon=True).start()
            time.sleep(0.01)

    def _run(self, task: Task) -> None:
        self._world.run(task)
        words = command(task)
        work: dict[str, Callable[[], int]] = {
            "echo": lambda: self._print(task, words[1:]),
            "exit": lambda: int(words[1]),
            "cat": lambda: self._cat(task),
            "sum": lambda: self._sum(task),
            "head": lambda: self._head(task),
            "sleep": lambda: self._sleep(task),
        }
        code = work[words[0]]() if words else 0
        self._world.exit(task, code)

    def _print(self, task: Task, words: Sequence[str]) -> int:
        # A line for each word; the clients are attached by now.
        for word in words:
            self._world.print(task, word.encode() + b"\n")
        time.sleep(0.05)
        return 0

    def _cat(self, task: Task) -> int:
        task.input_ended.wait(20)
        for line in task.input.splitlines(keepends=True):
            self._world.print(task, line)
        time.sleep(0.05)
        return 0

    def _sum(self, task: Task) -> int:
        task.input_ended.wait(20)
        said = f"{len(task.input)} {hashlib.sha256(task.input).hexdigest()}\n"
        self._world.print(task, said.encode())
        time.sleep(0.05)
        return 0

    def _head(self, task: Task) -> int:
        while task.alive and b"\n" not in task.input:
            time.sleep(0.01)
        self._world.print(task, task.input.partition(b"\n")[0] + b"\n")
        time.sleep(0.05)
        return 0

    def _sleep(self, task: Task) -> int:
        while task.alive:
            time.sleep(0.02)
        return task.code
