"""A bad value, and what the refusal says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Bad:
    """Values, and the words that the message must have: the key's path first."""

    what: str
    values: Any
    says: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)


def group(**settings: Any) -> dict[str, Any]:
    return {"workers": {"default": settings}}


def scaled(**settings: Any) -> dict[str, Any]:
    return group(autoscaling={"enabled": True, **settings})


def pooler(**settings: Any) -> dict[str, Any]:
    return {"database": {"pooler": {"enabled": True, **settings}}}
