"""Child processes without the memory of the process that starts them. Standard library only.

A forked child has a copy of its parent's memory and environment. A fork server is a process that was started
without the parent's secrets, and forks instead of the parent:

* `start` starts it, before the parent reads secrets, with the environment that children may have.
* In the parent's forked child, `fork` asks it for another child, hands over the open sockets, and lives on as
  the stand-in for that child: it forwards signals and ends as the child ends. It runs nothing else.
* `prepare` lets it do what all later children are to have, such as an import.
* `serve` is the fork server itself.

`protect` keeps other processes of the same uid from reading the memory and environment of the calling one.
`confine` keeps the calling process from reading those of any other. Both are for Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

#: Bytes of a request: what to run, in the words of the caller.
_LONGEST = 64 * 1024
_STATUS = struct.Struct("i")
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
_libc = ctypes.CDLL(None, use_errno=True)

# From linux/prctl.h and linux/landlock.h. The system calls have these numbers on every architecture.
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_WRITE_FILE, _MAKE_BLOCK, _REFER, _TRUNCATE, _SCOPE_SIGNAL = 1 << 1, 1 << 11, 1 << 13, 1 << 14, 1 << 1
#: To write files, and to remove and create entries of all kinds.
_WRITE = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))


def protect() -> None:
    """Keep processes of the same uid out of this one's memory, environment and file descriptors.

    A forked child inherits it, a program that is executed does not.
    """
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def unconfined() -> str:
    """Give the reason why `confine` cannot work here, "" if it can."""
    abi = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return "" if abi > 0 else f"Landlock is not available: {os.strerror(ctypes.get_errno())}"


def ruleset(closed: str = "", open_: str = "") -> int:
    """Prepare `confine`: give the file descriptor of a Landlock ruleset.

    Args:
        closed: a directory below which nothing can be written; nothing can be created in its parents, either.
        open_: a directory below it in which it can.

    Raises:
        OSError: the kernel refuses it.
    """
    abi = _checked(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))
    # A ruleset must restrict something: device files, which nobody here could create anyhow. Moving files
    # between directories is always restricted unless allowed, which Linux before 5.19 does not know.
    rights = (_WRITE if closed else _MAKE_BLOCK) | (_REFER if abi >= 2 else 0)
    rights |= _TRUNCATE if closed and abi >= 3 else 0
    attributes = struct.pack("QQQ", rights, 0, _SCOPE_SIGNAL if abi >= 6 else 0)
    size = ctypes.c_size_t(24 if abi >= 6 else 8)
    rules = _checked(_libc.syscall(_CREATE_RULESET, attributes, size, 0))
    os.set_inheritable(rules, False)
    for path in [*_around(closed), *([open_] if open_ else [])]:
        with contextlib.suppress(FileNotFoundError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            here = rights if stat.S_ISDIR(os.fstat(place).st_mode) else rights & (_WRITE_FILE | _TRUNCATE)
            try:
                if here:
                    _checked(_libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", here, place), 0))
            finally:
                os.close(place)
    return rules


def _around(closed: str) -> Iterator[str]:
    """Give the root, or all that lies beside a directory and beside its parents."""
    if not closed:
        yield "/"
        return
    place = Path("/")
    for part in Path(closed).resolve().parts[1:]:
        yield from (str(entry) for entry in place.iterdir() if entry.name != part and not entry.is_symlink())
        place /= part


def confine(rules: int) -> None:
    """Keep this process and its children out of the memory and environment of all others, by Landlock.

    Files can be written as far as `ruleset` says. From Linux 6.12 on they also cannot send signals to others.

    Raises:
        OSError: the kernel refuses it.
    """
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_libc.syscall(_RESTRICT_SELF, rules, 0))
    os.close(rules)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def start(command: Sequence[str], environment: Mapping[str, str]) -> socket.socket:
    """Start a program that calls `serve` with the number of a file descriptor, its last argument.

    Returns the socket for `fork`. The fork server ends when all copies of it are closed.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen([*command, str(theirs.fileno())], env=environment, pass_fds=[theirs.fileno()])
    return ours


