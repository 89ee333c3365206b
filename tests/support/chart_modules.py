"""Modules of the chart, which no package has: pods run them as files."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_module(file: Path) -> ModuleType:
    """Run a file as a new module, which no import finds afterwards."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while they are made.
    before = sys.modules.get(file.stem)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[file.stem]
        if before:
            sys.modules[file.stem] = before
    return module
