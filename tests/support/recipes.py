"""The commands in the comments of what `rbac-for-cluster` prints."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from scripts import tools


def recipes(text: str) -> tuple[str, str]:
    """Those of the other cluster's administrator, and those of the release's."""
    head = text.partition("\n---\n")[0]
    blocks = re.split(r"^# The administrator .*$", head, flags=re.M)[1:]
    theirs, own = ("\n".join(re.findall(r"^#   (.*)$", block, re.M)) for block in blocks)
    return theirs, own


def follow(recipe: str, kubeconfig: Path, directory: Path) -> None:
    """Run commands in a directory, as the administrator of a cluster."""
    environment = os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "PATH": f"{tools.path('kubectl').parent}:{os.environ['PATH']}",
    }
    shell = ["bash", "-euo", "pipefail", "-c", recipe]
    subprocess.run(shell, check=True, cwd=directory, env=environment, timeout=60)
