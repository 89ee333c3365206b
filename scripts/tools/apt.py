"""Debian packages that a build or a script needs and does not find."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from scripts.tools.errors import ToolError


def install(packages: Sequence[str], why: str) -> None:
    """Install Debian packages, saying so in one line.

    Raises:
        ToolError: if this is not a Debian-like machine, the user is not root, or apt-get fails.
    """
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise ToolError(f"{why} needs what Debian calls {names}; install your system's packages of it.")
    if os.geteuid() != 0:
        raise ToolError(f"{why} needs {names}: run `apt-get install {names}` as root, then try again.")
    print(f"installing Debian packages for {why}: {names}", file=sys.stderr, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends"]
    for attempt in range(2):
        done = subprocess.run([*command, *packages], env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            return
        if attempt == 0:  # A fresh machine has no package lists, an old one stale ones.
            subprocess.run(["apt-get", "-qq", "update"], env=environment, capture_output=True)
    raise ToolError(f"apt-get could not install {names}: {done.stderr.strip().splitlines()[-1:]}")


def library(name: str, packages: Sequence[str], why: str) -> None:
    """Make sure that pkg-config finds the library ``name``; ``packages`` bring it on Debian."""
    if shutil.which("pkg-config") and shutil.which("gcc"):
        found = subprocess.run(["pkg-config", "--exists", name], capture_output=True)
        if found.returncode == 0:
            return
    install(packages, why)
