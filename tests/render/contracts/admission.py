"""Expressions of admission policies that every render must keep."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.chart import Manifests
from tests.render.contracts.registry import contract
from tests.render.scenarios import Scenario

_EMPTY = r'\.orValue\((?:dyn\()?""\)+'
#: A field with "" as its default beside == or != and no literal on the other side.
BLIND = re.compile(rf'{_EMPTY}\s*[!=]=(?!\s*["\[{{])|[\w)\]]\s*[!=]=\s*[\w.?\[\]/]+{_EMPTY}(?!\s*[!=+])')


@contract
def told_apart(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """A field that is absent differs from one that is empty: an added label without a value is seen."""
    for policy in manifests.all("ValidatingAdmissionPolicy"):
        spec = policy.raw["spec"]
        for part in ("variables", "validations", "matchConditions"):
            for index, entry in enumerate(spec.get(part) or ()):
                for found in BLIND.finditer(entry["expression"]):
                    yield (
                        f"{policy}, {part}[{entry.get('name', index)}]: {found[0].strip()!r} takes an empty "
                        "value for an absent one; compare the optional values (a.?b != c.?b)"
                    )
