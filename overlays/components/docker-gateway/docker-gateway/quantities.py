"""Kubernetes quantities, such as 512Mi and 100m."""

from __future__ import annotations

import re
from typing import Any

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([numk]|[KMGTPE]i|[MGTPE])?")
_UNITS = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
_UNITS |= {unit: 1e3**power for power, unit in enumerate("MGTPE", 2)}
_UNITS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)}


def is_quantity(text: Any) -> bool:
    """Tell whether a text is a quantity."""
    return _QUANTITY.fullmatch(str(text)) is not None


def quantity(text: Any) -> float:
    """Give a quantity as a number; 0 for what is none."""
    match = _QUANTITY.fullmatch(str(text))
    return float(match[1]) * _UNITS[match[2] or ""] if match else 0.0
