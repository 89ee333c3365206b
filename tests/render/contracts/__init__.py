"""What every render of the chart must keep: functions from manifests to sentences on what is wrong.

A contract takes (manifests, scenario) and yields one sentence for each fault, naming the object, the field
and what was expected. CONTRACTS has them all by name.
"""

from tests.render.contracts import (
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
from tests.render.contracts.registry import CONTRACTS, Contract

__all__ = [
    "CONTRACTS",
    "Contract",
    "admission",
    "names",
    "numbers",
    "ports",
    "references",
    "secrets",
    "selection",
    "sizes",
    "volumes",
]
