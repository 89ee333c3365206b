"""Search at random for inputs that break a rule: coverage-guided, by atheris, which ends the process.

python -m tests.gateway.fuzz.search PACKAGE TARGET [LIBFUZZER OPTIONS] [CORPUS]
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris


def main(package: str, target: str, *options: str) -> None:
    """Search until the options say that it is enough."""
    sys.path.insert(0, package)
    with atheris.instrument_imports(include=["docker_gateway"]):
        from . import rules
    from . import mutations

    assert Path(package).resolve() in Path(str(rules.server.__file__)).resolve().parents, "another package"

    def change(pick: random.Random, data: bytes, size: int) -> bytes:
        # Half of the time the fuzzer's own, which learns from what the code compares.
        return (
            bytes(atheris.Mutate(data, size))
            if pick.random() < 0.5
            else mutations.change_bytes(pick, data, size)
        )

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        return mutations.TARGETS[target](random.Random(seed), data, size, change)

    atheris.Setup([sys.argv[0], *options], rules.TARGETS[target], custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
