"""Another clock for one module: `module.time` is everybody's, and threads of other tests may still run."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def give_clock(patch: pytest.MonkeyPatch, module: ModuleType, **functions: Callable[..., Any]) -> None:
    """Give a module that says `import time` functions of its own in place of those named, such as `sleep`."""
    patch.setattr(module, "time", SimpleNamespace(**{**vars(time), **functions}))
