"""The decision about one field of a pod.

test_fence_decisions.py walks the API server's own schema. A field without an entry fails there, so a new
version of Kubernetes cannot bring one unnoticed. A path ends where it has a decision; NESTED goes deeper.

NESTED      the fields below are decided one by one
allowed     the value is admitted
refused     admitted without the fence, refused by the fence; no value of the chart admits it
by_value    the same, but a value of the chart (its key) admits some of it: `fine` is admitted with the lists
            of tests/api/conftest.py
pod_security  admitted without the fence; Pod Security refuses it
server      set, derived or refused by the API server itself, whoever asks

`since` is the first Kubernetes version that has the field of the example, if need be by a feature gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

NO_VALUE = "no value allows this"


@dataclass(frozen=True)
class Decision:
    """What happens to a field. `example` and `fine` are values of the field."""

    verdict: Literal["nested", "allowed", "refused", "by value", "Pod Security", "server"]
    example: Any = None
    fine: Any = None
    #: The key of the values that the refusal names.
    key: str = ""
    why: str = ""
    since: tuple[int, int] = (1, 30)
    #: The first version that no longer has the field.
    until: tuple[int, int] = (2, 0)
    #: Fields beside it that the API server wants: path -> value.
    beside: Any = None


NESTED = Decision("nested")


def allowed(example: Any, why: str = "", **more: Any) -> Decision:
    return Decision("allowed", example, why=why, **more)


def refused(example: Any, **more: Any) -> Decision:
    return Decision("refused", example, key=NO_VALUE, **more)


def by_value(example: Any, key: str, fine: Any = None, **more: Any) -> Decision:
    return Decision("by value", example, fine, key, **more)


def pod_security(example: Any, fine: Any = None, **more: Any) -> Decision:
    return Decision("Pod Security", example, fine, **more)


def server(why: str) -> Decision:
    return Decision("server", why=why)


ADMISSION = "tasks.admission."


def is_in(decision: Decision, version: tuple[int, int]) -> bool:
    """Whether a Kubernetes version has the field."""
    return decision.since <= version < decision.until
