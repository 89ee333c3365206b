"""Run commands in an image without a container runtime: namespaces, a read-only root, the right user.

As a runtime under Kubernetes' *restricted* standard does: the layers as a read-only overlay, a tmpfs for each
writable path, a process namespace, no capabilities, no new privileges. The network is the host's.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_LAST_CAPABILITY = 40


@dataclass(frozen=True)
class Container:
    """How to run commands in an image.

    Attributes:
        lowers: the image's unpacked layers, the topmost first.
        config: the image's OCI configuration (Entrypoint, Cmd, Env and so on).
        user: uid and gid to run as.
        writable: paths that get a tmpfs.
        files: path -> content of files that are mounted there, executable and writable for the user.
        env: variables on top of the image's.
        privileged: keep the capabilities.
    """

    lowers: list[Path]
    config: dict[str, Any]
    user: tuple[int, int] = (0, 0)
    writable: tuple[str, ...] = ("/tmp",)
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    privileged: bool = False

    def start(self, *arguments: str, entrypoint: Sequence[str] | None = None) -> subprocess.Popen[str]:
        """Start ``entrypoint`` (None: the image's) with ``arguments`` (none at all: the image's command)."""
        first = list(self.config.get("Entrypoint") or []) if entrypoint is None else list(entrypoint)
        command = first + (list(arguments) or ([] if entrypoint else list(self.config.get("Cmd") or [])))
        inner = {
            "lowers": [str(path) for path in self.lowers],
            "user": self.user,
            "writable": self.writable,
            "files": self.files,
            "privileged": self.privileged,
            "directory": self.config.get("WorkingDir") or "/",
            "command": command,
        }
        env = dict(variable.split("=", 1) for variable in self.config.get("Env", [])) | self.env
        return subprocess.Popen(
            # unshare ignores SIGTERM: it is to die with this process, and the container with it.
            [
                *("setpriv", "--pdeathsig=KILL"),
                *("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"),
                *(sys.executable, __file__, json.dumps(inner), json.dumps(env)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(
        self, *arguments: str, entrypoint: Sequence[str] | None = None, timeout: float = 180
    ) -> tuple[int, str]:
        """Run to the end, as ``start`` does; returns the exit code and what was printed."""
        process = self.start(*arguments, entrypoint=entrypoint)
        try:
            said, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return process.returncode, said

    def shell(self, script: str, timeout: float = 180) -> str:
        """What ``sh -c script`` prints; it must succeed."""
        code, said = self.run("-c", script, entrypoint=["sh"], timeout=timeout)
        assert code == 0, said
        return said.strip()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _resolved(root: Path, paths: Iterable[str]) -> list[str]:
    """``paths`` without symbolic links, which may be absolute, as seen from ``root``."""
    outside = os.open("/", os.O_RDONLY)
    os.chroot(root)
    found = [os.path.realpath(path) for path in paths]
    os.fchdir(outside)
    os.chroot(".")
    return found


def _home(uid: int) -> str:
    """The home that runc gives a user: of /etc/passwd, or the root directory."""
    entries = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
    return next((entry[5] for entry in entries if entry[2] == str(uid)), "/")


def _enter(spec: dict[str, Any], env: dict[str, str]) -> None:
    """Become the container's first process; runs in the new namespaces."""
    # In this mount namespace only; the host's /mnt stays as it is.
    root = Path("/mnt")
    uid, gid = spec["user"]
    _mount("-t", "tmpfs", "tmpfs", str(root))
    # An overlay needs two lower directories; the other one has the mount points that the image lacks.
    points, merged = root / "points", root / "merged"
    merged.mkdir()
    for path in (*spec["writable"], "/proc", "/dev"):
        (points / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for path in spec["files"]:
        (points / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (points / path.lstrip("/")).touch()
    lowers = ":".join([*spec["lowers"], str(points)])
    _mount("-t", "overlay", "overlay", "-o", f"lowerdir={lowers}", str(merged))
    _mount("-t", "proc", "proc", f"{merged}/proc")
    _mount("--rbind", "/dev", f"{merged}/dev")
    for path in _resolved(merged, spec["writable"]):
        _mount("-t", "tmpfs", "-o", f"uid={uid},gid={gid},mode=0770", "tmpfs", f"{merged}{path}")
    contents = list(spec["files"].values())
    for number, path in enumerate(_resolved(merged, spec["files"])):
        source, target = root / f"file{number}", merged / path.lstrip("/")
        source.write_text(contents[number])
        source.chmod(0o755)
        os.chown(source, uid, gid)
        if not target.exists():  # On a tmpfs.
            target.touch()
        _mount("--bind", str(source), str(target))
    os.chroot(merged)
    os.chdir(spec["directory"])
    env.setdefault("HOME", _home(uid))
    if not spec["privileged"]:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in range(_LAST_CAPABILITY + 1):
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    os.execvpe(spec["command"][0], spec["command"], env)


if __name__ == "__main__":
    # What Python, `nohup` or a shell's background job ignores, a container's program would ignore too.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    _enter(json.loads(sys.argv[1]), json.loads(sys.argv[2]))
