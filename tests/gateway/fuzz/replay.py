"""Run a target over its corpus, its seeds and a fixed number of mutations: the same inputs in every run.

    python -m tests.gateway.fuzz.replay PACKAGE TARGET COUNT

PACKAGE is the directory that holds `docker_gateway`. It prints the number of inputs, or the first input that
broke a rule, with exit code 1.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

#: Any number: it decides which mutations are run.
SEED = 20261


def main(package: str, target: str, count: str) -> int:
    """Run all inputs."""
    sys.path.insert(0, package)
    from . import mutations, rules, seeds

    assert Path(package).resolve() in Path(str(rules.server.__file__)).resolve().parents, "another package"
    given = seeds.of(target)
    inputs = given + mutations.sequence(target, given, SEED, int(count))
    for number, data in enumerate(inputs):
        try:
            rules.TARGETS[target](data)
        except Exception:
            traceback.print_exc()
            print(f"input {number} of {len(inputs)}: {data!r}")
            return 1
    print(f"{len(inputs)} inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
