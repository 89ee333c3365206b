"""Lets each system call of the gateway fail, and kills its thread there, one place after the other.

    python -m tests.gateway.faults PACKAGE BACKEND all|some [PLACE]

PACKAGE is the directory that holds `docker_gateway`; "all" injects each of the three kinds of fault at each
place, "some" one kind at every second place.

The places are found by walking the package's code: every call of a method that a socket, a file, a poll, a
thread or the operating system has. After each fault, with real sockets and a recording daemon or API server:

1. No false success: who is told exit code 0 has the whole output.
2. No orphan: a container ends with its client, or the gateway says that it is not ready, and what is started
   in its place ends the container.
3. Unless it says so, the gateway serves the next client.

Prints the faults that broke one of them, with exit code 1, and the places that nothing reached.
"""

from __future__ import annotations

import ast
import builtins
import errno
import http.client
import importlib
import importlib.abc
import importlib.util
import os
import pathlib
import re
import resource
import select
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

PACKAGE = "docker_gateway"
#: Read before there is a thread: a fault there ends the process as it starts, with the error.
BEFORE = {"__main__", "settings"}
#: Seconds for a client, and for what has to end.
PATIENCE = float(os.environ.get("AIRDOCK_FUZZ_PATIENCE", "30"))
KINDS = ("once", "killed", "always")


def names() -> frozenset[str]:
    """Give the names of all methods that are a system call somewhere."""
    found: set[str] = {"start"}
    for kind in (socket.socket, select.epoll, type(select.poll()), http.client.HTTPConnection,
                 http.client.HTTPResponse, os, socket, select, resource):  # fmt: skip
        found |= {name for name in dir(kind) if callable(getattr(kind, name))}
    found |= {name for name in set(dir(pathlib.Path)) - set(dir(pathlib.PurePath))}
    for kind in (str, bytes, dict, list, set, re.Pattern, threading.Lock(), threading.Condition):
        found -= set(dir(kind))
    return frozenset(name for name in found if name[0] != "_")


class Places(ast.NodeTransformer):
    """Puts `__fault__(place, function)` in the place of each function that is a system call."""

    def __init__(self, module: str, wanted: frozenset[str]) -> None:
        self.module, self.wanted = module, wanted
        self.found: list[str] = []

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Attribute):
            system = isinstance(function.value, ast.Name) and function.value.id in ("os", "socket", "select")
            if not system and function.attr not in self.wanted:
                return node
        elif not (isinstance(function, ast.Name) and function.id in ("open", "print")):
            return node
        text = ast.unparse(function)
        text = text if len(text) < 40 else "..." + text[-37:]
        place = f"{self.module}:{text}"
        place += f"#{sum(each.split('#')[0] == place for each in self.found) + 1}"
        self.found.append(place)
        node.func = ast.Call(ast.Name("__fault__", ast.Load()), [ast.Constant(place), function], [])
        return node


def walk(package: Path) -> tuple[dict[str, CodeType], list[str]]:
    """Give the package's modules with places, and the places."""
    codes, places = {}, []
    for file in sorted(package.glob("*.py")):
        transformer = Places(file.stem, names())
        tree = transformer.visit(ast.parse(file.read_text()))
        codes[file.stem] = compile(ast.fix_missing_locations(tree), str(file), "exec")
        if file.stem not in BEFORE:
            places += transformer.found
    return codes, places


class Killed(SystemExit):
    """Ends a thread without a word."""