def prepare(server: socket.socket, request: bytes) -> None:
    """Hand a request to the server's `prepare`, which comes before all later children."""
    server.send(request)


def fork(server: socket.socket, request: bytes, descriptors: Sequence[int]) -> NoReturn:
    """Let the fork server start a child, and end as it ends. Call it in a forked process.

    `request` and `descriptors` are what the server's `run` gets; they are closed here.
    """
    child = 0
    early: list[int] = []

    def forward(number: int, _frame: object) -> None:
        if not child:
            early.append(number)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

    ours, theirs = socket.socketpair()
    for number in _FORWARDED:
        signal.signal(number, forward)
    try:
        with theirs:
            socket.send_fds(server, [request], [theirs.fileno(), *descriptors])
        for descriptor in descriptors:
            os.close(descriptor)
        (child,) = _STATUS.unpack(_read(ours))
        for each in early:
            forward(each, None)
        (status,) = _STATUS.unpack(_read(ours))
    except (OSError, EOFError) as error:
        os.write(2, f"The fork server has ended: {error!r}. The container restarts.\n".encode())
        os.kill(os.getppid(), signal.SIGTERM)
        os._exit(1)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code in _FORWARDED:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _read(sock: socket.socket) -> bytes:
    data = sock.recv(_STATUS.size, socket.MSG_WAITALL)
    if len(data) < _STATUS.size:
        raise EOFError
    return data


def serve(
    descriptor: int,
    run: Callable[[bytes, list[int]], None],
    prepare: Callable[[bytes], None] | None = None,
    closed: str = "",
    open_: str = "",
) -> None:
    """Fork a child for each request until all clients are gone.

    `run` is called in the child, confined, with the request and its file descriptors. `prepare` is called
    here, with a request that has none. `closed` and `open_` are those of `ruleset`.
    """
    server = socket.socket(fileno=descriptor)
    children: dict[int, socket.socket] = {}
    # The container's init sends signals to everybody: the fork server ends after those whom it serves.
    # Blocked, not ignored: a child gets what comes before it can take it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    ended, wake = socket.socketpair()
    ended.setblocking(False)
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    ours = (selector, server, ended, wake)
    rules = None if (reason := unconfined()) else ruleset(closed, open_)
    if reason:
        print(f"Children are not confined, {reason}", file=sys.stderr, flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is ended:
                with contextlib.suppress(BlockingIOError):
                    ended.recv(4096)
                _reap(children, selector)
            elif key.fileobj is server:
                request, descriptors, _, _ = socket.recv_fds(server, _LONGEST, 16)
                if not request:
                    return
                if not descriptors:
                    if prepare:
                        prepare(request)
                    continue
                stand_in = socket.socket(fileno=descriptors[0])
                child = os.fork()
                if child == 0:
                    _become(run, request, descriptors[1:], rules, [*ours, stand_in, *children.values()])
                for each in descriptors[1:]:
                    os.close(each)
                children[child] = stand_in
                with contextlib.suppress(OSError):
                    stand_in.send(_STATUS.pack(child))
                selector.register(stand_in, selectors.EVENT_READ, child)
            elif key.data in children:
                # The stand-in was killed, and with it goes the child.
                selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)


def _reap(children: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    while children:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        stand_in = children.pop(child)
        with contextlib.suppress(KeyError):
            selector.unregister(stand_in)
        with contextlib.suppress(OSError):
            stand_in.send(_STATUS.pack(status))
        stand_in.close()


def _become(
    run: Callable[[bytes, list[int]], None],
    request: bytes,
    descriptors: list[int],
    rules: int | None,
    open_: Sequence[socket.socket | selectors.BaseSelector],
) -> NoReturn:
    """Run a request in the forked child; nothing of the server stays open."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (*_FORWARDED, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        for each in open_:
            each.close()
        if rules is not None:
            confine(rules)
        run(request, descriptors)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # Whatever it is, it must not reach the server's loop.
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
