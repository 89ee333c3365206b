"""What a Go module of a program has beside it: manifests, charts and scripts of the pinned version."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path


def module_directory(module: str, pins: Path) -> Path:
    """Give the directory of a module in Go's cache, downloaded if it is not there.

    Args:
        module: its path, such as sigs.k8s.io/gateway-api.
        pins: the directory of the go.mod that has its version.
    """
    command = ["go", "mod", "download", "-json", module]
    environment = os.environ | {"GOFLAGS": "", "GOWORK": "off"}
    done = subprocess.run(command, cwd=pins, env=environment, capture_output=True, text=True, check=True)
    return Path(json.loads(done.stdout)["Dir"])