class Injector:
    """What `__fault__` does: one place fails, from its first call on."""

    def __init__(self) -> None:
        self.place, self.kind = "", ""
        self.reached: set[str] = set()
        self.struck = False

    def __call__(self, place: str, function: Callable[..., Any]) -> Callable[..., Any]:
        self.reached.add(place)
        if place != self.place or (self.struck and self.kind != "always"):
            return function
        self.struck = True
        return self.fail

    def fail(self, *_: Any, **__: Any) -> Any:
        if self.kind == "killed":
            raise Killed
        if self.place.split("#")[0].endswith(".start"):
            raise RuntimeError("can't start new thread")
        raise OSError(errno.EIO, "injected")


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules with places."""

    def __init__(self, package: Path, codes: dict[str, CodeType]) -> None:
        self.package, self.codes = package, codes

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        top, _, module = name.partition(".")
        if top != PACKAGE or (module or "__init__") not in self.codes:
            return None
        return importlib.util.spec_from_file_location(
            name, self.package / f"{module or '__init__'}.py", loader=self,
            submodule_search_locations=None if module else [str(self.package)],
        )  # fmt: skip

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.codes[module.__name__.partition(".")[2] or "__init__"], module.__dict__)


def load() -> None:
    """Load the package and what starts it in this process, with short times."""
    importlib.import_module("tests.gateway.stand_ins.gateway")
    short = {
        "cluster_cleanup": ("_TICK", 0.02), "daemon_cleanup": ("TICK", 0.02), "daemon_watch": ("PAUSE", 0.02),
        "loops": ("_RETRY", 0.02), "listener": ("_SILENT", 0.3), "cluster_ended_pods": ("_INTERVAL", 0.02),
    }  # fmt: skip
    for module, (name, value) in short.items():
        setattr(importlib.import_module(f"{PACKAGE}.{module}"), name, value)
    loops: Any = sys.modules[f"{PACKAGE}.loops"]
    loops._LONGEST_RETRY = 0.02
    importlib.import_module(f"{PACKAGE}.health_port")


def renew() -> None:
    """Replace what all gateways of a process share: a fault may have broken it."""
    shared = {f"{PACKAGE}.hangups": "Hangups", f"{PACKAGE}.loops": "Endings"}
    new: dict[int, Any] = {}
    for module in [each for name, each in sys.modules.items() if name.startswith(PACKAGE)]:
        for name, value in list(vars(module).items()):
            kind = type(value)
            if shared.get(kind.__module__) == kind.__name__:
                setattr(module, name, new.setdefault(id(value), kind()))
    for each in new.values():
        if hasattr(each, "_loop"):
            each._loop._failing = 0.3


@contextmanager
def gateways(backend: str) -> Iterator[Callable[..., Any]]:
    """Give what starts a gateway, and its health port; ends all of them."""
    renew()
    support: Any = sys.modules["tests.gateway.stand_ins.gateway"]
    port: Any = sys.modules[f"{PACKAGE}.health_port"]
    started = []

    def start(world: Any = None) -> Any:
        gateway = support.Gateway(backend, Path(tempfile.mkdtemp()), world=world)
        started.append(gateway)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            gateway.port = free.getsockname()[1]
        port.serve("127.0.0.1", gateway.port, gateway.metrics, gateway.server.ready, gateway.server.alive)
        return gateway

    try:
        yield start
    finally:
        for gateway in started:
            with suppress(Exception, SystemExit):
                gateway.close()


def task(gateway: Any, stay: bool, seconds: float) -> tuple[int | None, bytes]:
    """Do what DockerOperator does, or leave in the middle; gives exit code and output.

    It leaves after `seconds` without an answer.
    """
    clients = []
    try:
        for _ in range(2):
            clients.append(gateway.client())
            clients[-1].socket.settimeout(seconds)
        client, stream = clients
        container = client.create()
        if stream.attach(container) not in (101, 200):
            raise ConnectionError("not attached")
        before = {each.id for each in gateway.world.alive()}
        status, answer = client.ask("POST", f"/containers/{container}/start")
        if status != 204:
            raise ConnectionError(answer)
        ours = [each for each in gateway.world.alive() if each.id not in before]
        # At once: the end of a container that its client's connection outlives is no reason to stop it.
        with gateway.world.lock:
            for each in ours:
                gateway.world.run(each)
                for number in range(3):
                    gateway.world.print(each, b"line %d\n" % number)
                if stay:
                    gateway.world.exit(each, 0)
        if not stay:
            stream.socket.recv(10)
            return None, b""
        output = stream.output()
        status, answer = client.ask("POST", f"/containers/{container}/wait")
        code = answer["StatusCode"] if status == 200 else None
        client.ask("GET", f"/containers/{container}/json")
        client.ask("DELETE", f"/containers/{container}?force=1")
        return code, output
    except (OSError, KeyError, AssertionError, ValueError):
        return None, b""
    finally:
        for each in clients:
            each.close()


def healthy(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
            return b" 200 " in sock.recv(100)
    except OSError:
        return False


def until(true: Callable[[], object]) -> bool:
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def well(gateway: Any) -> bool:
    return gateway.thread.is_alive() and healthy(gateway.port)


def broken(backend: str, injector: Injector, place: str, kind: str) -> str:
    """Inject one fault; says what it broke, empty for nothing."""
    injector.place = ""
    with gateways(backend) as start:
        injector.place, injector.kind, injector.struck = place, kind, False
        world = None
        try:
            gateway = start()
        except (Exception, SystemExit):
            # The process ended as it started: the kubelet starts it again.
            injector.place = ""
            gateway = start()
        world = gateway.world
        until(lambda: not gateway.server.ready() or injector.struck)
        for stay in (False, True, False):
            code, output = task(gateway, stay, PATIENCE if kind == "once" else 2.0)
            if code == 0 and output != b"line 0\nline 1\nline 2\n":
                return f"exit code 0 with the output {output!r}"
        if not until(lambda: not world.alive() or not well(gateway)):
            return "a container has stayed, and the gateway says that it is ready"
        world.cut()
        if kind != "always":
            if not until(lambda: unwell(gateway) or (not world.alive() and well(gateway))):
                return "the gateway does not recover, and does not say that only a restart can help"
            # The first may still be hit by the connections that were cut above.
            if not unwell(gateway) and all(task(gateway, True, PATIENCE)[0] != 0 for _ in range(3)):
                return "the gateway says that it is ready, and serves nobody"
        injector.place = ""
        if world.alive():
            with suppress(Exception, SystemExit):
                gateway.server.close()
            start(world)
            if not until(lambda: not world.alive()):
                return "a container has stayed after a restart"
    return ""


def unwell(gateway: Any) -> bool:
    """Tell whether only a restart can help."""
    return not gateway.thread.is_alive() or bool(gateway.server.alive())


def main(package: str, backend: str, how: str, *wanted: str) -> int:
    """Inject all faults."""
    codes, places = walk(Path(package) / PACKAGE)
    injector = Injector()
    builtins.__fault__ = injector  # type: ignore[attr-defined]
    sys.meta_path.insert(0, Finder(Path(package) / PACKAGE, codes))
    load()
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    threading.excepthook = lambda _: None
    if problem := broken(backend, injector, "", "once"):
        print(f"without a fault: {problem}")
        return 1
    reached = [place for place in places if place in injector.reached]
    failed = 0
    begin = time.process_time()
    for number, place in enumerate(wanted or reached[:: 1 if how == "all" else 2]):
        for kind in KINDS if how == "all" else [KINDS[number % len(KINDS)]]:
            if problem := broken(backend, injector, place, kind):
                print(f"{place} {kind}: {problem}", flush=True)
                failed += 1
    other = "daemon" if backend == "cluster" else "cluster"
    missed = [p for p in places if p not in injector.reached and not p.startswith(other)]
    print(f"not reached: {' '.join(missed)}")
    print(f"{len(reached)} places, {how} faults, {time.process_time() - begin:.0f} s of CPU")
    return int(failed > 0)


if __name__ == "__main__":
    result = 1
    try:
        result = main(*sys.argv[1:])
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    sys.stdout.flush()
    # Threads that were killed may hold what the interpreter needs to end in good order.
    os._exit(result)
