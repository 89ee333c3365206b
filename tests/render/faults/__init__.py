"""Manifests with a fault, one for each thing that a contract is for."""

from __future__ import annotations

from tests.render.faults import (
    admission,
    names,
    numbers,
    ports,
    references,
    secrets,
    selection,
    sizes,
    volumes,
)
from tests.render.faults.model import Fault

FAULTS: tuple[Fault, ...] = (
    *admission.FAULTS,
    *names.FAULTS,
    *numbers.FAULTS,
    *ports.FAULTS,
    *references.FAULTS,
    *secrets.FAULTS,
    *selection.FAULTS,
    *sizes.FAULTS,
    *volumes.FAULTS,
)
