"""`kubectl kustomize`, and nothing that it needs a flag for."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from scripts import tools
from scripts.chart import Manifests

HASH = re.compile(r"-[2456789bcdfghkmt]{10}$")


class BuildError(Exception):
    """kubectl refuses the kustomization; the message is kubectl's own."""


def text(folder: Path) -> str:
    """What `kubectl kustomize` prints.

    Raises:
        BuildError: if it fails.
    """
    environment = {**tools.SHORT_RUN, **os.environ}
    command = [_kubectl(), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise BuildError(done.stderr.strip().removeprefix("error: "))
    return done.stdout


@cache
def _kubectl() -> str:
    return str(tools.path("kubectl"))


def build(folder: Path, *, hashes: bool = True) -> Manifests:
    """The objects that a kustomization builds; hashes=False takes the hashes out of the names of ConfigMaps.

    Raises:
        BuildError: if it does not build.
    """
    output = text(folder)
    found = Manifests.parse(output, str(folder))
    if hashes:
        return found
    for config in found.all("ConfigMap"):
        output = output.replace(config.name, HASH.sub("", config.name))
    return Manifests.parse(output, str(folder))
