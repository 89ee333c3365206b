"""Boot the machine and run commands on it, through QEMU's guest agent."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cgroup2.machine.disk import Disk, build
from tests.cgroup2.machine.errors import MachineError

_MEMORY_MIB = 4096
_BOOT_SECONDS = 300
_POLL_SECONDS = 0.1
#: mitigations=off: nobody attacks the emulated processor, and they cost emulated time.
_KERNEL_LINE = (
    "root=/dev/nvme0n1 rw console=ttyS0 quiet mitigations=off transparent_hugepage=never panic=-1 "
    "systemd.show_status=false"
)
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code, and what it printed to standard output and error."""

    code: int
    out: str
    err: str


class Machine:
    """A machine that runs."""

    def __init__(self, process: subprocess.Popen[bytes], agent: socket.socket, console: Path) -> None:
        self._process = process
        self._agent = agent
        self._answers = agent.makefile("rb")
        self._console = console

    def run(self, script: str, *, stdin: str = "", timeout: float = 300) -> Done:
        """Run a script by the machine's shell.

        Raises:
            MachineError: if it does not end within ``timeout`` seconds, or the machine is gone.
        """
        arguments: dict[str, Any] = {
            "path": "/bin/sh",
            "arg": ["-c", script],
            "env": [_PATH, "HOME=/root"],
            "capture-output": True,
        }
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin.encode()).decode()
        pid = self._ask("guest-exec", arguments)["pid"]
        end = time.monotonic() + timeout
        while not (status := self._ask("guest-exec-status", {"pid": pid}))["exited"]:
            if time.monotonic() > end:
                raise MachineError(f"not ended after {timeout:.0f} s on the emulated machine: {script}")
            time.sleep(_POLL_SECONDS)
        out, err = (
            base64.b64decode(status.get(name, "")).decode(errors="replace")
            for name in ("out-data", "err-data")
        )
        # A shell's way to say by which signal a process ended.
        return Done(status.get("exitcode", 128 + status.get("signal", 0)), out, err)

    def shell(self, script: str, *, timeout: float = 300) -> str:
        """What a script prints, without the white space around it.

        Raises:
            MachineError: if it fails or does not end.
        """
        done = self.run(script, timeout=timeout)
        if done.code != 0:
            raise MachineError(f"exit code {done.code} of {script}\n{done.out}{done.err}")
        return done.out.strip()

    def write(self, path: str, content: str) -> None:
        """Write a file, which appears by one rename; before, its name starts with a dot."""
        directory, _, name = path.rpartition("/")
        script = f"mkdir -p {directory} && cd {directory} && cat > .{name} && mv .{name} {name}"
        done = self.run(script, stdin=content)
        if done.code != 0:
            raise MachineError(f"{path} cannot be written: {done.err}")

    def _ask(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """One request and its answer, of the QEMU Guest Agent Protocol."""
        request = {"execute": command, "arguments": arguments or {}}
        try:
            self._agent.sendall(json.dumps(request).encode() + b"\n")
            line = self._answers.readline()
        except OSError as error:
            raise MachineError(f"The emulated machine does not answer ({error}).\n{self.console()}") from None
        if not line:
            raise MachineError(f"The emulated machine is gone.\n{self.console()}")
        answer = json.loads(line)
        if "error" in answer:
            raise MachineError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def _wait(self) -> None:
        """Wait until the agent answers. What is sent before it listens is kept for it."""
        self._agent.settimeout(1)
        self._agent.sendall(b'{"execute": "guest-sync", "arguments": {"id": 1}}\n')
        end = time.monotonic() + _BOOT_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(TimeoutError, ConnectionResetError):
                if self._agent.recv(4096):
                    self._agent.settimeout(_BOOT_SECONDS)
                    return
        ended = self._process.poll()
        why = f"did not boot within {_BOOT_SECONDS} s" if ended is None else f"ended (QEMU: {ended})"
        raise MachineError(f"The emulated machine {why}.\n{self.console()}")

    def console(self) -> str:
        """The last lines of the serial console."""
        lines = self._console.read_text(errors="replace").splitlines() if self._console.exists() else []
        return "\n".join(lines[-40:])


@contextmanager
def boot(disk: Disk | None = None) -> Iterator[Machine]:
    """Boot the machine, built on demand; it is gone when the block ends, or this process however it ends.

    Raises:
        MachineError: if it does not boot.
    """
    disk = disk or build()
    for last in (False, True):
        with tempfile.TemporaryDirectory(prefix="airdock-machine-") as scratch, ExitStack() as stack:
            try:
                machine = _start(disk, Path(scratch), stack)
            except MachineError as error:
                # An emulated boot dies now and then: see _qemu.
                if last:
                    raise
                print(f"{error}\nbooting once more", file=sys.stderr, flush=True)
                continue
            yield machine
            return


def _start(disk: Disk, scratch: Path, stack: ExitStack) -> Machine:
    """Start QEMU and wait for the agent; the stack ends it."""
    agent, console = scratch / "agent", scratch / "console"
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig=KILL", "nice", "-n", "15", *_qemu(disk, agent, console)],
        stdin=subprocess.DEVNULL,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    connection = stack.enter_context(socket.socket(socket.AF_UNIX))
    _connect(connection, agent, process)
    machine = Machine(process, connection, console)
    machine._wait()
    return machine


def _qemu(disk: Disk, agent: Path, console: Path) -> list[str]:
    # Without -cx16 the guest's kernel corrupts its slabs and hangs (QEMU 7.2, two processors).
    machine = ["-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-smp", "2", "-m", str(_MEMORY_MIB)]
    # NVMe and ext4 are in Debian's kernel: no initial RAM disk. snapshot: the image stays as it is.
    drive = ["-drive", f"file={disk.root},format=raw,if=none,id=root,snapshot=on,cache=unsafe"]
    drive += ["-device", "nvme,drive=root,serial=root"]
    talk = ["-chardev", f"socket,id=agent,path={agent},server=on,wait=off"]
    talk += ["-device", "virtio-serial", "-device", "virtserialport,chardev=agent,nr=1"]
    talk += ["-serial", f"file:{console}"]
    alone = ["-nodefaults", "-no-user-config", "-nic", "none", "-display", "none", "-no-reboot"]
    kernel = ["-kernel", str(disk.kernel), "-append", _KERNEL_LINE]
    return ["qemu-system-x86_64", *alone, *machine, *drive, *talk, *kernel]


def _connect(connection: socket.socket, agent: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            connection.connect(str(agent))
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise MachineError("QEMU did not start; what it says is above.") from None
            time.sleep(0.1)
        else:
            return
