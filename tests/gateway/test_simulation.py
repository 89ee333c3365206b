"""The simulation does what Linux and the standard library do, and the same for the same seed."""

from __future__ import annotations

import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.paths import FILES, ROOT

from .simulation import load

REAL = {"socket": socket, "select": select, "threading": threading, "time": time}
SIMULATED = load._modules()


class Machine:
    """Sockets and threads of one kind; a call's result is what it gives, or its error."""

    def __init__(self, modules: dict[str, ModuleType], directory: Path) -> None:
        self.modules: dict[str, Any] = dict(modules)
        self.path = str(directory / "socket")

    def pair(self) -> tuple[Any, Any]:
        return self.modules["socket"].socketpair()

    def listener(self) -> Any:
        sock = self.modules["socket"].socket(socket.AF_UNIX)
        sock.bind(self.path)
        sock.listen(5)
        return sock

    def client(self) -> Any:
        sock = self.modules["socket"].socket(socket.AF_UNIX)
        sock.connect(self.path)
        return sock

    def watched(self, sock: Any) -> Any:
        poll = self.modules["select"].epoll()
        poll.register(sock.fileno(), 0)
        return poll

    def hung_up(self, sock: Any) -> bool:
        poll = self.modules["select"].poll()
        poll.register(sock, 0)
        return bool(poll.poll(0))

    def later(self, work: Callable[[], object]) -> Any:
        def run() -> None:
            self.modules["time"].sleep(0.05)
            work()

        thread = self.modules["threading"].Thread(target=run, daemon=True)
        thread.start()
        return thread


def result(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Exception as error:
        return type(error)


def close_with_unread(machine: Machine) -> list[Any]:
    one, other = machine.pair()
    one.sendall(b"unread")
    other.sendall(b"read")
    other.close()
    return [result(one.recv, 9), result(one.recv, 9), result(one.recv, 9), result(one.sendall, b"x")]


def close_without_unread(machine: Machine) -> list[Any]:
    one, other = machine.pair()
    other.close()
    return [result(one.recv, 9), machine.hung_up(one), result(one.sendall, b"x"), result(other.recv, 1)]


def half_close(machine: Machine) -> list[Any]:
    one, other = machine.pair()
    one.shutdown(socket.SHUT_WR)
    found = [result(other.recv, 9), machine.hung_up(other), result(one.sendall, b"x")]
    other.sendall(b"still")
    other.shutdown(socket.SHUT_WR)
    return [*found, machine.hung_up(other), machine.hung_up(one), one.recv(9), one.recv(9)]


def shut_while_reading(machine: Machine) -> list[Any]:
    one, other = machine.pair()
    machine.later(lambda: one.shutdown(socket.SHUT_RDWR))
    return [result(one.recv, 9), result(other.recv, 9), machine.hung_up(other), result(one.sendall, b"x")]


def close_while_reading(machine: Machine) -> list[Any]:
    # The file stays open until the call returns: the other end is not told before.
    one, other = machine.pair()
    read: list[Any] = []
    reading = machine.modules["threading"].Thread(target=lambda: read.append(result(one.recv, 9)))
    reading.start()
    machine.modules["time"].sleep(0.05)
    one.close()
    found = [machine.hung_up(other), result(other.sendall, b"late")]
    reading.join()
    return [*found, *read, result(other.recv, 9)]


def time_out(machine: Machine) -> list[Any]:
    one, other = machine.pair()
    one.settimeout(0.01)
    found = [result(one.recv, 9)]
    other.sendall(b"now")
    return [*found, one.recv(2), one.recv(9)]


def listen(machine: Machine) -> list[Any]:
    sock = machine.listener()
    client = machine.client()
    other, _ = sock.accept()
    client.sendall(b"hello")
    found = [other.recv(9)]
    machine.later(lambda: sock.shutdown(socket.SHUT_RDWR))
    return [*found, result(sock.accept), result(machine.client), sock.close(), result(machine.client)]


def close_a_listener(machine: Machine) -> list[Any]:
    sock = machine.listener()
    one, other = machine.client(), machine.client()
    one.sendall(b"x")
    sock.shutdown(socket.SHUT_RDWR)
    accepted = result(sock.accept)
    sock.close()
    return [
        type(accepted),
        machine.hung_up(one),
        machine.hung_up(other),
        result(other.recv, 9),
        result(other.sendall, b"x"),
    ]


def watch(machine: Machine) -> list[Any]:
    one, other = machine.pair()
    poll = machine.watched(one)
    found = [poll.poll(0.01), result(poll.register, one.fileno(), 0)]
    other.sendall(b"x")
    found += [poll.poll(0.01)]
    number = one.fileno()
    machine.later(other.close)
    found += [[each == number for each, _ in poll.poll(5)], len(poll.poll(0.01))]
    poll.unregister(number)
    found += [poll.poll(0.01), result(poll.unregister, number)]
    poll.register(number, 0)
    one.close()
    again, _ = machine.pair()
    return [*found, poll.poll(0.01), again.fileno() == number, result(poll.unregister, number)]


def locks(machine: Machine) -> list[Any]:
    threading_, found = machine.modules["threading"], []
    lock, condition, event = threading_.Lock(), threading_.Condition(), threading_.Event()
    slots = threading_.BoundedSemaphore(1)
    found += [lock.acquire(), lock.acquire(blocking=False), lock.acquire(timeout=0.01), lock.release()]
    found += [result(lock.release), result(condition.notify_all), result(condition.wait)]
    found += [
        slots.acquire(timeout=0.01),
        slots.acquire(timeout=0.01),
        slots.release(),
        result(slots.release),
    ]
    with condition:
        found += [condition.wait(0.01), condition.wait_for(lambda: 0, 0.01)]

    def tell() -> None:
        with condition:
            found.append("told")
            condition.notify_all()
        event.set()

    with condition, condition:
        thread = machine.later(tell)
        found += [condition.wait(5)]
    found += [event.wait(5), event.is_set(), thread.join(5), thread.is_alive(), result(thread.start)]
    event.clear()
    return [*found, event.wait(0.01)]


CASES = (
    close_with_unread, close_without_unread, half_close, shut_while_reading, close_while_reading, time_out,
    listen, close_a_listener, watch, locks,
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_simulation_does_what_linux_does(case: Callable[[Machine], list[Any]], tmp_path: Path) -> None:
    assert case(Machine(SIMULATED, tmp_path)) == case(Machine(REAL, tmp_path))


def test_time_passes_when_all_wait() -> None:
    begin, before = time.monotonic(), SIMULATED["time"].monotonic()
    SIMULATED["time"].sleep(3600)
    assert SIMULATED["time"].monotonic() - before >= 3600
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("backend", ["cluster", "daemon"])
def test_a_seed_means_the_same_in_each_run(backend: str) -> None:
    command = [sys.executable, "-m", "tests.gateway.fuzz.clients", str(FILES), backend, "1", "300"]
    runs = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True) for _ in range(2)]
    counts = [re.findall(r"\d+ [a-z]+", each.stdout.split("next seed")[-1]) for each in runs]
    assert len(counts[0]) > 5, runs[0].stdout + runs[0].stderr
    assert counts[0] == counts[1]
