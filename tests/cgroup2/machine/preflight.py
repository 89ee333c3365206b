"""Whether a machine can be emulated here, and the programs that it takes."""

from __future__ import annotations

import os
import platform
import shutil

from scripts.tools import ToolError, apt
from tests.cgroup2.machine.errors import MachineError

#: Program -> Debian package.
_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
}


def obstacle() -> str:
    """Why no machine can be emulated here, in one sentence; nothing if it can."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return f"the emulated machine needs x86_64 Linux, this is {platform.system()} {platform.machine()}."
    if os.geteuid() != 0:
        return "building the emulated machine's root file system needs root."
    if (missing := _missing()) and shutil.which("apt-get") is None:
        return f"{', '.join(missing)} (Debian's {', '.join(missing.values())}) are needed and not on PATH."
    return ""


def _missing() -> dict[str, str]:
    return {program: package for program, package in _PROGRAMS.items() if shutil.which(program) is None}


def install() -> None:
    """Install the programs that are missing, where apt-get can.

    Raises:
        MachineError: if it cannot.
    """
    if packages := [*_missing().values()]:
        try:
            apt.install([*packages, "debian-archive-keyring"], "emulating a machine with cgroup v2")
        except ToolError as error:
            raise MachineError(str(error)) from error
